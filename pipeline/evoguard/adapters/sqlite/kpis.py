"""KPI batches: checked before they are kept, stored once, added up as they come.

What was added up is kept in memory only. It is worth one reading of the batches, so whoever starts anew reads them
once; in the file it would be a second truth beside the batches, which a look would have to prove before use.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Literal, cast, get_args

from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.canonical import canonical
from evoguard.domain.fold import Fold, StageEntry, Tally
from evoguard.domain.kpi import Arm, Assurance, BadEvent, KpiBatch, ValueSeen
from evoguard.domain.rollout import Plan
from evoguard.errors import InputError, IntegrityError, UnavailableError

MAX_BATCH_BYTES = 262_144
MAX_BAD = 2_000
MAX_VALUES = 2_000
MAX_VALUE = 10**12
MAX_EXPOSED = 1_000_000
MAX_FOLDS = 64
"""Rollouts whose sums are remembered; the one not looked at for longest goes first, and is read anew when needed."""
_CHUNK = 4_096
Stored = Literal["stored", "repeated"]

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}\Z")
_FIELDS = frozenset({"id", "component", "change", "at", "exposed", "bad"})
_MAY = frozenset({"values"})
_IGNORED = frozenset({"latency_ms", "assurance"})
"""Sent by routers but not kept; the assurance is the token's, whatever a body says."""


class SqliteKpis:
    """Batches in the one SQLite file, in order of arrival."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self._folds: dict[str, tuple[Fold, int]] = {}
        """By change: the sums, and the number of the last batch in them. Oldest look first."""

    async def batches(self, change: str) -> tuple[KpiBatch, ...]:
        """Return every batch of a rollout in order of arrival.

        Raises: UnavailableError when the database gives no answer, IntegrityError when a row cannot be read.
        """
        try:
            rows = self._con.execute(
                "select body, assurance from kpi where change=? order by seq", (change,)
            ).fetchall()
        except sqlite3.Error as err:
            raise UnavailableError("kpis", "the database gave no batches") from err
        return tuple(_read_back(body, assurance) for body, assurance in rows)

    async def tally(self, plan: Plan, entries: tuple[StageEntry, ...], *, now_ms: int) -> Tally:
        """Return what all batches of the plan's rollout say, reading those that came since the last look.

        Raises: as `batches`; ValueError when no stage was entered.
        """
        fold, seq = self._folds.get(plan.change) or (Fold(plan.margins, entries, plan.values), 0)
        if not fold.serves(plan.margins, entries, now_ms, plan.values):
            fold, seq = Fold(plan.margins, entries, plan.values), 0
        new = self._after(plan.change, seq)
        self._folds.pop(plan.change, None)  # one that is interrupted from here on is not used again
        fold.enter(entries)
        while new:
            fold.take(batch for _, batch in new)
            seq = new[-1][0]
            new = self._after(plan.change, seq)
        tally = fold.tally(now_ms)
        self._folds[plan.change] = fold, seq
        if len(self._folds) > MAX_FOLDS:
            del self._folds[next(iter(self._folds))]
        return tally

    def _after(self, change: str, seq: int) -> list[tuple[int, KpiBatch]]:
        """Return the next batches with their numbers, in order of arrival."""
        try:
            rows = self._con.execute(
                "select seq, body, assurance from kpi where change=? and seq>? order by seq limit ?",
                (change, seq, _CHUNK),
            ).fetchall()
        except sqlite3.Error as err:
            raise UnavailableError("kpis", "the database gave no batches") from err
        return [(number, _read_back(body, assurance)) for number, body, assurance in rows]

    def store(self, batch_json: str | bytes, assurance: Assurance, *, now_ms: int | None = None) -> Stored:
        """Keep one batch; the same one again changes nothing. A time in the future of `now_ms` becomes `now_ms`.

        Raises: InputError (`kpi.*`) for what is malformed, out of bounds, or another batch under a known id
        (`kpi.repeated`); UnavailableError when nothing could be stored.
        """
        batch = parse_batch(batch_json, assurance, now_ms=now_ms)
        doc = batch.as_json()
        kept = {key: doc[key] for key in sorted(_FIELDS | _MAY) if key in doc}
        with transaction(self._con) as con:
            row = con.execute("select body, assurance from kpi where id=?", (batch.id,)).fetchone()
            if row is not None:
                if (_timeless(row[0]), row[1]) != (_timeless(canonical(kept).decode()), assurance):
                    raise InputError("another batch was stored under this id", code="kpi.repeated")
                return "repeated"
            con.execute(
                "insert into kpi(id, change, component, at, body, assurance) values(?,?,?,?,?,?)",
                (batch.id, batch.change, batch.component, batch.at, canonical(kept).decode(), assurance),
            )
        return "stored"


def parse_batch(batch_json: str | bytes, assurance: Assurance, *, now_ms: int | None = None) -> KpiBatch:
    """Return the batch that a body holds, every field checked. Raises: InputError (`kpi.*`)."""
    if assurance not in get_args(Assurance):
        raise InputError("nobody counted this batch", code="kpi.assurance")
    doc = _document(batch_json)
    exposed = doc["exposed"]
    if not isinstance(exposed, dict) or set(exposed) != set(get_args(Arm)):
        raise _bad("exposed names known_good and candidate, and nothing else")
    at = _count(doc["at"], "at", most=2**53)
    return KpiBatch(
        id=_label(doc["id"], "id"),
        change=_label(doc["change"], "change"),
        component=_label(doc["component"], "component"),
        at=at if now_ms is None else min(at, now_ms),
        exposed_known_good=_count(exposed["known_good"], "exposed.known_good", most=MAX_EXPOSED),
        exposed_candidate=_count(exposed["candidate"], "exposed.candidate", most=MAX_EXPOSED),
        bad=_bad_events(doc["bad"]),
        assurance=assurance,
        values=_values(doc.get("values", [])),
    )


def _document(batch_json: str | bytes) -> Mapping[str, object]:
    if len(batch_json) > MAX_BATCH_BYTES:
        raise InputError("a batch has at most 256 KiB", code="kpi.too_big", fix="post more often")
    try:
        doc = json.loads(batch_json)
    except (ValueError, RecursionError) as err:
        raise _bad("not JSON") from err
    if not isinstance(doc, dict):
        raise _bad("a batch is an object")
    if set(doc) - _IGNORED - _MAY != _FIELDS:
        raise _bad("a batch has id, component, change, at, exposed and bad, and may have values and latency_ms")
    return doc


def _bad_events(value: object) -> tuple[BadEvent, ...]:
    if not isinstance(value, list) or len(value) > MAX_BAD:
        raise _bad(f"bad is a list of at most {MAX_BAD} events")
    found = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"unit", "arm", "kpi"} or item["arm"] not in get_args(Arm):
            raise _bad("a bad event has unit, arm (known_good or candidate) and kpi")
        found.append(BadEvent(_label(item["unit"], "unit"), cast(Arm, item["arm"]), _label(item["kpi"], "kpi")))
    return tuple(found)


def _values(value: object) -> tuple[ValueSeen, ...]:
    if not isinstance(value, list) or len(value) > MAX_VALUES:
        raise _bad(f"values is a list of at most {MAX_VALUES}")
    found = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"unit", "arm", "kpi", "value"}:
            raise _bad("a value has unit, arm, kpi and value")
        if item["arm"] not in get_args(Arm):
            raise _bad("the arm of a value is known_good or candidate")
        number = _count(item["value"], "value", most=MAX_VALUE)
        found.append(ValueSeen(_label(item["unit"], "unit"), item["arm"], _label(item["kpi"], "kpi"), number))
    return tuple(found)


def _label(value: object, where: str) -> str:
    if not isinstance(value, str) or not _LABEL.match(value):
        raise _bad(f"{where} is 1-80 of letters, digits and ._:-")
    return value


def _count(value: object, where: str, *, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _bad(f"{where} is a whole number from 0 to {most}")
    return value


def _bad(message: str) -> InputError:
    return InputError(f"KPI batch: {message}", code="kpi.invalid")


def _timeless(body: str) -> dict[str, object]:
    """Return a stored body without its time, which the server may have corrected."""
    return {key: value for key, value in json.loads(body).items() if key != "at"}


def _read_back(body: str, assurance: str) -> KpiBatch:
    try:
        return parse_batch(body, cast(Assurance, assurance))
    except InputError as err:
        raise IntegrityError("a stored KPI batch is unreadable", code="kpi.unreadable") from err
