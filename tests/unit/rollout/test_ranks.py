"""The block-rank evidence, held against sums over every outcome of small blocks."""

from __future__ import annotations

import math
from itertools import combinations, product

import pytest

from evoguard.domain.kpi import ValueKpi
from evoguard.domain.ranks import (
    BLOCK,
    MOST,
    SLOPES,
    Block,
    expected_values,
    log_rank_mean,
    no_worse_gains,
    no_worse_process,
    rank_gains,
    worse_gains,
    worse_process,
)

TIED = [(1, 2, 3, 4, 5), (1, 1, 2, 2, 2), (7, 7, 7, 7, 7), (0, 0, 0, 5, 9), (1, 2, 2, 3, 3, 3)]


@pytest.mark.parametrize(("one", "other"), [(1, 1), (1, 5), (3, 4), (4, 3), (2, 6)])
@pytest.mark.parametrize("slope", [0.0024, 0.3, 1.1])
def test_the_mean_is_that_of_every_choice(one, other, slope):
    found = []
    for chosen in combinations(range(one + other), one):
        rest = [i for i in range(one + other) if i not in chosen]
        found.append(math.exp(slope * sum(a > b for a, b in product(chosen, rest))))
    assert log_rank_mean(one, other, slope) == pytest.approx(math.log(sum(found) / len(found)), abs=1e-9)


@pytest.mark.parametrize("values", TIED)
def test_over_every_choice_of_arms_the_expectation_is_one_with_ties_or_without(values):
    for size in range(1, len(values)):
        totals = [0.0] * len(SLOPES)
        for arm in combinations(range(len(values)), size):
            higher = [values[i] for i in arm]
            lower = [values[i] for i in range(len(values)) if i not in arm]
            totals = [t + math.exp(g) for t, g in zip(totals, rank_gains(higher, lower), strict=True)]
        for total in totals:
            assert total / math.comb(len(values), size) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("better", [0.5, 0.9, 1.0])
def test_over_every_value_a_candidate_that_is_no_higher_has_expectation_at_most_one(better):
    """Three values; the candidate's chance moves down from the control's, so it is stochastically no higher."""
    control = (0.2, 0.5, 0.3)
    moved = control[2] * (1 - better)
    candidate = (control[0], control[1] + moved, control[2] - moved)
    for m, n in ((1, 3), (2, 2), (3, 1)):
        means = [0.0] * len(SLOPES)
        for outcome in product(range(3), repeat=m + n):
            chance = math.prod((candidate if i < m else control)[v] for i, v in enumerate(outcome))
            gains = rank_gains(outcome[:m], outcome[m:])
            means = [mean + chance * math.exp(gain) for mean, gain in zip(means, gains, strict=True)]
        assert max(means) <= 1.0 + 1e-9


def test_at_its_tolerance_a_candidate_has_abort_expectation_one_and_at_its_margin_promotion_expectation_one():
    kpi = ValueKpi(tolerance_percent=20, margin_percent=150)
    for factor, gains in ((120, worse_gains), (150, no_worse_gains)):
        values = (100, 200, 200, 300, 500)
        for size in (1, 2, 4):
            totals = [0.0] * len(SLOPES)
            for arm in combinations(range(5), size):
                candidate = [values[i] * factor // 100 for i in arm]
                found = gains(kpi, candidate, [values[i] for i in range(5) if i not in arm])
                totals = [t + math.exp(g) for t, g in zip(totals, found, strict=True)]
            assert max(totals) / math.comb(5, size) == pytest.approx(1.0, abs=1e-9)


def test_evidence_rises_with_the_candidates_values_and_a_block_of_one_arm_says_nothing():
    kpi = ValueKpi(tolerance_percent=0)
    low, high = (worse_gains(kpi, [v] * 10, [5] * 90) for v in (4, 6))
    assert max(low) < 0.0 < max(high)
    assert min(no_worse_gains(kpi, [4] * 10, [5] * 90)) > 0.0 > max(no_worse_gains(kpi, [9] * 10, [5] * 90))
    assert rank_gains([], [1, 2]) == rank_gains([1, 2], []) == (0.0,) * len(SLOPES)


def test_equal_values_say_nothing():
    assert rank_gains([3] * 40, [3] * 60) == pytest.approx((0.0,) * len(SLOPES), abs=1e-9)


def test_the_weights_of_the_mixtures_sum_to_at_most_one_and_to_one():
    process = worse_process()
    for _ in range(500):
        process = process.restarted()
    assert 0.99 < math.exp(process.log_e) <= 1.0
    assert math.exp(no_worse_process().log_e) == pytest.approx(1.0)


def test_a_block_begins_anew_with_another_stage():
    block = Block()
    for n in range(BLOCK - 1):
        block = block.plus("candidate" if n % 10 == 0 else "known_good", n, 7)
    assert not block.full
    assert block.plus("known_good", 1, 7).full
    anew = block.plus("candidate", 1, 8)
    assert (anew.candidate, anew.known_good) == ((1,), ())


def test_a_narrow_margin_or_a_wide_spread_needs_more_and_what_never_comes_is_said():
    usual = expected_values(10, ValueKpi(), 0.05)
    assert expected_values(10, ValueKpi(margin_percent=110), 0.05) > usual
    assert expected_values(10, ValueKpi(spread_percent=120), 0.05) > usual
    assert expected_values(50, ValueKpi(), 0.05) < usual < expected_values(10, ValueKpi(), 0.01)
    assert expected_values(10, ValueKpi(0, 105, 500), 0.05) == MOST
