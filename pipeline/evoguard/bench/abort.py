"""False aborts and detection: our evidence beside the rules that other tools use, on the same simulated traffic.

A rollout of half an hour, 1 %, 10 % and 50 % for ten minutes each, 50 units a second of which 1 % fail. Healthy worlds:
`const`; `drift`, whose rate doubles with each stage in both versions; `incident`, one minute at 10 % in both. The rules
of others are as their documentation says (Argo Rollouts, Flagger) or as their judge is built (Kayenta), one look a
minute, on the same counts. Fixed seeds; nothing is timed.
"""

from __future__ import annotations

import math
import os
import random
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from multiprocessing import get_context
from statistics import median

from evoguard.bench import Figure, abort_latency
from evoguard.domain.fold import Fold, StageEntry
from evoguard.domain.kpi import BadEvent, KpiBatch
from evoguard.domain.rollout import Plan

SECONDS, STAGE_S, MINUTE_S, UNITS_S = 1_800, 600, 60, 50
SHARES = (1, 10, 50)
BASELINE = 0.01
MARGINS = {"errors": 200}
PLAN = Plan(SHARES, MARGINS, 0, 300, 10, 60)
RUNS, QUICK = 1_000, 100
BAD_RUNS = 200
"""Also when quick: they end soon, and the median of twenty says more about the seeds than about the rule."""
WORLDS = ("const", "drift", "incident")
MOST_FALSE = 0.01
BARS = {0.2: 25.0, 0.03: 600.0}
"""The candidate's rate, and how many units may meet it, at the median, until it is aborted; the first from 10 % on."""

SLOWER = {1.1: 600.0, 1.5: 60.0}
"""The candidate's latency over known-good's, and how many units may meet it, at the median, until it is aborted."""


@dataclass(frozen=True, slots=True)
class Second:
    """Counts of one second: units and bad ones, known-good first."""

    units: tuple[int, int]
    bad: tuple[int, int]


@dataclass(frozen=True, slots=True)
class End:
    """How a rule saw a run: the second at which it aborted, None when it did not, and who met the candidate so far."""

    at: int | None
    met: int


Rule = Callable[[Sequence[Second]], End]


def measure(*, quick: bool = False) -> list[Figure]:
    """Run every world and rule; the whole table goes to stderr, our own figures and the best of the others back."""
    runs = QUICK if quick else RUNS
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        false, found = _errors(pool, runs)
        slow = _latency(pool, runs)
    _tell(false, {f"{100 * rate:.0f} %": row for rate, row in found.items()})
    return [*_error_figures(false, found, runs), *slow]


def _errors(pool: Executor, runs: int) -> tuple[dict[str, list[float]], dict[float, dict[str, tuple[float, float]]]]:
    waiting = {(name, world): pool.submit(_false, name, world, runs) for world in WORLDS for name in RULES}
    coming = {(name, rate): pool.submit(_found, name, rate, BAD_RUNS) for rate in BARS for name in RULES}
    false = {name: [waiting[name, world].result() for world in WORLDS] for name in RULES}
    return false, {rate: {name: coming[name, rate].result() for name in RULES} for rate in BARS}


def _error_figures(
    false: dict[str, list[float]], found: dict[float, dict[str, tuple[float, float]]], runs: int
) -> list[Figure]:
    others = [name for name in RULES if name != OURS]
    slack = _slack(runs)
    figures = [
        Figure(f"healthy rollouts aborted, {world}", 100 * false[OURS][n], "%", 100 * (MOST_FALSE + slack),
               100 * min(false[name][n] for name in others), note=f"{runs} runs; baseline: the best of the others")
        for n, world in enumerate(WORLDS)
    ]  # fmt: skip
    for rate, bar in BARS.items():
        share, met = found[rate][OURS]
        best = min((found[rate][name][1] for name in others if max(false[name]) <= MOST_FALSE + slack), default=None)
        what = f"candidate fails at {100 * rate:.0f} %"
        figures += [
            Figure(f"{what}: found", 100 * share, "%", 95.0, higher_is_better=True),
            Figure(f"{what}: units that met it, median", met, "units", bar, best,
                   note="baseline: the best of those that abort no more healthy ones"),
        ]  # fmt: skip
    return figures


def _slack(runs: int) -> float:
    return 3 * math.sqrt(MOST_FALSE * (1 - MOST_FALSE) / runs)


def _latency(pool: Executor, runs: int) -> list[Figure]:
    """Return the figures of latency; every rule sees the same runs."""
    names = abort_latency.NAMES
    seen = {world: _ends(pool, world, 1.0, runs) for world in WORLDS}
    false = {
        name: [sum(end[n][0] is not None for end in seen[world]) / runs for world in WORLDS]
        for n, name in enumerate(names)
    }
    found: dict[float, dict[str, tuple[float, float]]] = {}
    for factor in SLOWER:
        bad = _ends(pool, "const", factor, max(1, runs // 5))
        found[factor] = {}
        for n, name in enumerate(names):
            met = [end[n][1] for end in bad if end[n][0] is not None]
            found[factor][name] = len(met) / len(bad), median(met or [math.inf])
    _tell(false, {f"+{100 * factor - 100:.0f} %": row for factor, row in found.items()})
    own = abort_latency.OURS
    others = [name for name in names if not name.startswith("evoguard")]
    bar = 100 * (MOST_FALSE + _slack(runs))
    figures = [
        Figure(f"latency: healthy rollouts aborted, {world}", 100 * false[own][n], "%", bar,
               100 * min(false[name][n] for name in others), note=f"{runs} runs; baseline: the best of the others")
        for n, world in enumerate(WORLDS)
    ]  # fmt: skip
    for factor, most in SLOWER.items():
        share, units = found[factor][own]
        honest = [name for name in others if 100 * max(false[name]) <= bar and found[factor][name][0] >= 0.5]
        best = min((found[factor][name][1] for name in honest), default=None)
        what = f"latency: candidate slower by {100 * factor - 100:.0f} %"
        figures += [
            Figure(f"{what}: found", 100 * share, "%", 95.0, higher_is_better=True),
            Figure(f"{what}: units that met it, median", units, "units", most, best,
                   note="baseline: the best of those that abort no more healthy ones and find half"),
        ]  # fmt: skip
    return figures


def _ends(pool: Executor, world: str, factor: float, runs: int) -> list[tuple[abort_latency.Found, ...]]:
    tasks = [(seed, world, factor) for seed in range(runs)]
    return list(pool.map(abort_latency.ends, tasks, chunksize=10))


def _tell(false: dict[str, list[float]], found: dict[str, dict[str, tuple[float, float]]]) -> None:
    head = "".join(f"{world:>10}" for world in WORLDS) + "".join(f"{f'{bad}: found':>14}{'met':>7}" for bad in found)
    print(f"{'aborted healthy %':<44}{head}", file=sys.stderr)
    for name, shares in false.items():
        row = "".join(f"{100 * share:>10.1f}" for share in shares)
        row += "".join(f"{100 * found[r][name][0]:>13.0f}%{found[r][name][1]:>7.0f}" for r in found)
        print(f"{name:<44}{row}", file=sys.stderr)


def _false(name: str, world: str, runs: int) -> float:
    rule = RULES[name]
    return sum(rule(list(traffic(seed, world))).at is not None for seed in range(runs)) / runs


def _found(name: str, rate: float, runs: int) -> tuple[float, float]:
    """Return the share of bad candidates that were aborted, and how many units met them at the median.

    One that fails at 20 % is let in at 10 %, as the bar says; the other from the first stage on.
    """
    first = STAGE_S if rate >= 0.2 else 0
    ends = [RULES[name]([*traffic(seed, "const", candidate=rate, first=first)]) for seed in range(runs)]
    caught = [end for end in ends if end.at is not None]
    return len(caught) / runs, median([end.met for end in caught] or [math.inf])


def traffic(seed: int, world: str, *, candidate: float | None = None, first: int = 0) -> Iterator[Second]:
    """Yield one run's seconds, from `first` on; the candidate fails as known-good does unless a rate is given."""
    draw = random.Random(f"{seed}/{world}/{candidate}").random  # noqa: S311  (a simulation)
    for second in range(first, SECONDS):
        stage = second // STAGE_S
        rate = {"drift": (0.005, 0.01, 0.02)[stage], "incident": 0.1 if 900 <= second < 960 else BASELINE}.get(
            world, BASELINE
        )
        treated = _binomial(UNITS_S, SHARES[stage] / 100, draw())
        units = (UNITS_S - treated, treated)
        bad = (_binomial(units[0], rate, draw()), _binomial(treated, rate if candidate is None else candidate, draw()))
        yield Second(units, bad)


def _binomial(units: int, rate: float, at: float) -> int:
    """Return the binomial count whose distribution function reaches `at`, a number from 0 to 1."""
    return bisect_left(_distribution(units, rate), at)


@lru_cache(4_096)
def _distribution(units: int, rate: float) -> list[float]:
    weights = (math.comb(units, k) * rate**k * (1 - rate) ** (units - k) for k in range(units + 1))
    return [*list(accumulate(weights))[:-1], 1.0]


# --- ours
def ours(run: Sequence[Second]) -> End:
    """Judge each second's batch as the worker does, with everything that it has seen."""
    first = SECONDS - len(run)
    at_first = first // STAGE_S
    entries = tuple(
        StageEntry(share, max(first, n * STAGE_S) * 1_000) for n, share in enumerate(SHARES) if n >= at_first
    )
    fold, met, stage = Fold(MARGINS, entries[:1]), 0, at_first
    for n, second in enumerate(run):
        at = first + n
        if at // STAGE_S != stage:
            stage = at // STAGE_S
            fold.enter(entries[: stage - at_first + 1])
        fold.take([_batch(at, second)])
        met += second.units[1]
        if any(second.bad) and fold.tally(at * 1_000 + 999).aborts["errors"] >= PLAN.abort_bound:
            return End(at, met)
    last = fold.tally(SECONDS * 1_000 + 5_000).aborts["errors"]
    return End(SECONDS if last >= PLAN.abort_bound else None, met)


def _batch(at: int, second: Second) -> KpiBatch:
    bad = [BadEvent(f"k{at}.{n}", "known_good", "errors") for n in range(second.bad[0])]
    bad += [BadEvent(f"c{at}.{n}", "candidate", "errors") for n in range(second.bad[1])]
    return KpiBatch(f"b{at}", "change", "component", at * 1_000 + 500, *second.units, tuple(bad), "edge")


# --- others
def by_minute(judge: Callable[[list[Second]], bool]) -> Rule:
    """Return a rule that looks at the end of each minute; `judge` sees all minutes so far and says abort."""

    def rule(run: Sequence[Second]) -> End:
        minutes: list[Second] = []
        for n in range(0, len(run) - MINUTE_S + 1, MINUTE_S):
            part = run[n : n + MINUTE_S]
            minutes.append(_sum(part))
            if judge(minutes):
                return End(SECONDS - len(run) + n + MINUTE_S, sum(minute.units[1] for minute in minutes))
        return End(None, sum(minute.units[1] for minute in minutes))

    return rule


def _sum(part: Sequence[Second]) -> Second:
    def total(arm: int, bad: bool) -> int:
        return sum((second.bad if bad else second.units)[arm] for second in part)

    return Second((total(0, False), total(1, False)), (total(0, True), total(1, True)))


def over(limit: float, failures: int, *, least: int = 0) -> Rule:
    """Return Argo's rule: more than so many minutes in which the candidate's error rate is over a limit."""

    def judge(minutes: list[Second]) -> bool:
        bad = sum(m.units[1] > least and m.bad[1] > limit * m.units[1] for m in minutes)
        return bad > failures

    return by_minute(judge)


def flagger(minutes: list[Second]) -> bool:
    """Flagger's rule at its usual 98 % and five failed checks: a failed check adds one, a good one starts anew."""
    row = 0
    for minute in minutes:
        row = row + 1 if minute.units[1] == 0 or minute.bad[1] > 0.02 * minute.units[1] else 0
        if row >= 5:
            return True
    return False


def kayenta(minutes: list[Second]) -> bool:
    """Kayenta's judge every five minutes: Mann-Whitney of the minutes' rates, 98 %, with a tolerance of a quarter."""
    if len(minutes) % 5:
        return False
    control, treated = ([m.bad[arm] / max(1, m.units[arm]) for m in minutes] for arm in (0, 1))
    return _greater(treated, [1.25 * rate for rate in control]) >= 2.326


def z_test(run: Sequence[Second]) -> End:
    """A test of two proportions at 1 % after every second: what a dashboard with a p-value invites to."""
    units, bad = [0, 0], [0, 0]
    for n, second in enumerate(run):
        for arm in (0, 1):
            units[arm] += second.units[arm]
            bad[arm] += second.bad[arm]
        pooled = sum(bad) / max(1, sum(units))
        spread = math.sqrt(pooled * (1 - pooled) * (1 / max(1, units[0]) + 1 / max(1, units[1])))
        if spread > 0 and units[1] and (bad[1] / units[1] - bad[0] / max(1, units[0])) / spread > 2.326:
            return End(SECONDS - len(run) + n, units[1])
    return End(None, units[1])


def _greater(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how many standard deviations the Mann-Whitney count of `one` over `other` is above its mean."""
    count = sum((a > b) + 0.5 * (a == b) for a in one for b in other)
    n, m = len(one), len(other)
    return (count - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


OURS = "evoguard: arm of the event, e-value, restarts"
RULES: dict[str, Rule] = {
    OURS: ours,
    "Argo: error rate over 2 % in one minute": over(0.02, 0),
    "Argo: the same, failure limit 3": over(0.02, 3),
    "Argo: the same, of minutes with 100 requests": over(0.02, 3, least=99),
    "Flagger: under 98 %, five checks in a row": by_minute(flagger),
    "Kayenta: Mann-Whitney of minutes": by_minute(kayenta),
    "z test of two rates, every second": z_test,
}
