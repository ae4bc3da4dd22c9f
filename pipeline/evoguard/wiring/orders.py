"""What is known about a kill order: best effort, time-boxed, and never a reason not to kill."""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from evoguard.adapters import keys
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.queries import SqliteQueries
from evoguard.adapters.unguarded_file import UnguardedFile
from evoguard.domain.latch import Scope
from evoguard.errors import EvoguardError
from evoguard.settings import Settings
from evoguard.wiring.flags import UNGUARDED

BUSY_S = 0.05
BOX_S = 0.5
"""How long a kill lets the database think, whatever happens to it; its disk may be frozen."""
_KNOWN = {
    "flag": "select exists(select 1 from flags where flag=:name) or exists(select 1 from changes where flag=:name)",
    "component": "select exists(select 1 from flags where component=:name)"
    " or exists(select 1 from changes where component=:name)",
}

T = TypeVar("T")


def known(settings: Settings, orders: Sequence[tuple[Scope, str]], *, box_s: float = BOX_S) -> tuple[bool | None, ...]:
    """Tell for each (scope, name) whether something here is called so; None when the database gives no answer."""
    if all(scope == "all" for scope, _ in orders):
        return (True,) * len(orders)
    found = _in_time(lambda: _known(settings, orders), box_s)
    return found if found is not None else (None,) * len(orders)


def unproved(settings: Settings, person: str, key: Path, *, box_s: float = BOX_S) -> str:
    """Return why this key does not sign for a registered person, or an empty text.

    Empty also while the database gives no answer: then the order is signed, and whoever reads it verifies it.
    """
    return _in_time(lambda: _unproved(settings, person, key), box_s) or ""


def _known(settings: Settings, orders: Sequence[tuple[Scope, str]]) -> tuple[bool | None, ...]:
    with closing(_connected(settings)) as con:
        beside = _unguarded(settings)
        return tuple(
            scope == "all"
            or (scope == "flag" and name in beside)
            or bool(con.execute(_KNOWN[scope], {"name": name}).fetchone()[0])
            for scope, name in orders
        )


def _unguarded(settings: Settings) -> frozenset[str]:
    """Return the names of the operator's own flags; none when their document cannot be read."""
    try:
        doc = json.loads(UnguardedFile(settings.state / UNGUARDED).newest() or b"{}")
        return frozenset(str(row["name"]) for row in doc["features"])
    except (EvoguardError, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()


def _unproved(settings: Settings, person: str, key: Path) -> str:
    with closing(_connected(settings)) as con:
        identity = SqliteQueries(con).identity_now(person)
    if identity is None:
        return f"nobody is registered as {person[:60]!r}"
    if identity.kind != "person":
        return f"{identity.name} is an {identity.kind}, and only people sign kills"
    registered = keys.fingerprint(keys.load_public(identity.public_pem.encode()))
    if keys.fingerprint(keys.load_private(key).public_key()) != registered:
        return f"{key} is not the key that is registered for {identity.name}"
    return ""


def _connected(settings: Settings) -> sqlite3.Connection:
    return db.connect(settings.database, busy_s=BUSY_S, read_only=True)


def _in_time(work: Callable[[], T], box_s: float) -> T | None:
    """Return what `work` returns, or None when it raises or is not done in time; its thread is never waited for."""
    answer: queue.SimpleQueue[T | None] = queue.SimpleQueue()

    def answered() -> None:
        try:
            answer.put(work())
        except Exception:  # noqa: BLE001  (whatever went wrong, nobody knows then; a kill goes on)
            answer.put(None)

    threading.Thread(target=answered, name="evoguard-kill-lookup", daemon=True).start()
    try:
        return answer.get(timeout=box_s)
    except queue.Empty:
        return None
