"""The append-only event log: one hash chain a stream, events and their projections in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from evoguard.adapters.sqlite.projections import project
from evoguard.domain.canonical import canonical
from evoguard.domain.events import FORMAT, Event, StoredEvent, event_from, link
from evoguard.errors import FencedError, IntegrityError


def append(con: sqlite3.Connection, stream: str, events: Sequence[Event], *, now_ms: int) -> tuple[StoredEvent, ...]:
    """Append events to a stream inside the caller's transaction; consume the messages that caused them.

    Raises: FencedError when another writer extended the stream first; the caller's transaction must roll back.
    """
    row = con.execute(
        "select version, hash from events where stream=? order by version desc limit 1", (stream,)
    ).fetchone()
    version, prev = row or (0, "")
    at = max(now_ms, floor_ms(con))
    stored = []
    for event in events:
        version += 1
        mark = link(stream, version, at, event, prev)
        stored.append(StoredEvent(stream, version, at, event, prev, mark))
        prev = mark
    try:
        con.executemany(
            "insert into events(format,stream,version,at,type,body,actor,reason,causation,prev_hash,hash)"
            " values(?,?,?,?,?,?,?,?,?,?,?)",
            [_row(s) for s in stored],
        )
    except sqlite3.IntegrityError as err:
        raise FencedError(f"another driver extended {stream} first", code="fenced.stream") from err
    for item in stored:
        _consume(con, item.event)
        project(con, item)
    return tuple(stored)


def read(con: sqlite3.Connection, stream: str) -> tuple[StoredEvent, ...]:
    """Return a stream in order, each link checked.

    Raises: IntegrityError for a row that is unreadable, from a newer evoguard, or not linked to the one before.
    """
    rows = con.execute(
        "select format,version,at,type,body,actor,reason,causation,prev_hash,hash"
        " from events where stream=? order by version",
        (stream,),
    )
    return tuple(checked(stream, rows))


def checked(stream: str, rows: Iterable[tuple[object, ...]]) -> Iterable[StoredEvent]:
    """Yield stored events, proving each link. Raises: IntegrityError naming stream and version."""
    prev = ""
    for expected, row in enumerate(rows, start=1):
        item = proved(stream, row, expected, prev)
        prev = item.hash
        yield item


def proved(stream: str, row: tuple[object, ...], expected: int, prev: str) -> StoredEvent:
    """Return the event of one row that must be version `expected`, linked to hash `prev`. Raises: IntegrityError."""
    fmt, version, at, kind, body, actor, reason, causation, prev_hash, mark = row
    where = f"{stream} version {version}"
    if fmt != FORMAT:
        raise IntegrityError(f"{where} was written by a newer evoguard", code="log.newer", fix="upgrade evoguard")
    if version != expected:
        raise IntegrityError(f"{stream} has a gap before version {version}", code="log.gap")
    event = _event(where, kind, body, actor, reason, causation)
    if prev_hash != prev or link(stream, int(str(version)), int(str(at)), event, prev) != mark:
        raise IntegrityError(f"{where} does not match its hash", code="log.broken_link")
    return StoredEvent(stream, expected, int(str(at)), event, str(prev_hash), str(mark))


def floor_ms(con: sqlite3.Connection) -> int:
    """Return the time of the newest event; the log's clock never goes below it."""
    row = con.execute("select at from events order by seq desc limit 1").fetchone()
    return int(row[0]) if row else 0


def _event(where: str, kind: object, body: object, actor: object, reason: object, causation: object) -> Event:
    try:
        parsed = json.loads(str(body))
        if canonical(parsed).decode("utf-8") != body:  # two readers could read two things, such as a key given twice
            raise ValueError("not the one form in which events are written")
    except (ValueError, RecursionError) as err:
        raise IntegrityError(f"{where} is not readable", code="log.unreadable") from err
    return event_from({"type": kind, "body": parsed, "actor": actor, "reason": reason, "causation": causation})


def _row(item: StoredEvent) -> tuple[object, ...]:
    event = item.event
    body = canonical(dict(event.body)).decode("utf-8")
    return (FORMAT, item.stream, item.version, item.at, event.type, body, event.actor, event.reason, event.causation,
            item.prev_hash, item.hash)  # fmt: skip


def _consume(con: sqlite3.Connection, event: Event) -> None:
    if event.causation.startswith("inbox/"):
        con.execute("update inbox set consumed=1 where id=?", (int(event.causation.removeprefix("inbox/")),))
