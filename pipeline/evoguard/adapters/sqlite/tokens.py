"""Tokens of the flag server: the secret is shown once, its hash is kept."""

from __future__ import annotations

import secrets
import sqlite3
from hashlib import sha256
from typing import Literal, get_args

from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.identity import is_name
from evoguard.domain.kpi import Assurance
from evoguard.errors import InputError

TokenKind = Literal["flags.read", "kpi.write"]


def issue(con: sqlite3.Connection, kind: TokenKind, name: str, assurance: Assurance | Literal[""] = "") -> str:
    """Store the hash of a new token and return its secret, the only time that it is seen.

    A `kpi.write` token carries the assurance that every batch posted with it gets. Raises: InputError for an unknown
    kind, name or assurance; UnavailableError when nothing was stored.
    """
    if kind not in get_args(TokenKind) or not is_name(name):
        raise InputError("a token has a kind, flags.read or kpi.write, and a plain name", code="token.invalid")
    if (assurance in get_args(Assurance)) != (kind == "kpi.write"):
        raise InputError("a kpi.write token, and no other, names where its batches are counted", code="token.invalid")
    secret = secrets.token_urlsafe(32)
    with transaction(con):
        con.execute(
            "insert into tokens(hash, kind, assurance, name) values(?,?,?,?)",
            (token_hash(secret), kind, assurance, name),
        )
    return secret


def revoke(con: sqlite3.Connection, name: str) -> int:
    """Remove every token of this name and return how many there were. Raises: UnavailableError."""
    with transaction(con):
        return con.execute("delete from tokens where name=?", (name,)).rowcount


def token_hash(secret: str) -> str:
    """Return the hash under which a secret is kept; 32 random bytes need no salt."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
