"""The gates of a rollout: nothing widens without evidence, and what is worse goes back."""

from __future__ import annotations

from evoguard.domain.fold import StageEntry
from evoguard.domain.kpi import Assurance, BadEvent, KpiBatch
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
)  # fmt: skip
