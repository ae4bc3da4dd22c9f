"""The rollout of a patch that was let in: simulated users, the real fold and the real decision.

Users come as in `bench/abort.py`, 50 a second, one in a hundred of whom fails anyway; latencies are log-normal around
100 ms. What the candidate does to them is what the oracle saw, call by call. An edge sees errors and latency, no more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evoguard.bench.abort import BASELINE, PLAN, UNITS_S
from evoguard.bench.abort_latency import SPREAD, USUAL_MS
from evoguard.bench.attack.oracle import Harm
from evoguard.domain.fold import Fold, StageEntry
from evoguard.domain.kpi import Arm, BadEvent, KpiBatch, ValueKpi, ValueSeen
from evoguard.domain.rollout import judge_tally

WATCHED = replace(
    PLAN, stages=(1, 10, 50, 100), dwell_s=60, values={"latency": ValueKpi()}, change="", evidence_from_percent=10
)
SECONDS, LOOK_S = 1_800, 5
STEADY = 300
"""After the calls that the oracle made, each call is one of its last so many."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a rollout went. `end`: `promoted`, `held` until the half hour was over, or the code of the abort."""

    end: str
    harmed: int
    """Users who met the bad behaviour, until the abort or the end of the half hour."""
    met: int
    seconds: int


def roll_out(harm: Harm, seed: int) -> Course:
    """Roll a patch out and return its course; the same for the same harm and seed."""
    draw = random.Random(f"watch/{seed}")  # noqa: S311  (a simulation)
    entries = [StageEntry(WATCHED.stages[0], 0)]
    fold = Fold(WATCHED.margins, tuple(entries), WATCHED.values)
    met = harmed = 0
    for second in range(SECONDS):
        batch, served = _second(draw, second, entries[-1].percent, harm, met)
        harmed += sum(harm.harmed[call] for call in served)
        met += len(served)
        fold.take([batch])
        if second % LOOK_S:
            continue
        now = second * 1_000 + 999
        said = judge_tally(WATCHED, fold.tally(now))
        if said.action == "abort":
            return Course(said.code, harmed, met, second)
        if said.action == "complete":
            rest = UNITS_S * (SECONDS - second)
            return Course("promoted", harmed + round(rest * _steady(harm.harmed)), met + rest, second)
        if said.action == "widen":
            entries.append(StageEntry(said.next_percent, now))
            fold.enter(tuple(entries))
    return Course("held", harmed, met, SECONDS)


def _second(draw: random.Random, second: int, percent: int, harm: Harm, met: int) -> tuple[KpiBatch, list[int]]:
    bad: list[BadEvent] = []
    values: list[ValueSeen] = []
    served: list[int] = []
    for number in range(UNITS_S):
        unit, candidate = f"u{second}.{number}", draw.random() * 100 < percent
        arm: Arm = "candidate" if candidate else "known_good"
        failed, took = draw.random() < BASELINE, USUAL_MS * math.exp(SPREAD * draw.gauss(0.0, 1.0))
        if candidate:
            call = _call(met + len(served), len(harm.harmed), draw)
            served.append(call)
            failed, took = failed or harm.failed[call], took + 1_000 * harm.slow_s[call]
        if failed:
            bad.append(BadEvent(unit, arm, "errors"))
        values.append(ValueSeen(unit, arm, "latency", int(took)))
    batch = KpiBatch(f"b{second}", "", "parcels", second * 1_000 + 500, UNITS_S - len(served), len(served),
                     tuple(bad), "edge", tuple(values))  # fmt: skip
    return batch, served


def _call(number: int, known: int, draw: random.Random) -> int:
    return number if number < known else draw.randrange(max(0, known - STEADY), known)


def _steady(seen: Sequence[bool]) -> float:
    last = seen[-STEADY:]
    return sum(last) / len(last)
