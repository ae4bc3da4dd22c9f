"""A rollout as it went: who met which version, both arms' rates with bands, and the evidence beside its bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evoguard.domain.breaker import cautious
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.evalues import milli
from evoguard.domain.events import StoredEvent
from evoguard.domain.fold import NO_VALUES, Count, Fold, StageEntry, Tally
from evoguard.domain.kpi import Arm, KpiBatch, ValueKpi
from evoguard.domain.plan import foreseen, plan_from
from evoguard.errors import InputError
from evoguard.ports import Pace
from evoguard.views.changes import found
from evoguard.views.reader import Doc, Reader, moment

POINTS = 72
"""Moments that are shown: about as many as a terminal has columns."""
BAND_Z = 1.96
"""Bands hold 95 % at one moment. They are for the eye; decisions rest on the e-values, which hold at all moments."""
USUAL = Pace()
ENDS = ("rollout.completed", "rollout.aborted", "change.killed", "change.known_good", "change.reverted")
ENTERS = ("rollout.opened", "rollout.widened")


class Batches(Protocol):
    """Gives the batches of a rollout in order of arrival. Raises: UnavailableError, IntegrityError."""

    async def batches(self, change: str) -> tuple[KpiBatch, ...]:
        """Return them."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the events and the approved plan say of a rollout."""

    entries: tuple[StageEntry, ...]
    end: StoredEvent | None
    component: Mapping[str, Json] = field(default_factory=dict)
    """The approved document; empty when nothing was mapped yet."""
    breaker: str = "closed"
    """The author's standing when the first stage was opened."""


async def rollout(
    reader: Reader, kpis: Batches, change: str, *, now_ms: int, points: int = POINTS, pace: Pace = USUAL
) -> Doc:
    """Return what a rollout needs, and its course at `points` moments, the last one now or when it ended.

    One that was not let out yet has a plan and no course. Raises: InputError (`rollout.none`) for a change without a
    flag, or of which nothing is known yet; IntegrityError, UnavailableError.
    """
    row = await found(reader, change)
    told = await _told(reader, change)
    if not told.component:
        raise InputError(f"{change} was never rolled out", code="rollout.none", fix=f"evoguard show {change}")
    plan = plan_from(
        told.component, dwell_s=pace.dwell_s, disaster_exposures=pace.disaster_exposures,
        evidence_from_percent=pace.evidence_from_percent, silent_s=pace.silent_s,
    )  # fmt: skip
    plan = plan if told.breaker == "closed" else cautious(plan)
    until = told.end.at if told.end else now_ms
    course: list[Tally] = []
    if told.entries:
        seen = await kpis.batches(change)
        course = course_of(plan.margins, told.entries, seen, until, points, plan.values)
    return {
        "change": change,
        "status": row.status,
        "component": row.component,
        "flag": row.flag,
        "breaker": told.breaker,
        "ended": told.end.event.type if told.end else "",
        "reason": told.end.event.reason if told.end else "",
        "stages": [{"percent": e.percent, "entered": moment(e.entered_at)} for e in told.entries],
        "abort_bound_milli": milli(plan.abort_bound),
        "promote_bound_milli": milli(plan.promote_bound),
        "kpis": dict(sorted(plan.margins.items())),
        "values": {kpi: declared.as_json() for kpi, declared in sorted(plan.values.items())},
        "needs": foreseen(told.component, plan),
        "points": [point(tally) for tally in course],
    }


def course_of(
    margins: Mapping[str, int],
    entries: tuple[StageEntry, ...],
    batches: Sequence[KpiBatch],
    until: int,
    points: int,
    values: Mapping[str, ValueKpi] = NO_VALUES,
) -> list[Tally]:
    """Return what was known at evenly spaced moments from the first stage's entry to `until`.

    A batch is known from its own time on, a stage from its entry on; each is taken once.
    """
    first = entries[0].entered_at
    span = max(1, until - first)
    waiting = sorted(batches, key=lambda batch: batch.at)
    fold, at, taken = Fold(margins, entries[:1], values), 0, []
    for n in range(1, points + 1):
        now = first + span * n // points
        for entry in range(1, len(entries) + 1):
            if entries[entry - 1].entered_at > now:
                break
            until_entry = entries[entry].entered_at if entry < len(entries) else now + 1
            due = at
            while due < len(waiting) and waiting[due].at < min(until_entry, now + 1):
                due += 1
            if len(fold.entries) < entry:
                fold.enter(entries[:entry])
            fold.take(waiting[at:due])
            at = due
        taken.append(fold.tally(now))
    return taken


def point(tally: Tally) -> Doc:
    """Return one moment as plain JSON: units and bad ones of this stage by arm, rates with bands, e-values.

    Rates in parts of a million, e-values in thousandths.
    """
    kpis: Doc = {}
    for kpi in sorted(tally.aborts):
        arms: Doc = {arm: _arm(tally.stage, kpi, arm) for arm in ("known_good", "candidate")}
        kpis[kpi] = {
            **arms,
            "values": {arm: tally.stage.valued.get((kpi, arm), 0) for arm in ("known_good", "candidate")},
            "abort_e_milli": milli(tally.aborts[kpi]),
            "promote_e_milli": milli(tally.promotes[kpi]),
        }
    return {
        "at": moment(tally.now_ms),
        "percent": tally.entries[-1].percent,
        "ratio_e_milli": milli(tally.ratio),
        "known_good": tally.before.known_good + tally.stage.known_good,
        "candidate": tally.before.candidate + tally.stage.candidate,
        "kpis": kpis,
    }


def wilson(bad: int, units: int) -> tuple[float, float]:
    """Return the 95 % band of a rate (Wilson 1927), each end from 0 to 1; (0, 1) when nothing was counted."""
    if units <= 0:
        return 0.0, 1.0
    bad = min(bad, units)
    rate, square = bad / units, BAND_Z * BAND_Z
    middle = (rate + square / (2 * units)) / (1 + square / units)
    half = BAND_Z * math.sqrt(rate * (1 - rate) / units + square / (4 * units * units)) / (1 + square / units)
    return max(0.0, middle - half), min(1.0, middle + half)


def _arm(stage: Count, kpi: str, arm: Arm) -> Doc:
    units = stage.known_good if arm == "known_good" else stage.candidate
    bad = stage.bad.get((kpi, arm), 0)
    low, high = wilson(bad, units)
    rate = _millionths(min(bad, units) / units) if units else None
    return {"units": units, "bad": bad, "rate_ppm": rate, "low_ppm": _millionths(low), "high_ppm": _millionths(high)}


def _millionths(rate: float) -> int:
    """Return a rate in whole parts of a million: documents hold no fractions."""
    return round(rate * 1_000_000)


async def _told(reader: Reader, change: str) -> Told:
    stored = await reader.events(f"change/{change}")
    entries = tuple(
        StageEntry(int(str(item.event.body["percent"])), item.at) for item in stored if item.event.type in ENTERS
    )
    end = next((item for item in stored if item.event.type in ENDS), None)
    mapped = [item.event.body["impact"] for item in stored if item.event.type == "change.mapped"]
    if not mapped:
        return Told((), None)
    impact: dict[str, Json] = json.loads(await reader.artifact(Digest(str(mapped[-1]))))
    component = impact["component"]
    opened = [item.event.body for item in stored if item.event.type == "rollout.opened"]
    breaker = str(opened[0].get("breaker", "closed")) if opened else "closed"
    return Told(entries, end, component if isinstance(component, dict) and component.get("flag") else {}, breaker)
