"""False aborts and detection on latency: our evidence beside the rules that other tools use, on the same traffic.

The rollout and the worlds are those of `bench/abort.py`. Latencies are log-normal around 100 ms with a spread of 0.6,
and one in a hundred is in a Pareto tail. `drift`: 80, 100, then 140 % with the stages in both versions; `incident`: a
minute at three times in both. Fixed seeds; nothing is timed. Each unit gives one value, as it does once a rollout.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evoguard.domain.kpi import ValueKpi
from evoguard.domain.ranks import BLOCK, worse_gains, worse_process

SECONDS, STAGE_S, MINUTE_S, UNITS_S = 1_800, 600, 60, 50
SHARES = (0.01, 0.10, 0.50)
SPREAD, USUAL_MS = 0.6, 100.0
MEAN_MS = USUAL_MS * math.exp(SPREAD * SPREAD / 2) * 1.06
"""Of known-good at its usual; the tail adds 6 %. A team that sets a threshold knows it."""
ABORT_BOUND = math.log(100.0)


@dataclass(frozen=True, slots=True)
class Minute:
    """Of each arm, known-good first: values, their sum, and the sums of their logs and of the logs' squares."""

    n: tuple[int, int]
    total: tuple[float, float]
    logs: tuple[float, float]
    squares: tuple[float, float]


Latency = list[tuple[bool, int]]
"""One second: whether the candidate answered, and how long it took in microseconds."""
Found = tuple[int | None, int]
"""The second at which a rule aborted, None when it did not, and how many units had met the candidate by then."""


def run(seed: int, world: str, factor: float) -> list[Latency]:
    """Return one rollout; the candidate takes `factor` times as long as known-good."""
    rng = random.Random(f"{seed}/latency/{world}/{factor}")  # noqa: S311  (a simulation)
    draw, normal, seconds = rng.random, rng.gauss, []
    for second in range(SECONDS):
        stage = second // STAGE_S
        base = (
            1_000
            * USUAL_MS
            * {"drift": (0.8, 1.0, 1.4)[stage], "incident": 3.0 if 900 <= second < 960 else 1.0}.get(world, 1.0)
        )
        row: Latency = []
        for _ in range(UNITS_S):
            candidate = draw() < SHARES[stage]
            took = base * math.exp(SPREAD * normal(0.0, 1.0)) * (factor if candidate else 1.0)
            if draw() < 0.01:
                took *= 1.0 + 3.0 * (rng.paretovariate(1.5) - 1.0)
            row.append((candidate, int(took)))
        seconds.append(row)
    return seconds


def ours(tolerance_percent: int) -> Callable[[Sequence[Latency]], int | None]:
    """Return our rule as `domain/fold.py` applies it: blocks of one stage, and a restart in each minute."""
    kpi = ValueKpi(tolerance_percent, 200)

    def rule(seconds: Sequence[Latency]) -> int | None:
        process, minute = worse_process(), 0
        candidate: list[int] = []
        known_good: list[int] = []
        for second, row in enumerate(seconds):
            if second % STAGE_S == 0:
                candidate, known_good = [], []
            for met, value in row:
                (candidate if met else known_good).append(value)
                if len(candidate) + len(known_good) < BLOCK:
                    continue
                if second // MINUTE_S > minute:
                    process, minute = process.restarted(), second // MINUTE_S
                process = process.gained(worse_gains(kpi, candidate, known_good))
                candidate, known_good = [], []
                if process.peak >= ABORT_BOUND:
                    return second
        return None

    return rule


# --- others
def minutes_of(seconds: Sequence[Latency]) -> list[Minute]:
    """Return what a dashboard keeps of each minute."""
    found = []
    for first in range(0, len(seconds), MINUTE_S):
        n, total, logs, squares = [0, 0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
        for row in seconds[first : first + MINUTE_S]:
            for met, value in row:
                log = math.log(max(1, value))
                n[met] += 1
                total[met] += value
                logs[met] += log
                squares[met] += log * log
        found.append(Minute((n[0], n[1]), (total[0], total[1]), (logs[0], logs[1]), (squares[0], squares[1])))
    return found


def over(percent: int, failures: int) -> Callable[[Sequence[Minute]], bool]:
    """Return Argo's rule: more than so many minutes in which the candidate's mean is so much over the usual one."""
    limit = 1_000 * MEAN_MS * (1 + percent / 100)

    def judge(minutes: Sequence[Minute]) -> bool:
        return sum(m.n[1] > 0 and m.total[1] > limit * m.n[1] for m in minutes) > failures

    return judge


def kayenta(minutes: Sequence[Minute]) -> bool:
    """Kayenta's judge every five minutes: Mann-Whitney of the minutes' means, 98 %, with a tolerance of a quarter."""
    if len(minutes) % 5:
        return False
    seen = [m for m in minutes if m.n[1] and m.n[0]]
    control, treated = ([m.total[arm] / m.n[arm] for m in seen] for arm in (0, 1))
    pairs = len(seen) ** 2
    count = sum((a > 1.25 * b) + 0.5 * (a == 1.25 * b) for a in treated for b in control)
    return bool(pairs) and (count - pairs / 2) / math.sqrt(pairs * (2 * len(seen) + 1) / 12) >= 2.326


def t_test(minutes: Sequence[Minute]) -> bool:
    """A test of the two arms' mean logs at 1 % each minute: what a dashboard with a p-value invites to."""
    means, variances = [0.0, 0.0], [0.0, 0.0]
    for arm in (0, 1):
        n = sum(m.n[arm] for m in minutes)
        if n < 30:
            return False
        means[arm] = sum(m.logs[arm] for m in minutes) / n
        variances[arm] = (sum(m.squares[arm] for m in minutes) / n - means[arm] ** 2) / n
    return (means[1] - means[0]) / math.sqrt(sum(variances)) > 2.326


OURS = "evoguard: block ranks, e-value, restarts"
BLOCKS = {OURS: ours(0), "evoguard: the same, 3 % tolerated": ours(3)}
OTHERS: dict[str, Callable[[Sequence[Minute]], bool]] = {
    "Argo: mean over +5 % in one minute": over(5, 0),
    "Argo: the same, failure limit 3": over(5, 3),
    "Kayenta: Mann-Whitney of minutes": kayenta,
    "t test of logs, every minute": t_test,
}
NAMES = (*BLOCKS, *OTHERS)


def ends(task: tuple[int, str, float]) -> tuple[Found, ...]:
    """Return how each rule of `NAMES` saw the run of (seed, world, factor)."""
    seconds = run(*task)
    met = [0]
    for row in seconds:
        met.append(met[-1] + sum(candidate for candidate, _ in row))
    minutes = minutes_of(seconds)
    found = [rule(seconds) for rule in BLOCKS.values()]
    for judge in OTHERS.values():
        first = next((n for n in range(1, len(minutes) + 1) if judge(minutes[:n])), None)
        found.append(None if first is None else first * MINUTE_S - 1)
    return tuple((at, met[-1 if at is None else at + 1]) for at in found)
