"""Tokens of the flag server as people handle them, and the file that an app starts from without any server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from evoguard.adapters import durable
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.flags import SqliteFlagStore
from evoguard.adapters.unguarded_file import UnguardedFile
from evoguard.domain.kpi import Assurance
from evoguard.errors import ConfigError, InputError, UnavailableError
from evoguard.flags import document, memory
from evoguard.flags.unguarded import NONE, parsed
from evoguard.settings import Settings
from evoguard.wiring import flags
from evoguard.wiring.state import Opened


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token to be made. `assurance` is for `kpi.write` only; `own` puts it into the guard's own tokens.json."""

    kind: str
    name: str
    environment: str = tokens.ENVIRONMENT
    assurance: str = ""
    own: bool = False


def issue(opened: Opened, settings: Settings, wanted: Wanted) -> dict[str, object]:
    """Make a token and return it with its secret, which is seen now and never again.

    One for the guard itself is not returned but put into tokens.json, in place of the one of its kind there, which
    stays valid. Raises: InputError, UnavailableError.
    """
    if wanted.own and wanted.kind not in flags.OWN:
        raise InputError(f"the guard itself uses {' and '.join(flags.OWN)}", code="token.invalid")
    kind, assurance = cast(tokens.TokenKind, wanted.kind), cast(Assurance, wanted.assurance)
    secret = tokens.issue(opened.con, kind, wanted.name, assurance, wanted.environment)
    made = tokens.token_id(tokens.token_hash(secret))
    told: dict[str, object] = {"id": made, "kind": wanted.kind, "name": wanted.name, "environment": wanted.environment}
    if not wanted.own:
        return {**told, "token": secret}
    try:
        held: dict[str, str] = flags.tokens(settings.state / flags.TOKENS)
    except ConfigError:
        held = {}
    doc = json.dumps({**held, wanted.kind: secret}).encode()
    try:
        durable.write(settings.state, flags.TOKENS, doc, mode=0o600, replace=True)
    except OSError as err:
        tokens.revoke(opened.con, made)
        raise UnavailableError("token", f"{flags.TOKENS} cannot be written: {err.strerror}") from err
    return told


def revoke(opened: Opened, settings: Settings, which: str) -> int:
    """Make the token of this id, or every token of this name, invalid; return how many.

    Raises: InputError `token.unknown`, and `token.own` for one that the guard itself uses; ConfigError when nobody
    knows which those are.
    """
    named = [one for one in tokens.listed(opened.con) if which in (one.id, one.name)]
    if not named:
        raise InputError("no token has this id or name", code="token.unknown", fix="evoguard flags tokens")
    held = flags.tokens(settings.state / flags.TOKENS)
    own = {tokens.token_id(tokens.token_hash(secret)) for secret in held.values()}
    for one in named:
        if one.id in own:
            raise InputError(
                f"{one.id} is the guard's own {one.kind} token",
                code="token.own",
                fix=f"first: evoguard flags issue NAME --kind {one.kind} --own, then revoke {one.id} by its id",
            )
    return tokens.revoke(opened.con, which)


@dataclass(frozen=True, slots=True)
class Start:
    """A document to start from: its bytes, and which flags are on and off in it."""

    body: bytes
    on: tuple[str, ...]
    off: tuple[str, ...]


def bootstrap(settings: Settings) -> Start:
    """Return every flag at known-good: on is only what was promoted to everybody and is not killed.

    What is killed is read last, and nothing is returned unless rows, log, kill folder and the operator's document
    could all be read. Raises: ConfigError, UnavailableError, InputError.
    """
    store = SqliteFlagStore(settings.database, UnguardedFile(settings.state / flags.UNGUARDED).newest)
    guarded, (rev, states) = store.guarded(), store.rows()
    seen = memory.Copy(rev, states, known=True, guarded=guarded)
    held = memory.merge(memory.load(settings.state / flags.COPY), seen)  # an older database turns nothing on
    raw = store.unguarded()
    beside = NONE if raw is None else parsed(raw)
    flags.known_kills(settings)  # raises where the board below would go on without the log
    board = flags.latches(settings).board()
    if board.unreadable:
        raise UnavailableError("latches", "a latch is unreadable, so everything is killed", fix="evoguard doctor")
    made = document.known_good(held.flags, board, beside, held.guarded)
    on = {str(one["name"]): bool(one["enabled"]) for one in (json.loads(row) for row in made.features.values())}
    names = sorted(on)
    return Start(document.page(made).body, tuple(n for n in names if on[n]), tuple(n for n in names if not on[n]))
