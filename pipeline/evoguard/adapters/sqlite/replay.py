"""The projections made anew from the events alone, and compared with the tables that the guard reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.projections import project
from evoguard.domain.events import StoredEvent

TABLES = ("changes", "identities", "holds", "kills", "nonces")
"""Every table that `project` alone makes. `due` is not: the worker plans there; it opens nothing."""
REMARKS: Mapping[str, frozenset[str]] = {"changes": frozenset({"detail"})}
"""Columns that the worker writes without an event: why a change does not move, for people; nothing decides by it."""
SHOWN = 5
"""Differences named for each table; the others are counted."""


class Replay:
    """A fresh database in memory that takes in the log, event by event."""

    def __init__(self) -> None:
        self._con = db.in_memory()
        self._con.execute("begin")  # never committed: it is looked at and thrown away

    def add(self, item: StoredEvent) -> str:
        """Apply one event; return why it cannot be, or an empty text."""
        try:
            project(self._con, item)
        except (sqlite3.Error, KeyError, TypeError, ValueError) as err:
            why = f"{type(err).__name__}: {str(err)[:80]}"
            return f"{item.stream} version {item.version} ({item.event.type}) cannot be applied: {why}"
        return ""

    def differences(self, con: sqlite3.Connection) -> list[str]:
        """Return how the tables of `con` differ from what the events make, table and key named."""
        return [line for table in TABLES for line in _bounded(table, _compared(table, self._con, con))]

    def close(self) -> None:
        """Forget everything."""
        self._con.close()


def _compared(table: str, made: sqlite3.Connection, found: sqlite3.Connection) -> list[str]:
    names = [(str(r[1]), bool(r[5])) for r in made.execute(f"pragma table_info({table})")]
    kept = [(name, is_key) for name, is_key in names if name not in REMARKS.get(table, ())]
    columns, key = [name for name, _ in kept], [n for n, (_, is_key) in enumerate(kept) if is_key]
    wanted, there = _rows(made, table, columns, key), _rows(found, table, columns, key)
    lines = []
    for mark in sorted(wanted.keys() | there.keys(), key=str):
        where = f"{table} {' '.join(str(part)[:60] for part in mark)}"
        if mark not in there:
            lines.append(f"{where}: the events make this row, and it is not there")
        elif mark not in wanted:
            lines.append(f"{where}: no event makes this row")
        elif wanted[mark] != there[mark]:
            pairs = zip(columns, wanted[mark], there[mark], strict=True)
            lines.append(f"{where}: not what the events say: {', '.join(c for c, a, b in pairs if a != b)}")
    return lines


def _rows(
    con: sqlite3.Connection, table: str, columns: list[str], key: list[int]
) -> dict[tuple[object, ...], tuple[object, ...]]:
    rows = con.execute(f"select {','.join(columns)} from {table}")  # noqa: S608  (names of our own schema)
    return {tuple(row[n] for n in key): tuple(row) for row in rows}


def _bounded(table: str, lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"{table}: {more} more rows differ"] if more > 0 else lines
