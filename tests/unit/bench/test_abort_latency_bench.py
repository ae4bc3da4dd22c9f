"""The latency rules that are compared: each on traffic whose answer is plain, and ours beside the fold itself."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import mean

import pytest

from evoguard.bench import abort_latency as bench
from evoguard.domain.fold import Fold, StageEntry
from evoguard.domain.kpi import KpiBatch, ValueKpi, ValueSeen


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("factor", [1.1, 1.6])
def test_our_rule_in_the_bench_aborts_in_the_second_in_which_the_fold_does(seed, factor):
    seconds = bench.run(seed, "const", factor)[:800]
    at = bench.ours(0)(seconds)
    entries = tuple(StageEntry(percent, 600_000 * n) for n, percent in enumerate((1, 10)))
    fold = Fold({}, entries[:1], {"latency": ValueKpi(0, 200)})
    found = None
    for second, row in enumerate(seconds):
        if second == 600:
            fold.enter(entries)
        values = tuple(
            ValueSeen(f"{second}.{n}", "candidate" if met else "known_good", "latency", took)
            for n, (met, took) in enumerate(row)
        )
        batch = KpiBatch(f"{second}", "ch", "c", second * 1_000, 45, 5, (), "edge", values)
        fold.take([batch])
        if second % 2 and fold.tally(second * 1_000).aborts["latency"] >= bench.ABORT_BOUND:
            found = second
            break
    assert (at is None) is (found is None)
    if at is not None:
        assert found in (at, at + 1)


def test_traffic_is_what_it_says_and_the_same_for_a_seed():
    seconds = bench.run(1, "const", 1.5)
    assert seconds[:50] == bench.run(1, "const", 1.5)[:50] != bench.run(2, "const", 1.5)[:50]
    last = [unit for row in seconds[1_200:] for unit in row]
    assert mean(met for met, _ in last) == pytest.approx(0.5, abs=0.02)
    logs = [mean(math.log(took) for met, took in last if met is arm) for arm in (False, True)]
    assert logs[1] - logs[0] == pytest.approx(math.log(1.5), abs=0.03)
    assert math.exp(logs[0]) == pytest.approx(100_000, rel=0.05)


def a_minute(candidate: float, known_good: float = 100_000.0) -> bench.Minute:
    logs = 2_700 * math.log(known_good), 300 * math.log(candidate)
    squares = 2_700 * math.log(known_good) ** 2 + 1.0, 300 * math.log(candidate) ** 2 + 1.0
    return bench.Minute((2_700, 300), (2_700 * known_good, 300 * candidate), logs, squares)


@pytest.mark.parametrize("name", bench.OTHERS)
def test_every_other_rule_aborts_a_candidate_twice_as_slow_and_none_that_is_as_fast(name):
    judge = bench.OTHERS[name]
    assert not any(judge([a_minute(100_000.0)] * n) for n in range(1, 31))
    assert any(judge([a_minute(200_000.0 + n) for n in range(1, most)]) for most in range(2, 31))


def test_a_minute_keeps_what_its_seconds_add_up_to():
    (minute,) = bench.minutes_of([[(True, 1), (False, 8)], [(True, 4)]])
    assert minute == replace(minute, n=(1, 2), total=(8.0, 5.0))
    assert minute.logs == pytest.approx((math.log(8), math.log(4)))
    assert minute.squares == pytest.approx((math.log(8) ** 2, math.log(4) ** 2))
