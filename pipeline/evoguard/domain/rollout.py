"""A rollout judged: widen on evidence, abort on evidence, hold on silence, go down when the data dies.

Two worlds must both be safe. In one, bad events belong to units that were new in their batch; then the batch's own
share is exact. In the other, a unit comes back later and fails for the first time; then its arm follows the share
that the flag had. So the abort test uses the larger of the two shares and the promotion test the smaller: either
choice can only weaken the evidence for what it would allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from evoguard.domain.evalues import EProcess, abort_process, binomial_log_e, milli, promote_process
from evoguard.domain.kpi import COUNTED_OUTSIDE, Arm, KpiBatch

Action = Literal["hold", "widen", "complete", "abort"]
RESTART_MS = 60_000
ABORT_GROUP, ABORT_GROUP_MS = 20, 2_000
PROMOTE_GROUP = 100
"""Units below which a batch waits for the next: the share of a handful of units says more about luck than routing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was approved about the rollout. Margins in percent: 200 reads "not worse than twice known-good's rate"."""

    stages: tuple[int, ...]
    margins: Mapping[str, int]
    dwell_s: int
    disaster_exposures: int
    evidence_from_percent: int
    silent_s: int
    alpha: float = 0.01
    """Chance to abort a healthy rollout, shared evenly by the KPIs."""
    promote_alpha: float = 0.05
    """Chance that a candidate worse than a margin passes that KPI at one stage."""
    change: str = ""
    """When set, batches of any other change are ignored."""

    @property
    def abort_bound(self) -> float:
        """Return the log of the e-value at which one KPI aborts."""
        return math.log(max(1, len(self.margins)) / self.alpha)

    @property
    def promote_bound(self) -> float:
        """Return the log of the e-value that every KPI needs at a stage."""
        return -math.log(self.promote_alpha)


@dataclass(frozen=True, slots=True)
class StageEntry:
    """When the rollout entered a stage; unix milliseconds."""

    percent: int
    entered_at: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do now and why: a stable code, a text for people, and whole-number figures for the event."""

    action: Action
    code: str
    reason: str
    next_percent: int = 0
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Count:
    """Units that were new in a batch or group, and the bad events among them by KPI and arm."""

    at: int
    known_good: int
    candidate: int
    bad: Mapping[tuple[str, Arm], int]

    @property
    def units(self) -> int:
        """Return how many units were new, in both arms."""
        return self.known_good + self.candidate

    def plus(self, other: Count) -> Count:
        """Return both together; the time is that of the first."""
        bad = {key: self.bad.get(key, 0) + other.bad.get(key, 0) for key in (*self.bad, *other.bad)}
        return Count(self.at, self.known_good + other.known_good, self.candidate + other.candidate, bad)

    def seen_by(self, process: EProcess, kpi: str, share: float) -> EProcess:
        """Return the process after this group's events of one KPI."""
        bad = self.bad.get((kpi, "candidate"), 0), self.bad.get((kpi, "known_good"), 0)
        return process.seen(share, candidate=bad[0], known_good=bad[1])


def judge(plan: Plan, entries: tuple[StageEntry, ...], batches: tuple[KpiBatch, ...], now_ms: int) -> Judgement:
    """Tell what the counted outcomes allow now. It holds unless something else is proved; only an abort needs no time.

    Batches are taken in order of arrival. What the candidate reports about itself may abort, never promote, and never
    touches the evidence that was counted outside.
    """
    if not entries or not plan.stages:
        return Judgement("hold", "rollout.not_open", "no stage was entered yet")
    mine = tuple(b for b in batches if plan.change in ("", b.change))
    outside = counts(b for b in mine if b.assurance in COUNTED_OUTSIDE)
    inside = counts(b for b in mine if b.assurance not in COUNTED_OUTSIDE)
    aborts = {kpi: abort_evidence(kpi, entries, (outside, inside), now_ms) for kpi in plan.margins}
    stage = [c for c in outside if entries[-1].entered_at <= c.at <= now_ms]
    promotes = {kpi: promote_evidence(kpi, margin, entries[-1].percent, stage) for kpi, margin in plan.margins.items()}
    total = _sum(stage)
    figures = _figures(plan, entries[-1].percent, total, (aborts, promotes))
    worst = max(aborts, key=lambda kpi: aborts[kpi], default="")
    if worst and aborts[worst] >= plan.abort_bound:
        proof = f"e-value {_show(aborts[worst])}, bound {_show(plan.abort_bound)}"
        text = f"{worst}: the candidate is worse than known-good ({proof})"
        return Judgement("abort", "rollout.kpi_worse", text, figures=figures)
    if entries[-1].percent >= 100 and (fall := _worse_than_before(plan, entries[-1], outside, now_ms)):
        return replace(fall, figures=figures)
    verdict = (
        _waiting(plan, entries[-1], outside, now_ms)
        or _uncounted(entries[-1], total)
        or _stage(plan, entries[-1], total, promotes)
    )
    return replace(verdict, figures=figures)


def counts(batches: Iterable[KpiBatch]) -> tuple[Count, ...]:
    """Return what each batch adds: a batch id once, and for each KPI only the first bad event of a unit."""
    ids: set[str] = set()
    units: set[tuple[str, str]] = set()
    found = []
    for batch in batches:
        if batch.id in ids:
            continue
        ids.add(batch.id)
        bad: dict[tuple[str, Arm], int] = {}
        for event in batch.bad:
            if (event.kpi, event.unit) not in units:
                units.add((event.kpi, event.unit))
                bad[event.kpi, event.arm] = bad.get((event.kpi, event.arm), 0) + 1
        found.append(Count(batch.at, batch.exposed_known_good, batch.exposed_candidate, bad))
    return tuple(found)


def abort_evidence(
    kpi: str, entries: tuple[StageEntry, ...], streams: tuple[tuple[Count, ...], ...], now_ms: int
) -> float:
    """Return the highest log e-value for "worse than known-good" that any stream of counts ever reached.

    Streams of different trust are never mixed: a candidate that blames the other arm must not thin out honest counts.
    """
    peak = 0.0
    for stream in streams:
        process = abort_process()
        clock = entries[0].entered_at
        for group in _groups(stream, entries, now_ms):
            if _restart_due(clock, group.at, entries):
                process = process.restarted()
            clock = max(clock, group.at)
            flagged = _entry_at(entries, group.at).percent / 100
            process = group.seen_by(process, kpi, max(_share(group), flagged))
        peak = max(peak, process.peak)
    return peak


def promote_evidence(kpi: str, margin_percent: int, percent: int, stage: Iterable[Count]) -> float:
    """Return the log e-value for "not worse than the margin" from the counts of one stage.

    An unfinished group counts only where it speaks against the candidate.
    """
    process = promote_process(margin_percent / 100)
    group, total = Count(0, 0, 0, {}), Count(0, 0, 0, {})
    for count in stage:
        group, total = group.plus(count), total.plus(Count(count.at, count.known_good, count.candidate, {}))
        if group.units >= PROMOTE_GROUP:
            process = _weighed(process, kpi, group, _promote_share(group, total, percent / 100), percent)
            group = Count(0, 0, 0, {})
    unfinished = _weighed(process, kpi, group, _promote_share(group, total, percent / 100), percent)
    return min(process.log_e, unfinished.log_e)


def _weighed(process: EProcess, kpi: str, group: Count, share: float, percent: int) -> EProcess:
    """Return the process after a group; where no new unit met the candidate, only its bad events count."""
    if share > 0.0:
        return group.seen_by(process, kpi, share)
    return process.seen(percent / 100, candidate=group.bad.get((kpi, "candidate"), 0), known_good=0)


def _promote_share(group: Count, total: Count, flagged: float) -> float:
    """Return the flag's share while group and stage look like it (two standard deviations), else the smaller one."""
    for seen in (group, total):
        if _share(seen) < flagged - 2.0 * math.sqrt(flagged * (1.0 - flagged) / max(1, seen.units)):
            return min(_share(group), flagged)
    return flagged


def _groups(stream: tuple[Count, ...], entries: tuple[StageEntry, ...], now_ms: int) -> Iterator[Count]:
    """Yield groups of a stage's batches with enough units for a share, or that waited long enough."""
    group: Count | None = None
    for count in stream:
        if group is not None and (
            count.at - group.at >= ABORT_GROUP_MS or _entry_at(entries, count.at) != _entry_at(entries, group.at)
        ):
            yield group
            group = None
        group = count if group is None else group.plus(count)
        if group.units >= ABORT_GROUP:
            yield group
            group = None
    if group is not None and now_ms - group.at >= ABORT_GROUP_MS:
        yield group


def _restart_due(clock: int, at: int, entries: tuple[StageEntry, ...]) -> bool:
    """Tell whether a full minute or a new stage began after `clock`, at or before `at`."""
    first = entries[0].entered_at
    minute = (at - first) // RESTART_MS > (clock - first) // RESTART_MS
    return at > clock and (minute or any(clock < e.entered_at <= at for e in entries[1:]))


def _entry_at(entries: tuple[StageEntry, ...], at: int) -> StageEntry:
    return next((e for e in reversed(entries) if e.entered_at <= at), entries[0])


def _share(count: Count) -> float:
    return count.candidate / count.units if count.units else 0.0


def _sum(stage: Iterable[Count]) -> Count:
    total = Count(0, 0, 0, {})
    for count in stage:
        total = total.plus(count)
    return total


def _waiting(plan: Plan, entry: StageEntry, outside: tuple[Count, ...], now_ms: int) -> Judgement | None:
    """Return why nothing may widen yet, whatever was counted; None when the stage may be judged."""
    if now_ms < entry.entered_at:
        return Judgement("hold", "rollout.clock", "the clock reads a time before this stage was entered")
    if not plan.margins:
        return Judgement("hold", "rollout.no_kpi", "no KPI is named for this component, so nothing can prove it")
    alive = max((c.at for c in outside if entry.entered_at <= c.at <= now_ms), default=entry.entered_at)
    if now_ms - alive > plan.silent_s * 1000:
        text = f"no batch counted outside the candidate arrived for more than {plan.silent_s} s"
        return Judgement("abort", "rollout.silent", text)
    if now_ms - entry.entered_at < plan.dwell_s * 1000:
        return Judgement("hold", "rollout.dwell", f"a stage lasts at least {plan.dwell_s} s")
    return None


def _worse_than_before(plan: Plan, entry: StageEntry, outside: tuple[Count, ...], now_ms: int) -> Judgement | None:
    """Return an abort when the last stage, without a control arm, is worse than margin times the rate before.

    The bound is a binomial e-value against that rate (with one more failure added, so that a rate of zero is none).
    A baseline that drifts by less than the margin does not abort; one that drifts by more may, and going down is safe.
    """
    before = _sum(c for c in outside if c.at < entry.entered_at)
    after = _sum(c for c in outside if entry.entered_at <= c.at <= now_ms)
    for kpi, margin in plan.margins.items():
        usual = (before.bad.get((kpi, "known_good"), 0) + 1) / (before.known_good + 2)
        null = min(0.5, margin / 100 * usual)
        bad, units = after.bad.get((kpi, "candidate"), 0), max(after.candidate, after.bad.get((kpi, "candidate"), 0))
        found = [binomial_log_e(bad, units, null=null, other=min(0.99, null * k)) for k in (1.5, 2.0, 4.0, 8.0)]
        if max(found) - math.log(len(found)) >= plan.abort_bound:
            text = f"{kpi}: {bad} of {units} units failed at 100 %, worse than {margin / 100:g} times the rate before"
            return Judgement("abort", "rollout.worse_than_before", text)
    return None


def _uncounted(entry: StageEntry, total: Count) -> Judgement | None:
    """Return why the counts of this stage are no evidence at all; None when both arms that exist were counted."""
    if total.units == 0:
        text = "nobody was counted outside the candidate since this stage was entered"
        return Judgement("hold", "rollout.no_data", text)
    if total.candidate == 0 or (total.known_good == 0 and entry.percent < 100):
        arm = "candidate" if total.candidate == 0 else "known-good"
        return Judgement("hold", "rollout.one_armed", f"no new unit met the {arm} version since this stage was entered")
    return None


def _full(plan: Plan, units: int) -> Judgement:
    if units < plan.disaster_exposures:
        text = f"{units} of {plan.disaster_exposures} units counted at 100 %"
        return Judgement("hold", "rollout.needs_units", text)
    text = f"{units} units met the candidate; at 100 % no control arm is left, only the rate of the stages before"
    return Judgement("complete", "rollout.full", text)


def _stage(plan: Plan, entry: StageEntry, total: Count, promotes: Mapping[str, float]) -> Judgement:
    """Return what the counts of this stage allow, after its least time."""
    later = next((percent for percent in plan.stages if percent > entry.percent), 0)
    if entry.percent >= 100:
        return _full(plan, total.candidate)
    if not later:
        return Judgement("hold", "rollout.no_stage", f"the plan names no stage after {entry.percent} %")
    if entry.percent < plan.evidence_from_percent:
        if total.units < plan.disaster_exposures:
            text = f"{total.units} of {plan.disaster_exposures} units counted"
            return Judgement("hold", "rollout.needs_units", text)
        text = f"no disaster among {total.candidate} candidate units; a stage this small only catches disasters"
        return Judgement("widen", "rollout.only_disasters", text, later)
    weakest = min(promotes, key=lambda kpi: promotes[kpi])
    text = f"{weakest}: e-value {_show(promotes[weakest])} for not worse than x{plan.margins[weakest] / 100:g}"
    if promotes[weakest] < plan.promote_bound:
        return Judgement("hold", "rollout.needs_evidence", f"{text}, needs {_show(plan.promote_bound)}")
    return Judgement("widen", "rollout.evidence", text, later)


def _figures(
    plan: Plan, percent: int, total: Count, evidence: tuple[Mapping[str, float], Mapping[str, float]]
) -> dict[str, int]:
    """Return the figures of this stage (`abort_e` is of the whole rollout); e-values in thousandths."""
    figures = {"percent": percent, "exposed_known_good": total.known_good, "exposed_candidate": total.candidate}
    for kpi, margin in plan.margins.items():
        figures |= {
            f"{kpi}.bad_known_good": total.bad.get((kpi, "known_good"), 0),
            f"{kpi}.bad_candidate": total.bad.get((kpi, "candidate"), 0),
            f"{kpi}.margin_percent": margin,
            f"{kpi}.abort_e_milli": milli(evidence[0][kpi]),
            f"{kpi}.abort_bound_milli": milli(plan.abort_bound),
            f"{kpi}.promote_e_milli": milli(evidence[1][kpi]),
            f"{kpi}.promote_bound_milli": milli(plan.promote_bound),
        }
    return figures


def _show(log_e: float) -> str:
    e_value = milli(log_e) / 1000
    return f"{e_value:,.0f}" if e_value >= 1000 else f"{e_value:.3g}"
