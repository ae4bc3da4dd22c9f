"""A rollout judged: widen on evidence, abort on evidence, hold on silence, go down when the data dies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from evoguard.domain.evalues import binomial_log_e, milli
from evoguard.domain.fold import NO_VALUES, Count, StageEntry, Tally, tally_of
from evoguard.domain.kpi import Arm, KpiBatch, ValueKpi

RATIO_BOUND = math.log(1_000.0)
"""A healthy split is held once in a thousand stages at most."""
ARMS: tuple[tuple[Arm, str], ...] = (("candidate", "candidate"), ("known_good", "known-good"))
Action = Literal["hold", "widen", "complete", "abort"]


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
    """Chance that a candidate worse than a margin passes at one stage, shared evenly by the KPIs."""
    change: str = ""
    """When set, batches of any other change are ignored."""
    values: Mapping[str, ValueKpi] = field(default_factory=lambda: NO_VALUES)
    """KPIs of values, beside those of events in `margins`."""
    holdback_percent: int = 0
    """Units that stay on known-good at the last stage, so that its evidence has a control arm until the bake ends."""
    bake_s: int = 0
    """Least time of the last stage, when longer than a dwell."""
    window_s: int = 0
    """Greatest age of a rollout that is not complete; 0 sets none."""

    @property
    def kpis(self) -> tuple[str, ...]:
        """Return the names of all KPIs."""
        return (*self.margins, *self.values)

    @property
    def full(self) -> int:
        """Return the percentage of the last stage: all but those who are held back."""
        return 100 - self.holdback_percent

    @property
    def abort_bound(self) -> float:
        """Return the log of the e-value at which one KPI aborts."""
        return math.log(max(1, len(self.kpis)) / self.alpha)

    @property
    def promote_bound(self) -> float:
        """Return the log of the e-value that every KPI needs at a stage."""
        return math.log(max(1, len(self.kpis)) / self.promote_alpha)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do now and why: a stable code, a text for people, and whole-number figures for the event."""

    action: Action
    code: str
    reason: str
    next_percent: int = 0
    figures: Mapping[str, int] = field(default_factory=dict)


def judge(plan: Plan, entries: tuple[StageEntry, ...], batches: Iterable[KpiBatch], now_ms: int) -> Judgement:
    """Judge a rollout on its batches, taken at once in order of arrival; `judge_tally` says how."""
    if not entries:
        return _not_open()
    mine = (b for b in batches if plan.change in ("", b.change))
    return judge_tally(plan, tally_of(plan.margins, entries, mine, now_ms, plan.values))


def judge_tally(plan: Plan, tally: Tally) -> Judgement:
    """Tell what the counted outcomes allow now. It holds unless something else is proved; only an abort needs no time.

    What the candidate reports about itself may abort, never promote, and never touches the evidence that was counted
    outside. Raises: ValueError when the tally was made under other KPIs.
    """
    if not plan.stages:
        return _not_open()
    if tally.aborts.keys() != set(plan.kpis) or tally.promotes.keys() != set(plan.kpis):
        raise ValueError("a tally of other KPIs than the plan's")
    entry, aborts = tally.entries[-1], tally.aborts
    figures = _figures(plan, entry.percent, tally.stage, (aborts, tally.promotes))
    worst = max(aborts, key=lambda kpi: aborts[kpi], default="")
    if worst and aborts[worst] >= plan.abort_bound:
        proof = f"e-value {_show(aborts[worst])}, bound {_show(plan.abort_bound)}"
        text = f"{worst}: the candidate is worse than known-good ({proof})"
        return Judgement("abort", "rollout.kpi_worse", text, figures=figures)
    if entry.percent >= plan.full and (fall := _worse_than_before(plan, tally)):
        return replace(fall, figures=figures)
    verdict = (
        _waiting(plan, entry, tally)
        or _misrouted(entry, tally)
        or _uncounted(plan, entry, tally.stage)
        or _stage(plan, entry, tally)
    )
    return replace(verdict, figures=figures)


def _not_open() -> Judgement:
    return Judgement("hold", "rollout.not_open", "no stage was entered yet")


def _waiting(plan: Plan, entry: StageEntry, tally: Tally) -> Judgement | None:
    """Return why nothing may widen yet, whatever was counted; None when the stage may be judged."""
    if tally.now_ms < entry.entered_at:
        return Judgement("hold", "rollout.clock", "the clock reads a time before this stage was entered")
    if not plan.kpis:
        return Judgement("hold", "rollout.no_kpi", "no KPI is named for this component, so nothing can prove it")
    if tally.now_ms - tally.alive_at > plan.silent_s * 1000:
        text = f"no batch counted outside the candidate arrived for more than {plan.silent_s} s"
        return Judgement("abort", "rollout.silent", text)
    if plan.window_s and tally.now_ms - tally.entries[0].entered_at > plan.window_s * 1000:
        text = f"not complete after {plan.window_s} s, which is the window of this component"
        return Judgement("abort", "rollout.too_old", text)
    if tally.now_ms - entry.entered_at < plan.dwell_s * 1000:
        return Judgement("hold", "rollout.dwell", f"a stage lasts at least {plan.dwell_s} s")
    return None


def _worse_than_before(plan: Plan, tally: Tally) -> Judgement | None:
    """Return an abort when the last stage, without a control arm, is worse than margin times the rate before.

    The bound is a binomial e-value against that rate (with one more failure added, so that a rate of zero is none).
    A baseline that drifts by less than the margin does not abort; one that drifts by more may, and going down is safe.
    """
    before, after = tally.before, tally.stage
    for kpi, margin in plan.margins.items():
        usual = (before.bad.get((kpi, "known_good"), 0) + 1) / (before.known_good + 2)
        null = min(0.5, margin / 100 * usual)
        bad, units = after.bad.get((kpi, "candidate"), 0), max(after.candidate, after.bad.get((kpi, "candidate"), 0))
        found = [binomial_log_e(bad, units, null=null, other=min(0.99, null * k)) for k in (1.5, 2.0, 4.0, 8.0)]
        if max(found) - math.log(len(found)) >= plan.abort_bound:
            text = f"{kpi}: {bad} of {units} units failed at {plan.full} %, over {margin / 100:g} times the rate before"
            return Judgement("abort", "rollout.worse_than_before", text)
    return None


def _misrouted(entry: StageEntry, tally: Tally) -> Judgement | None:
    """Return a hold once the split of new units is not the flag's: then no comparison of the arms means anything."""
    if tally.ratio < RATIO_BOUND:
        return None
    text = (
        f"{tally.stage.candidate} of {tally.stage.units} new units met the candidate, and the flag says "
        f"{entry.percent} % (e-value {_show(tally.ratio)}, bound {_show(RATIO_BOUND)}): "
        "an SDK, a router or the flag's rollout value is not what it seems"
    )
    return Judgement("hold", "rollout.sample_ratio", text)


def _uncounted(plan: Plan, entry: StageEntry, total: Count) -> Judgement | None:
    """Return why the counts of this stage are no evidence at all; None when both arms that exist were counted."""
    if total.units == 0:
        text = "nobody was counted outside the candidate since this stage was entered"
        return Judgement("hold", "rollout.no_data", text)
    if total.candidate == 0 or (total.known_good == 0 and entry.percent < 100):
        arm = "candidate" if total.candidate == 0 else "known-good"
        return Judgement("hold", "rollout.one_armed", f"no new unit met the {arm} version since this stage was entered")
    for kpi in plan.values:
        for arm, name in ARMS:
            if not total.valued.get((kpi, arm)) and (arm == "candidate" or entry.percent < 100):
                text = f"{kpi}: no value of the {name} version came since this stage was entered"
                return Judgement("hold", "rollout.no_values", text)
    return None


def _full(plan: Plan, units: int, entry: StageEntry, now_ms: int) -> Judgement:
    if now_ms - entry.entered_at < plan.bake_s * 1000:
        text = f"the bake lasts {plan.bake_s} s; {plan.holdback_percent} % stay on known-good until it ends"
        return Judgement("hold", "rollout.baking", text)
    if units < plan.disaster_exposures:
        text = f"{units} of {plan.disaster_exposures} units counted at {plan.full} %"
        return Judgement("hold", "rollout.needs_units", text)
    text = f"{units} units met the candidate; at 100 % no control arm is left, only the rate of the stages before"
    if plan.holdback_percent:
        text = (
            f"{units} units met the candidate, and nothing proves it worse than the {plan.holdback_percent} % held back"
        )
    return Judgement("complete", "rollout.full", text)


def _stage(plan: Plan, entry: StageEntry, tally: Tally) -> Judgement:
    """Return what the counts of this stage allow, after its least time."""
    total, promotes = tally.stage, tally.promotes
    later = next((percent for percent in plan.stages if percent > entry.percent), 0)
    if entry.percent >= plan.full:
        return _full(plan, total.candidate, entry, tally.now_ms)
    if not later:
        return Judgement("hold", "rollout.no_stage", f"the plan names no stage after {entry.percent} %")
    if entry.percent < plan.evidence_from_percent:
        if total.units < plan.disaster_exposures:
            text = f"{total.units} of {plan.disaster_exposures} units counted"
            return Judgement("hold", "rollout.needs_units", text)
        text = f"no disaster among {total.candidate} candidate units; a stage this small only catches disasters"
        return Judgement("widen", "rollout.only_disasters", text, later)
    weakest = min(promotes, key=lambda kpi: promotes[kpi])
    text = f"{weakest}: e-value {_show(promotes[weakest])} for not worse than x{_margin(plan, weakest) / 100:g}"
    if promotes[weakest] < plan.promote_bound:
        return Judgement("hold", "rollout.needs_evidence", f"{text}, needs {_show(plan.promote_bound)}")
    return Judgement("widen", "rollout.evidence", text, later)


def _figures(
    plan: Plan, percent: int, total: Count, evidence: tuple[Mapping[str, float], Mapping[str, float]]
) -> dict[str, int]:
    """Return the figures of this stage (`abort_e` is of the whole rollout); e-values in thousandths."""
    figures = {"percent": percent, "exposed_known_good": total.known_good, "exposed_candidate": total.candidate}
    for kpi in plan.kpis:
        counts, what = (total.valued, "values") if kpi in plan.values else (total.bad, "bad")
        figures |= {
            f"{kpi}.{what}_known_good": counts.get((kpi, "known_good"), 0),
            f"{kpi}.{what}_candidate": counts.get((kpi, "candidate"), 0),
            f"{kpi}.margin_percent": _margin(plan, kpi),
            f"{kpi}.abort_e_milli": milli(evidence[0][kpi]),
            f"{kpi}.abort_bound_milli": milli(plan.abort_bound),
            f"{kpi}.promote_e_milli": milli(evidence[1][kpi]),
            f"{kpi}.promote_bound_milli": milli(plan.promote_bound),
        }
    return figures


def _margin(plan: Plan, kpi: str) -> int:
    return plan.values[kpi].margin_percent if kpi in plan.values else plan.margins[kpi]


def _show(log_e: float) -> str:
    e_value = milli(log_e) / 1000
    return f"{e_value:,.0f}" if e_value >= 1000 else f"{e_value:.3g}"
