"""Builders of plans and batches, and simulated traffic with fixed seeds."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from functools import cache
from itertools import accumulate

from evoguard.domain.fold import StageEntry
from evoguard.domain.kpi import Assurance, BadEvent, KpiBatch
from evoguard.domain.rollout import Plan

CHANGE = "ch-000000000001"


def a_plan(**changes) -> Plan:
    values = {
        "stages": (1, 10, 50, 100),
        "margins": {"errors": 200},
        "dwell_s": 5,
        "disaster_exposures": 300,
        "evidence_from_percent": 10,
        "silent_s": 60,
    }
    return Plan(**{**values, **changes})


def at_stage(percent: int, at: int = 0) -> tuple[StageEntry, ...]:
    return (StageEntry(percent, at),)


def a_batch(
    name: str,
    *,
    at: int = 1,
    good: int = 0,
    cand: int = 0,
    bad_good: int = 0,
    bad_cand: int = 0,
    kpi: str = "errors",
    assurance: Assurance = "edge",
    change: str = CHANGE,
    units: str = "",
) -> KpiBatch:
    stem = units or name
    bad = [BadEvent(f"{stem}-g{i}", "known_good", kpi) for i in range(bad_good)]
    bad += [BadEvent(f"{stem}-c{i}", "candidate", kpi) for i in range(bad_cand)]
    return KpiBatch(name, change, "scoring", at, good, cand, tuple(bad), assurance)


def a_rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  (simulated traffic)


@cache
def _cumulative(n: int, p: float) -> tuple[float, ...]:
    return tuple(accumulate(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)))


def binomial(rng: random.Random, n: int, p: float) -> int:
    """Return how many of n came true."""
    return min(n, bisect_left(_cumulative(n, p), rng.random())) if n else 0


def traffic(
    rng: random.Random, name: str, *, at: int, units: int, share: float, rates: tuple[float, float]
) -> KpiBatch:
    """Return a batch of new units; rates are (known-good, candidate)."""
    cand = binomial(rng, units, share)
    good = units - cand
    bad = binomial(rng, good, rates[0]), binomial(rng, cand, rates[1])
    return a_batch(name, at=at, good=good, cand=cand, bad_good=bad[0], bad_cand=bad[1])


def returning(rng: random.Random, name: str, *, at: int, share: float, failing: int, units: int) -> KpiBatch:
    """Return a batch in which known units fail for the first time while few new ones arrive."""
    cand, bad = binomial(rng, units, share), binomial(rng, failing, share)
    return a_batch(name, at=at, good=units - cand, cand=cand, bad_good=failing - bad, bad_cand=bad)


def at_most(runs: int, chance: float) -> int:
    """Return a count that a true chance exceeds less than once in 700 times."""
    return math.floor(runs * chance + 3 * math.sqrt(runs * chance * (1 - chance)))
