"""Evidence about a rate ratio that may be looked at as often as one likes: the arm-of-event e-process.

Given that a bad event happened, it is in the candidate's arm with probability `w r / (w r + 1 - w)`; w is the share of
units that met the candidate, r the ratio of the two rates. Baseline, drift and incidents that hit both arms cancel.
The product of likelihood ratios against a mixture of alternatives is an e-process: under the null it reaches 1/alpha
with probability at most alpha, however often it is read (Ville 1939).

Why a batch may be multiplied in as a whole although its units are drawn without replacement: given the batch, the
number of bad events in the candidate's arm is hypergeometric, its mean is that of the binomial, and a product of
ratios is a convex function of it, so its expectation is at most the binomial one, which is 1 (Hoeffding 1963,
theorem 4). For a null other than 1, and units that differ: the factor of a unit has expectation 1 over the arm, it is
monotone in the arm, and arms drawn without replacement are negatively associated, so the expectation of the product
is at most the product of expectations (Joag-Dev and Proschan 1983). `tests/unit/rollout` enumerates both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

ABORT_RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
PROMOTE_RATIOS = (1.0,)
"""A candidate that is better than known-good gathers evidence faster under this alternative as well."""

FIRST_START = 0.75
"""Weight of the first start; the rest is for restarts. A half finds a late fault no more than a factor of 2 sooner."""
SPLIT_ODDS = (1 / 30, 0.1, 1 / 3, 0.5, 2 / 3, 1.5, 2.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class EProcess:
    """A mixture over alternatives and start times, in logarithms; `peak` is the highest value it ever had."""

    null: float
    ratios: tuple[float, ...]
    logs: tuple[float, ...]
    """For each alternative, the log of its share of the mixture over all starts so far."""
    restarts: int = 0
    peak: float = 0.0

    @property
    def log_e(self) -> float:
        """Return the log of the e-value now."""
        return _log_sum(self.logs)

    def seen(self, share: float, *, candidate: int, known_good: int) -> EProcess:
        """Return the process after a batch of bad events; `share` is the candidate's share of the batch's units.

        A share of 0 or 1 leaves no choice of arm, so it says nothing.
        """
        if not 0.0 < share < 1.0 or candidate + known_good == 0:
            return self
        base = share * self.null + 1.0 - share
        gains = []
        for ratio in self.ratios:
            common = math.log(base / (share * ratio + 1.0 - share))
            gains.append((candidate + known_good) * common + candidate * math.log(ratio / self.null))
        return self.gained(gains)

    def gained(self, gains: Iterable[float]) -> EProcess:
        """Return the process after one more e-value, given as the log of its factor for each alternative."""
        logs = tuple(log + gain for log, gain in zip(self.logs, gains, strict=True))
        return replace(self, logs=logs, peak=max(self.peak, _log_sum(logs)))

    def restarted(self) -> EProcess:
        """Return the process with one more start: a fault that begins late is found as fast as an early one.

        Call it at times that do not depend on the events that follow. The k-th restart has the prior
        (1 - FIRST_START)/(k(k+1)); with that of the first start they sum to at most 1.
        """
        k = self.restarts + 1
        fresh = math.log((1.0 - FIRST_START) / (k * (k + 1) * len(self.ratios)))
        return replace(self, logs=tuple(_log_sum((log, fresh)) for log in self.logs), restarts=k)


def started(null: float, ratios: tuple[float, ...]) -> EProcess:
    """Return a process that may be restarted: an even mixture over the alternatives, at its first start."""
    first = math.log(FIRST_START)
    return EProcess(null, ratios, (first - math.log(len(ratios)),) * len(ratios), peak=first)


def abort_process(null: float = 1.0) -> EProcess:
    """Return the process against "the candidate's rate is at most `null` times known-good's"; it may be restarted."""
    ratios = tuple(null * ratio for ratio in ABORT_RATIOS)
    return started(null, ratios)


def promote_process(margin: float) -> EProcess:
    """Return the process against "the candidate's rate is at least `margin` times known-good's"; never restarted.

    Raises: ValueError when the margin does not exceed every alternative.
    """
    if margin <= max(PROMOTE_RATIOS):
        raise ValueError("a margin is above 1")
    return EProcess(margin, PROMOTE_RATIOS, (-math.log(len(PROMOTE_RATIOS)),) * len(PROMOTE_RATIOS))


def ratio_process() -> EProcess:
    """Return the process against "new units meet the candidate by the flag's share"; see `split`."""
    return EProcess(1.0, SPLIT_ODDS, (-math.log(len(SPLIT_ODDS)),) * len(SPLIT_ODDS))


def split(process: EProcess, share: float, *, candidate: int, known_good: int) -> EProcess:
    """Return a process of `ratio_process` after new units, of which the flag sends `share` to the candidate.

    Likelihood ratio of a share whose odds are a multiple of the flag's. That a unit's arm is drawn without replacement
    only lowers the expectation, as above. A share of 0 or 1 leaves no choice, so it says nothing.
    """
    if not 0.0 < share < 1.0:
        return process
    gains = []
    for odds in process.ratios:
        base = share * odds + 1.0 - share
        gains.append(candidate * math.log(odds / base) - known_good * math.log(base))
    return process.gained(gains)


def expected_units(percent: int, baseline: float, margin: float, alpha: float = 0.05) -> int:
    """Return about how many units (both arms) a healthy candidate needs until it is proved not worse than `margin`.

    `baseline` is the bad rate of known-good, 0 to 1, both ends excluded.
    """
    share = percent / 100
    base = share * margin + 1.0 - share
    growth = math.log(base) - share * math.log(margin)
    return math.ceil(-math.log(alpha) / (growth * baseline))


def binomial_log_e(bad: int, units: int, *, null: float, other: float) -> float:
    """Return the log likelihood ratio of failure rate `other` against `null` (each in (0, 1)) after so many units."""
    return bad * math.log(other / null) + (units - bad) * math.log((1.0 - other) / (1.0 - null))


def milli(log_e: float, *, most: int = 10**12) -> int:
    """Return an e-value in thousandths, capped: events hold whole numbers only."""
    return most if log_e > math.log(most / 1000) else round(1000 * math.exp(log_e))


def _log_sum(logs: Iterable[float]) -> float:
    """Return log(sum(exp(x))) without overflow."""
    values = tuple(logs)
    top = max(values)
    return top + math.log(math.fsum(math.exp(x - top) for x in values))
