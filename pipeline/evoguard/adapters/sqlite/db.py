"""One SQLite file: how it is opened, migrated and written to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from evoguard.errors import ConfigError, UnavailableError

LAYOUT = 2
"""Version of the tables. Another one is refused: a newer one is unknown, and 1 had roots that name no predecessor."""


def connect(path: Path, *, create: bool = False, busy_s: float = 5.0, read_only: bool = False) -> sqlite3.Connection:
    """Open the database in autocommit mode with WAL and full durability.

    Raises: ConfigError when it is missing (unless `create`), of a newer or older evoguard, or not ours;
    UnavailableError when another process holds it longer than `busy_s`.
    """
    if not create and not path.exists():
        raise ConfigError(
            "there is no state here", code="state.missing", fix="run `evoguard init`, or pass --state DIR"
        )
    mode = "ro" if read_only else ("rwc" if create else "rw")
    try:
        con = sqlite3.connect(f"file:{path}?mode={mode}", uri=True, isolation_level=None, timeout=busy_s,
                              check_same_thread=False)  # fmt: skip
    except sqlite3.Error as err:
        raise _translated(err) from err
    try:
        con.execute(f"pragma busy_timeout={int(busy_s * 1000)}")
        if not read_only:
            con.execute("pragma journal_mode=wal")
        con.execute("pragma synchronous=full")
        con.execute("pragma foreign_keys=on")
        _migrate(con, create=create)
    except sqlite3.Error as err:
        con.close()
        if "not a database" in str(err) or "malformed" in str(err):
            raise ConfigError(
                f"{path.name} is not a database that can be read", code="state.broken", fix="restore it from a backup"
            ) from err
        raise _translated(err) from err
    except ConfigError:
        con.close()
        raise
    return con


def _migrate(con: sqlite3.Connection, *, create: bool) -> None:
    layout = con.execute("pragma user_version").fetchone()[0]
    if layout > LAYOUT:
        raise ConfigError("this state was written by a newer evoguard", code="state.newer", fix="upgrade evoguard")
    if layout == 0 and not create:
        raise ConfigError(
            "this file is not an evoguard database", code="state.foreign", fix="pass the right --state DIR"
        )
    if 0 < layout < LAYOUT:
        raise ConfigError(
            f"this state has layout {layout}, written by an older evoguard; this one reads layout {LAYOUT}",
            code="state.older",
            fix="use that version for it, or `evoguard init` a new state folder",
        )
    if layout == 0:
        _make_tables(con)


def in_memory() -> sqlite3.Connection:
    """Return an empty database with the same tables that no file holds: what events make is replayed into it."""
    con = sqlite3.connect(":memory:", isolation_level=None)
    _make_tables(con)
    return con


def _make_tables(con: sqlite3.Connection) -> None:
    schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
    con.executescript(schema)
    con.execute(f"pragma user_version={LAYOUT}")


@contextmanager
def transaction(con: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block in one write transaction: everything or nothing.

    Raises: UnavailableError when the database is locked, full or read-only; nothing was written then.
    """
    try:
        con.execute("begin immediate")
    except sqlite3.Error as err:
        raise _translated(err) from err
    try:
        yield con
        con.execute("commit")
    except sqlite3.IntegrityError:
        _rollback(con)
        raise
    except sqlite3.Error as err:
        _rollback(con)
        raise _translated(err) from err
    except BaseException:
        _rollback(con)
        raise


def _rollback(con: sqlite3.Connection) -> None:
    if con.in_transaction:
        con.execute("rollback")


def _translated(err: sqlite3.Error) -> UnavailableError:
    text = str(err)
    if "locked" in text or "busy" in text:
        return UnavailableError(
            "database", "another process holds the database", fix="try again; see `evoguard doctor`"
        )
    if "full" in text:
        return UnavailableError("database", "the disk is full; nothing was stored", fix="free space, then try again")
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return UnavailableError("database", "the state folder cannot be written", fix="check owner, mode and disk")
    return UnavailableError("database", f"SQLite said: {text[:120]}", fix="see `evoguard doctor`")
