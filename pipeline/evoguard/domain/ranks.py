"""Evidence about values (latency, cost, tokens) that holds for any distribution: the block-rank e-process.

In a block of m candidate and n known-good values, U counts the pairs in which the candidate's is the higher. Where no
arm is higher, every choice of m values for the candidate is as likely as any other, and the mean of q^U is a Gaussian
binomial coefficient over C(m + n, m). So q^U over that mean is an e-value, whatever the values are and however they
drift from block to block; for q > 1 it rises with the candidate's values, so a candidate that is stochastically lower
only lowers its expectation.

Ties: the mean over every order of equal values, which for a of one arm and b of the other is the same coefficient for
a and b. It is exact as well, and needs no luck.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from evoguard.domain.evalues import EProcess, started
from evoguard.domain.kpi import Arm, ValueKpi, ValueSeen

BLOCK = 100
"""Values of both arms in a block; an unfinished one proves nothing."""
SLOPES = tuple(12.0 * excess / (BLOCK + 1) for excess in (0.02, 0.05, 0.1, 0.2, 0.35))
"""log q of each alternative, tuned to how far over a half the chance of a pair is."""

MOST = 10**12


@lru_cache(65_536)
def log_rank_mean(one: int, other: int, slope: float) -> float:
    """Return log E[exp(slope U)] over every choice of `one` among `one + other` distinct values, each as likely."""
    few, many = sorted((one, other))
    mean = math.lgamma(few + 1) + math.lgamma(many + 1) - math.lgamma(few + many + 1)
    for i in range(1, few + 1):
        mean += math.log(math.expm1(slope * (many + i)) / math.expm1(slope * i))
    return mean


def rank_gains(higher: Sequence[int], lower: Sequence[int]) -> tuple[float, ...]:
    """Return for each slope the log e-value of one block against "`higher` is stochastically no higher than `lower`".

    A block of one arm only says nothing.
    """
    below = sorted(lower)
    wins = 0
    ties: dict[int, tuple[int, int]] = {}
    for value in higher:
        at = bisect_left(below, value)
        wins += at
        if at < len(below) and below[at] == value:
            ties[value] = ties.get(value, (0, 0))[0] + 1, bisect_right(below, value) - at
    return tuple(
        slope * wins
        + math.fsum(log_rank_mean(one, other, slope) for one, other in ties.values())
        - log_rank_mean(len(higher), len(below), slope)
        for slope in SLOPES
    )


def worse_gains(kpi: ValueKpi, candidate: Sequence[int], known_good: Sequence[int]) -> tuple[float, ...]:
    """Return the log e-values against "the candidate over its tolerance is stochastically no higher"."""
    return rank_gains([100 * v for v in candidate], [(100 + kpi.tolerance_percent) * v for v in known_good])


def no_worse_gains(kpi: ValueKpi, candidate: Sequence[int], known_good: Sequence[int]) -> tuple[float, ...]:
    """Return the log e-values against "the candidate is stochastically at least the margin times known-good"."""
    return rank_gains([kpi.margin_percent * v for v in known_good], [100 * v for v in candidate])


def worse_process() -> EProcess:
    """Return the process that may abort; it may be restarted."""
    return started(1.0, SLOPES)


def no_worse_process() -> EProcess:
    """Return the process that may promote; never restarted."""
    return EProcess(1.0, SLOPES, (-math.log(len(SLOPES)),) * len(SLOPES))


@dataclass(frozen=True, slots=True)
class Block:
    """Values that wait until they are enough, all of them of the stage that was entered at `stage_at`."""

    stage_at: int = 0
    candidate: tuple[int, ...] = ()
    known_good: tuple[int, ...] = ()

    @property
    def full(self) -> bool:
        """Tell whether it may be weighed."""
        return len(self.candidate) + len(self.known_good) >= BLOCK

    def plus(self, arm: Arm, value: int, stage_at: int) -> Block:
        """Return the block with one more value.

        With another stage it begins anew, and what waited is dropped: that the stage was left may depend on it.
        """
        block = self if stage_at == self.stage_at else Block(stage_at)
        if arm == "candidate":
            return replace(block, candidate=(*block.candidate, value))
        return replace(block, known_good=(*block.known_good, value))


class Ranks:
    """Of one KPI of values: which units gave one already, and the evidence for "higher than known-good".

    Changed in place, as the fold that holds it.
    """

    __slots__ = ("_block", "_clock", "_kpi", "_units", "process")

    def __init__(self, kpi: ValueKpi, began_at: int) -> None:
        self._kpi = kpi
        self._units: set[str] = set()
        self._block = Block()
        self._clock = began_at
        self.process = worse_process()

    def first(self, unit: str) -> bool:
        """Tell whether the unit had no value yet; now it has."""
        fresh = unit not in self._units
        self._units.add(unit)
        return fresh

    def take(self, value: ValueSeen, at: int, stage_at: int, restart_due: Callable[[int], bool]) -> None:
        """Weigh values as soon as a block is full. Restarts depend on times only, never on values."""
        self._block = self._block.plus(value.arm, value.value, stage_at)
        if not self._block.full:
            return
        if restart_due(self._clock):
            self.process = self.process.restarted()
        self._clock = max(self._clock, at)
        gains = worse_gains(self._kpi, self._block.candidate, self._block.known_good)
        self.process, self._block = self.process.gained(gains), Block()


def expected_values(percent: int, kpi: ValueKpi, alpha: float) -> int:
    """Return about how many values (both arms) prove a candidate that equals known-good not worse than the margin.

    For log-normal values whose logarithm has the declared spread; whole blocks, since others prove nothing. At most
    `MOST`, which says that it never will be.
    """
    share, spread = percent / 100, kpi.spread_percent / 100
    chance = 0.5 * (1.0 + math.erf(math.log(kpi.margin_percent / 100) / (2.0 * spread)))
    m = min(BLOCK - 1, max(1, round(share * BLOCK)))
    wins = m * (BLOCK - m) * chance
    growth = max(slope * wins - log_rank_mean(m, BLOCK - m, slope) for slope in SLOPES)
    if growth <= 0.0:
        return MOST
    return math.ceil((math.log(len(SLOPES)) - math.log(alpha)) / growth) * BLOCK
