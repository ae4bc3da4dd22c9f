"""The flag server, wired: no LangGraph, no wasmtime; the database may be locked and it still answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evoguard.adapters import state_folder
from evoguard.adapters.clock import SystemClock
from evoguard.adapters.git.epochs import Epochs
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.flags import SqliteFlagStore
from evoguard.adapters.sqlite.queries import SqliteQueries
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.adapters.unguarded_file import UnguardedFile
from evoguard.domain.identity import Identity
from evoguard.domain.latch import Latch
from evoguard.errors import ConfigError, InputError, UnavailableError
from evoguard.settings import Settings

if TYPE_CHECKING:
    from evoguard.flags.impact_metrics import Counted

log = logging.getLogger(__name__)

UNGUARDED = "unguarded-flags.json"
"""The operator's own features document in the state folder; it need not be there."""
COPY = "flags.json"
"""The flag server's own copy of rows and tokens' digests."""
TOKENS = "tokens.json"
"""The guard's own tokens, as a client of its flag server; 0600."""
OWN = ("flags.read", "kpi.write")


async def serve_flags(settings: Settings, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve flags and take KPI batches until a signal. Raises: ConfigError for an unusable state or port."""
    from evoguard.adapters.kill_path import place
    from evoguard.flags.listening import serve  # the kill command shares this file and loads no web framework
    from evoguard.flags.server import Watched, build_app
    from evoguard.wiring import unleash

    state_folder.check(settings.state)
    kills = latches(settings)
    app = build_app(  # nothing that SDKs count may keep flags from being served
        SqliteFlagStore(settings.database, UnguardedFile(settings.state / UNGUARDED).newest),
        kills,
        SystemClock(),
        bootstrap=settings.state / COPY,
        watched=Watched(kills.mark, partial(place, settings.kill_dir)), counters=counters(settings),
    )  # fmt: skip
    follower = unleash.follower(settings, kills)
    if follower is not None:
        follower.start()
    try:
        await serve(app, settings.flags_host, settings.flags_port, ready=ready)
    finally:
        if follower is not None:
            follower.end()


def counters(settings: Settings) -> Mapping[str, Counted]:
    """Return what SDKs count of which flag, by the operator's file; none, and a line in the log, when it is wrong."""
    try:
        return named_counters(settings)
    except (InputError, UnavailableError) as err:
        log.error("impact.file %s: what SDKs count is not taken", err.message)
        return {}


def named_counters(settings: Settings) -> Mapping[str, Counted]:
    """Return what the operator's file names; nothing without one. Raises: InputError, UnavailableError."""
    from evoguard.flags.impact_metrics import FILE, read

    return read(UnguardedFile(settings.state / FILE).newest())


def latches(settings: Settings) -> FileLatches:
    """Return latches that ask the database only briefly: what it said last counts while it is locked."""
    return FileLatches(settings.kill_dir, partial(identity, settings), partial(known_kills, settings),
                       Epochs(settings.repos_dir).floor)  # fmt: skip


def known_kills(settings: Settings) -> tuple[Latch, ...]:
    """Return every kill that the log knows, asking briefly. Raises: UnavailableError, ConfigError."""
    con = db.connect(settings.database, busy_s=0.05)
    try:
        return SqliteRegistry(con, SystemClock()).known_kills()
    finally:
        con.close()


def identity(settings: Settings, name: str) -> Identity | None:
    """Return a registered identity, asking briefly. Raises: UnavailableError, ConfigError while there is no answer."""
    con = db.connect(settings.database, busy_s=0.05)
    try:
        return SqliteQueries(con).identity_now(name)
    finally:
        con.close()


def token(settings: Settings, kind: str) -> str:
    """Return the guard's own copy of a token. Raises: ConfigError when it is missing."""
    found = tokens(settings.state / TOKENS).get(kind)
    if found is None:
        raise _missing(f"{TOKENS} has no {kind} token")
    return found


def tokens(path: Path) -> dict[str, str]:
    """Return the guard's own tokens by kind. Raises: ConfigError."""
    try:
        doc = json.loads(path.read_text(encoding="utf-8"))
        found = {str(kind): str(secret) for kind, secret in doc.items() if isinstance(secret, str) and secret}
    except (OSError, ValueError, AttributeError, RecursionError) as err:
        raise _missing(f"{path.name} cannot be read") from err
    if not found:
        raise _missing(f"{path.name} holds no token")
    return found


def _missing(why: str) -> ConfigError:
    fix = "run as the state's owner, or: evoguard flags issue guard --kind flags.read --own"
    return ConfigError(why, code="token.missing", fix=fix)
