"""The state folder opened: what every process needs, without LangGraph, wasmtime or a web framework."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from evoguard.adapters import state_folder
from evoguard.adapters.artifacts import FileArtifacts
from evoguard.adapters.clock import SystemClock
from evoguard.adapters.git.epochs import Epochs
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.sqlite import db, event_log
from evoguard.adapters.sqlite.inbox import SqliteInbox
from evoguard.adapters.sqlite.queries import SqliteQueries
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """One connection and what reads and writes through it."""

    settings: Settings
    con: sqlite3.Connection
    clock: SystemClock
    queries: SqliteQueries
    inbox: SqliteInbox
    registry: SqliteRegistry
    latches: FileLatches
    artifacts: FileArtifacts

    def verifier(self) -> str:
        """Return the id that this installation's attestations carry, or an empty text."""
        row = self.con.execute("select value from meta where name='verifier'").fetchone()
        return str(row[0]) if row else ""

    def close(self) -> None:
        """Close the connection."""
        self.con.close()


def open_state(settings: Settings, *, busy_s: float = 5.0) -> Opened:
    """Open a checked state folder. Raises: ConfigError, UnavailableError."""
    state_folder.check(settings.state)
    con = db.connect(settings.database, busy_s=busy_s)
    clock = SystemClock(lambda: event_log.floor_ms(con))
    queries, registry = SqliteQueries(con), SqliteRegistry(con, clock)
    return Opened(
        settings=settings,
        con=con,
        clock=clock,
        queries=queries,
        inbox=SqliteInbox(con, clock),
        registry=registry,
        latches=FileLatches(
            settings.kill_dir, queries.identity_now, registry.known_kills, Epochs(settings.repos_dir).floor
        ),
        artifacts=FileArtifacts(settings.state / "artifacts"),
    )
