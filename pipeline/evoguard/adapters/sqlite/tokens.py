"""Tokens of the flag server: the secret is shown once, its hash is kept."""

from __future__ import annotations

import re
import secrets
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.identity import is_name
from evoguard.domain.kpi import Assurance
from evoguard.errors import InputError

TokenKind = Literal["flags.read", "frontend.read", "kpi.write"]
KINDS = get_args(TokenKind)
ENVIRONMENT = "production"
MAX_TOKENS = 200
"""Every one is compared with at each request."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_NOTE = "token.environment."
_ROWS = (
    "select hash, kind, assurance, name, coalesce((select value from meta where meta.name=?||tokens.hash), ?)"
    " from tokens order by name, hash"
)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, which is never its secret. `id` names it to people."""

    id: str
    kind: str
    name: str
    environment: str
    assurance: str

    def as_json(self) -> dict[str, object]:
        """Return the token as plain JSON."""
        return {"id": self.id, "kind": self.kind, "name": self.name, "environment": self.environment,
                "assurance": self.assurance}  # fmt: skip


def issue(
    con: sqlite3.Connection,
    kind: TokenKind,
    name: str,
    assurance: Assurance | Literal[""] = "",
    environment: str = ENVIRONMENT,
) -> str:
    """Store the hash of a new token and return its secret, the only time that it is seen.

    A `kpi.write` token carries the assurance that every batch posted with it gets. Several of one name are valid at
    once. Raises: InputError for an unknown kind, name, environment or assurance, and for one token too many;
    UnavailableError when nothing was stored.
    """
    if kind not in KINDS or not is_name(name) or name.startswith("tok-"):
        raise InputError(f"a token has a kind ({', '.join(KINDS)}) and a plain name", code="token.invalid")
    if not is_name(environment):
        raise InputError("an environment has a plain name", code="token.invalid", fix="for example: production")
    if (assurance in get_args(Assurance)) != (kind == "kpi.write"):
        raise InputError("a kpi.write token, and no other, names where its batches are counted", code="token.invalid")
    secret = f"*:{environment}.{secrets.token_urlsafe(32)}"
    with transaction(con):
        if con.execute("select count(*) from tokens").fetchone()[0] >= MAX_TOKENS:
            raise InputError(f"{MAX_TOKENS} tokens are valid", code="token.many", fix="revoke one that nobody uses")
        key = token_hash(secret)
        con.execute("insert into tokens(hash, kind, assurance, name) values(?,?,?,?)", (key, kind, assurance, name))
        con.execute("insert or replace into meta(name, value) values(?,?)", (_NOTE + key, environment))
    return secret


def listed(con: sqlite3.Connection) -> tuple[Token, ...]:
    """Return every token by name. Raises: sqlite3.Error."""
    rows = con.execute(_ROWS, (_NOTE, ENVIRONMENT)).fetchall()
    return tuple(Token(token_id(key), kind, name, where, worth) for key, kind, worth, name, where in rows)


def valid(con: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Return hash → (kind, assurance or environment) of every token whose row is in order. Raises: sqlite3.Error."""
    rows = con.execute(_ROWS, (_NOTE, ENVIRONMENT)).fetchall()
    return {
        key: (kind, worth if kind == "kpi.write" else where)
        for key, kind, worth, _, where in rows
        if kind in KINDS and _DIGEST.match(key)
    }


def revoke(con: sqlite3.Connection, name: str) -> int:
    """Remove the token of this id, or every token of this name; return how many. Raises: UnavailableError."""
    with transaction(con):
        keys = [one[0] for one in con.execute("select hash, name from tokens").fetchall()
                if name in (one[1], token_id(one[0]))]  # fmt: skip
        for key in keys:
            con.execute("delete from tokens where hash=?", (key,))
            con.execute("delete from meta where name=?", (_NOTE + key,))
        return len(keys)


def token_id(key: str) -> str:
    """Return what people call a token: `tok-` and 12 digits of its hash."""
    return f"tok-{key[:12]}"


def token_hash(secret: str) -> str:
    """Return the hash under which a secret is kept; 32 random bytes need no salt."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
