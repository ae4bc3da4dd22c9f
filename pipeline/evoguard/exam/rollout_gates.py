"""The gates of a rollout: nothing widens without evidence, and what is worse goes back."""

from __future__ import annotations

from dataclasses import replace

from evoguard.domain.fold import StageEntry
from evoguard.domain.kpi import Assurance, BadEvent, KpiBatch, ValueKpi
from evoguard.domain.rollout import Plan, judge
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen
from evoguard.exam.surgery import Cut

ROLLOUT = "evoguard.domain.rollout"
BEGAN = 1_800_000_000_000
PLAN = Plan(
    (1, 10, 50, 100), {"errors": 200}, dwell_s=60, disaster_exposures=300, evidence_from_percent=10, silent_s=600
)


def _batch(units: int, bad: tuple[int, int], *, at: int, said_by: Assurance = "edge") -> KpiBatch:
    events = [BadEvent(f"k{n}", "known_good", "errors") for n in range(bad[0])]
    events += [BadEvent(f"c{n}", "candidate", "errors") for n in range(bad[1])]
    return KpiBatch("b1", "", "scoring", at, units, units, tuple(events), said_by)


def _widened(batch: KpiBatch | None, *, after_s: int = 120, percent: int = 10) -> Seen:
    found = judge(PLAN, (StageEntry(percent, BEGAN),), [batch] if batch else [], BEGAN + after_s * 1000)
    return Seen(found.action in ("widen", "complete"), found.code)


async def worse_candidate(hall: Hall) -> Seen:  # noqa: ARG001  (every attack is given one)
    """A candidate that fails a third of its users is to stay."""
    found = judge(PLAN, (StageEntry(10, BEGAN),), [_batch(400, (8, 130), at=BEGAN + 1000)], BEGAN + 120_000)
    return Seen(found.action != "abort", found.code)


async def too_little(hall: Hall) -> Seen:  # noqa: ARG001
    """A stage widens on twenty users without a failure."""
    return _widened(_batch(20, (0, 0), at=BEGAN + 1000))


async def at_once(hall: Hall) -> Seen:  # noqa: ARG001
    """A stage widens a second after it was entered."""
    return _widened(_batch(5_000, (500, 0), at=BEGAN + 500), after_s=1)


async def silence(hall: Hall) -> Seen:  # noqa: ARG001
    """The router that counts is cut off, and the rollout stays open."""
    found = judge(PLAN, (StageEntry(10, BEGAN),), [], BEGAN + 601_000)
    return Seen(found.action != "abort", found.code)


async def counts_itself(hall: Hall) -> Seen:  # noqa: ARG001
    """A candidate reports its own good numbers."""
    return _widened(_batch(5_000, (500, 0), at=BEGAN + 1000, said_by="self-reported"))


async def few_users(hall: Hall) -> Seen:  # noqa: ARG001
    """The first stage widens before three hundred users were counted."""
    return _widened(_batch(20, (0, 0), at=BEGAN + 1000), percent=1)


async def wrong_split(hall: Hall) -> Seen:  # noqa: ARG001
    """The flag says 10 %, and half of the users meet the candidate."""
    return _widened(_batch(5_000, (500, 20), at=BEGAN + 100_000))


async def no_values(hall: Hall) -> Seen:  # noqa: ARG001
    """The first stage widens while the latency that it was to watch is not reported."""
    plan = replace(PLAN, values={"latency": ValueKpi()})
    found = judge(plan, (StageEntry(1, BEGAN),), [_batch(400, (4, 4), at=BEGAN + 1000)], BEGAN + 120_000)
    return Seen(found.action in ("widen", "complete"), found.code)


async def no_bake(hall: Hall) -> Seen:  # noqa: ARG001
    """A rollout is complete before its bake ended."""
    plan = replace(PLAN, stages=(1, 10, 50, 98), holdback_percent=2, bake_s=3_600)
    found = judge(plan, (StageEntry(98, BEGAN),), [_batch(400, (4, 4), at=BEGAN + 1000)], BEGAN + 120_000)
    return Seen(found.action == "complete", found.code)


async def too_old(hall: Hall) -> Seen:  # noqa: ARG001
    """A rollout that proves nothing is to stay open for ever."""
    plan = replace(PLAN, window_s=60)
    found = judge(plan, (StageEntry(10, BEGAN),), [_batch(20, (0, 0), at=BEGAN + 1000)], BEGAN + 120_000)
    return Seen(found.action != "abort", found.code)


GATES = (
    Gate("rollout.worse", Cut(f"{ROLLOUT}:judge_tally", "aborts[worst] >= plan.abort_bound"), worse_candidate,
         "rollout.kpi_worse"),
    Gate("rollout.evidence", Cut(f"{ROLLOUT}:_stage", "promotes[weakest] < plan.promote_bound"), too_little,
         "rollout.needs_evidence"),
    Gate("rollout.dwell", Cut(f"{ROLLOUT}:_waiting", "tally.now_ms - entry.entered_at < plan.dwell_s * 1000"), at_once,
         "rollout.dwell"),
    Gate("rollout.silent", Cut(f"{ROLLOUT}:_waiting", "tally.now_ms - tally.alive_at > plan.silent_s * 1000"), silence,
         "rollout.silent"),
    Gate("rollout.counted_outside", Cut("evoguard.domain.fold:Fold.take", "batch.assurance not in COUNTED_OUTSIDE"),
         counts_itself, "rollout.no_data"),
    Gate("rollout.units", Cut(f"{ROLLOUT}:_stage", "total.units < plan.disaster_exposures"), few_users,
         "rollout.needs_units"),
    Gate("rollout.sample_ratio", Cut(f"{ROLLOUT}:_misrouted", "tally.ratio < RATIO_BOUND", "True"), wrong_split,
         "rollout.sample_ratio"),
    Gate("rollout.values", Cut(f"{ROLLOUT}:_uncounted",
         "not total.valued.get((kpi, arm)) and (arm == 'candidate' or entry.percent < 100)"),
         no_values, "rollout.no_values"),
    Gate("rollout.bake", Cut(f"{ROLLOUT}:_full", "now_ms - entry.entered_at < plan.bake_s * 1000"), no_bake,
         "rollout.baking"),
    Gate("rollout.window", Cut(f"{ROLLOUT}:_waiting",
         "plan.window_s and tally.now_ms - tally.entries[0].entered_at > plan.window_s * 1000"), too_old,
         "rollout.too_old"),
)  # fmt: skip
