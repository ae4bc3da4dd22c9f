"""Flags in the one SQLite file: written by the rollout, read by the flag server."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect, transaction
from evoguard.adapters.sqlite.kpis import SqliteKpis, Stored
from evoguard.domain.flag import FlagState, is_flag_name
from evoguard.domain.kpi import Assurance
from evoguard.domain.version import versions_in
from evoguard.errors import FencedError, InputError, UnavailableError
from evoguard.ports.latches import Latches

MAX_SEEN = 1_000
"""SDK instances that are remembered; the longest unheard goes first."""
BUSY_S = 0.25
"""The flag server would rather serve its memory than wait for a database."""

_COLUMNS = "flag, component, change, enabled, percent, known_good, candidate, lease_until, epoch"
_READ = (
    f"select {_COLUMNS}, coalesce((select value from meta where name='flags.versions.' || flag), '')"  # noqa: S608
    " from flags"
)


class SqliteFlags:
    """What the rollout wants served, fenced by the kill epoch."""

    def __init__(self, con: sqlite3.Connection, latches: Latches) -> None:
        self._con = con
        self._latches = latches

    async def claim(self, flag: str, change: str) -> None:
        """Make the flag the change's by a row of its own; what is served stays as it is, and no epoch is needed.

        Raises: InputError (`flag.taken`, `flag.invalid`); UnavailableError when nothing was stored.
        """
        if not (is_flag_name(flag) and is_flag_name(change)):
            raise InputError("a flag and its change have plain names", code="flag.invalid")
        with transaction(self._con) as con:
            _must_be_free(con, flag, change)
            con.execute("insert or replace into meta(name, value) values(?,?)", (_claim(flag), change))

    async def write(self, state: FlagState) -> None:
        """Make `state` what is served; writing it twice is writing it once.

        Raises: FencedError when a kill covers the flag since `state.epoch`, or a later decision is stored;
        InputError (`flag.claimed`, `flag.taken`, `flag.invalid`); UnavailableError when nothing was stored.
        """
        _check(state)
        with transaction(self._con) as con:
            self._fence(state)
            _must_be_free(con, state.flag, state.change)
            stored = _read(con, state.flag)
            if stored == state:
                return
            if stored is not None and stored.component != state.component:
                raise InputError("this flag belongs to another component", code="flag.claimed")
            if stored is not None and stored.epoch > state.epoch:
                raise FencedError("a later decision about this flag is stored", code="fenced.epoch")
            values = (*_values(state), _next_rev(con))
            con.execute(f"insert or replace into flags({_COLUMNS}, rev) values(?,?,?,?,?,?,?,?,?,?)", values)
            con.execute("delete from meta where name=?", (_versions(state.flag),))
            if state.versions:
                con.execute("insert into meta(name, value) values(?,?)", (_versions(state.flag), state.versions))

    async def off(self, flag: str) -> None:
        """Turn the flag off and drop its lease, keeping its payload; needs no epoch. Raises: UnavailableError."""
        with transaction(self._con) as con:
            stored = _read(con, flag)
            if stored is not None and stored.enabled:
                con.execute("update flags set enabled=0, lease_until=0, rev=? where flag=?", (_next_rev(con), flag))

    async def read(self, flag: str) -> FlagState | None:
        """Return the stored state, or None. Raises: UnavailableError."""
        try:
            return _read(self._con, flag)
        except sqlite3.Error as err:
            raise UnavailableError("flags", "the database gave no flag") from err

    def _fence(self, state: FlagState) -> None:
        board = self._latches.board()
        if board.killed(component=state.component, flag=state.flag):
            raise FencedError("a kill covers this flag", code="fenced.killed")
        if state.epoch < board.fence(component=state.component, flag=state.flag):
            raise FencedError("this was decided before a kill", code="fenced.epoch")


def _nothing() -> None:
    return None


class SqliteFlagStore:
    """What the flag server needs of the database. Every thread has a connection of its own; none waits long.

    `unguarded` reads the operator's own features document, which is no part of the database.
    """

    def __init__(self, path: Path, unguarded: Callable[[], bytes | None] = _nothing) -> None:
        self._path = path
        self.unguarded = unguarded
        self._local = threading.local()

    def rows(self) -> tuple[int, tuple[FlagState, ...]]:
        """Return the newest revision and every flag, from one instant. Raises: EvoguardError when unreadable."""
        con = self._connection()
        try:
            con.execute("begin")
            try:
                rev = con.execute("select value from meta where name='flags.rev'").fetchone()
                rows = con.execute(f"{_READ} order by flag").fetchall()
            finally:
                con.execute("rollback")
            return (int(rev[0]) if rev else 0), tuple(_state(row) for row in rows)
        except sqlite3.Error as err:
            raise self._lost(err) from err

    def guarded(self) -> frozenset[str]:
        """Return the flag of every change that there ever was, served or not. Raises: EvoguardError when unreadable."""
        try:
            rows = self._connection().execute("select flag from changes union select flag from flags").fetchall()
        except sqlite3.Error as err:
            raise self._lost(err) from err
        return frozenset(row[0] for row in rows if row[0])

    def tokens(self) -> dict[str, tuple[str, str]]:
        """Return token hash → (kind, assurance or environment) of every token. Raises: EvoguardError when unreadable.

        A row that is no digest and no kind that we know is left out: it lets nobody in.
        """
        try:
            return tokens.valid(self._connection())
        except sqlite3.Error as err:
            raise self._lost(err) from err

    def store_kpi(self, batch_json: bytes, assurance: str, *, now_ms: int) -> Stored:
        """Keep a batch, once. Raises: InputError (`kpi.*`), UnavailableError."""
        return SqliteKpis(self._connection()).store(batch_json, cast(Assurance, assurance), now_ms=now_ms)

    def seen(self, instance: str, app: str, body: str, *, now_ms: int) -> None:
        """Remember what an SDK instance last reported. Raises: UnavailableError."""
        with transaction(self._connection()) as con:
            con.execute(
                "insert or replace into sdk_seen(instance, app, at, body) values(?,?,?,?)",
                (instance, app, now_ms, body),
            )
            con.execute(
                "delete from sdk_seen where instance in"
                " (select instance from sdk_seen order by at desc limit -1 offset ?)",
                (MAX_SEEN,),
            )

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; a database file that was replaced is opened anew."""
        identity = _identity(self._path)
        held: tuple[sqlite3.Connection, tuple[int, int]] | None = getattr(self._local, "held", None)
        if held is not None and held[1] == identity:
            return held[0]
        if held is not None:
            held[0].close()
            self._local.held = None
        con = connect(self._path, busy_s=BUSY_S)
        self._local.held = (con, identity)
        return con

    def _lost(self, err: sqlite3.Error) -> UnavailableError:
        held = getattr(self._local, "held", None)
        if held is not None:
            held[0].close()
            self._local.held = None
        return UnavailableError("database", f"the flag rows could not be read: {str(err)[:80]}")


def _identity(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)


def _must_be_free(con: sqlite3.Connection, flag: str, change: str) -> None:
    """Raise InputError `flag.taken` when a change that is not over has claimed the flag, or is what it shows."""
    row = con.execute(
        "select id, repo from changes where outcome='' and id<>? and id in"
        " (select value from meta where name=? union select change from flags where flag=?)",
        (change, _claim(flag), flag),
    ).fetchone()
    if row is not None:
        text = f"the flag {flag} is held by {row[0]} of {row[1]}, which is not over"
        raise InputError(text, code="flag.taken", fix="wait until it ends, or name another flag")


def _versions(flag: str) -> str:
    return f"flags.versions.{flag}"


def _claim(flag: str) -> str:
    return f"flags.claim.{flag}"


def _read(con: sqlite3.Connection, flag: str) -> FlagState | None:
    row = con.execute(f"{_READ} where flag=?", (flag,)).fetchone()
    return None if row is None else _state(row)


def _state(row: tuple[str, str, str, int, int, str, str, int, int, str]) -> FlagState:
    flag, component, change, enabled, percent, known_good, candidate, lease_until, epoch, versions = row
    return FlagState(
        flag, component, change, bool(enabled), percent, known_good, candidate, lease_until, epoch, versions
    )


def _values(state: FlagState) -> tuple[str | int, ...]:
    return (
        state.flag, state.component, state.change, int(state.enabled), state.percent, state.known_good,
        state.candidate, state.lease_until, state.epoch,
    )  # fmt: skip


def _next_rev(con: sqlite3.Connection) -> int:
    con.execute(
        "insert into meta(name, value) values('flags.rev', '1')"
        " on conflict(name) do update set value=cast(cast(value as integer)+1 as text)"
    )
    return int(con.execute("select value from meta where name='flags.rev'").fetchone()[0])


def _check(state: FlagState) -> None:
    names = (state.flag, state.component, state.change)
    if not all(is_flag_name(name) for name in names) or max(len(state.known_good), len(state.candidate)) > 100:
        raise InputError("a flag, its component and its change have plain names", code="flag.invalid")
    numbers = (state.percent, state.lease_until, state.epoch)
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers) or state.percent > 100:
        raise InputError("percent is 0 to 100; lease and epoch are whole and not negative", code="flag.invalid")
    try:
        versions_in(state.versions)
    except ValueError as err:
        raise InputError(f"a flag's versions: {err}", code="flag.invalid") from err
    if len(json.dumps(state.as_json())) > 2_000:
        raise InputError("a flag's state is larger than 2,000 characters", code="flag.invalid")
