from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard.domain.evalues import (
    ABORT_RATIOS,
    FIRST_START,
    EProcess,
    abort_process,
    expected_units,
    milli,
    promote_process,
    ratio_process,
    split,
)


def one_start(null: float = 1.0) -> EProcess:
    """The abort mixture without its prior over starts, so that its expectation may reach 1."""
    return EProcess(null, tuple(null * r for r in ABORT_RATIOS), (-math.log(len(ABORT_RATIOS)),) * len(ABORT_RATIOS))


def after(process: EProcess, candidates: int, goods: int, bad_cand: int, bad_good: int) -> float:
    share = candidates / (candidates + goods)
    return math.exp(process.seen(share, candidate=bad_cand, known_good=bad_good).log_e)


def binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize("odds", [0.2, 0.7, 1.0])
@pytest.mark.parametrize(("candidates", "goods"), [(1, 9), (3, 3), (5, 45), (20, 5), (10, 90)])
def test_one_batch_drawn_without_replacement_has_expectation_at_most_one(odds, candidates, goods):
    for bad in range(1, candidates + goods + 1, 1 if candidates + goods < 20 else 7):
        ks = range(max(0, bad - goods), min(bad, candidates) + 1)
        weight = {k: math.comb(candidates, k) * math.comb(goods, bad - k) * odds**k for k in ks}
        mean = sum(w * after(one_start(), candidates, goods, k, bad - k) for k, w in weight.items())
        assert mean / sum(weight.values()) <= 1 + 1e-9


@pytest.mark.parametrize("ratio", [2.0, 2.5, 4.0])
@pytest.mark.parametrize(("candidates", "goods", "rate"), [(2, 2, 0.25), (5, 5, 0.05), (3, 27, 0.2), (10, 40, 0.01)])
def test_one_batch_of_a_worse_candidate_has_promotion_expectation_at_most_one(ratio, candidates, goods, rate):
    mean = sum(
        binomial(candidates, i, ratio * rate)
        * binomial(goods, j, rate)
        * after(promote_process(2.0), candidates, goods, i, j)
        for i in range(candidates + 1)
        for j in range(goods + 1)
    )
    assert mean <= 1 + 1e-9


def test_units_that_differ_keep_both_expectations_at_most_one_when_arms_are_drawn_without_replacement():
    rates = (0.0, 0.02, 0.1, 0.3, 0.45, 0.5)
    for process, ratio in ((one_start(), 1.0), (promote_process(2.0), 2.0)):
        for size in (1, 2, 3, 5):
            total = 0.0
            for arm in combinations(range(len(rates)), size):
                p = [rate * (ratio if i in arm else 1.0) for i, rate in enumerate(rates)]
                total += _expectation(process, arm, p)
            assert total / math.comb(len(rates), size) <= 1 + 1e-9


def _expectation(process: EProcess, arm: tuple[int, ...], p: list[float]) -> float:
    mean = 0.0
    for outcome in range(2 ** len(p)):
        bad = [bool(outcome >> i & 1) for i in range(len(p))]
        chance = math.prod(q if b else 1 - q for q, b in zip(p, bad, strict=True))
        in_arm = sum(b for i, b in enumerate(bad) if i in arm)
        mean += chance * after(process, len(arm), len(p) - len(arm), in_arm, sum(bad) - in_arm)
    return mean


def test_a_batch_with_one_arm_only_says_nothing():
    start = abort_process()
    assert start.seen(0.0, candidate=3, known_good=3) == start
    assert start.seen(1.0, candidate=3, known_good=3) == start
    assert start.seen(0.5, candidate=0, known_good=0) == start


def test_a_bad_event_in_the_candidate_raises_and_one_in_known_good_lowers_the_evidence():
    start = abort_process()
    assert (
        start.seen(0.1, candidate=1, known_good=0).log_e
        > start.log_e
        > start.seen(0.1, candidate=0, known_good=1).log_e
    )
    proof = promote_process(2.0)
    assert (
        proof.seen(0.1, candidate=1, known_good=0).log_e
        < proof.log_e
        < proof.seen(0.1, candidate=0, known_good=1).log_e
    )


def test_a_restart_never_raises_the_total_prior_above_one():
    process = abort_process()
    for _ in range(500):
        process = process.restarted()
    assert 0.99 < math.exp(process.log_e) <= 1.0


def test_the_mixture_over_starts_equals_the_sum_over_every_start():
    moves = [(0.1, 2, 5), (0.5, 1, 0), (0.3, 4, 2)]
    process = abort_process()
    for share, cand, good in moves:
        process = process.seen(share, candidate=cand, known_good=good).restarted()
    total = 0.0
    for start in range(len(moves) + 1):
        prior = FIRST_START if start == 0 else (1 - FIRST_START) / (start * (start + 1))
        late = replace(one_start())
        for share, cand, good in moves[start:]:
            late = late.seen(share, candidate=cand, known_good=good)
        total += prior * math.exp(late.log_e)
    assert math.exp(process.log_e) == pytest.approx(total)


def test_the_peak_is_kept_when_the_evidence_falls():
    high = abort_process().seen(0.1, candidate=8, known_good=0)
    low = high.seen(0.1, candidate=0, known_good=500)
    assert low.log_e < high.log_e == low.peak


@given(
    share=st.floats(0, 1),
    candidate=st.integers(0, 10**7),
    known_good=st.integers(0, 10**7),
    restarts=st.integers(0, 3),
)
def test_no_batch_overflows(share, candidate, known_good, restarts):
    process = abort_process()
    for _ in range(restarts):
        process = process.restarted()
    process = process.seen(share, candidate=candidate, known_good=known_good)
    assert math.isfinite(process.log_e)
    assert 0 <= milli(process.log_e) <= 10**12


def test_a_margin_of_one_or_less_cannot_be_proved():
    with pytest.raises(ValueError, match="above 1"):
        promote_process(1.0)


def test_the_expected_units_follow_share_baseline_and_margin():
    assert expected_units(10, 0.05, 2.0) == pytest.approx(2300, rel=0.05)
    assert expected_units(50, 0.05, 2.0) < expected_units(10, 0.05, 2.0) < expected_units(10, 0.01, 2.0)
    assert expected_units(10, 0.05, 3.0) < expected_units(10, 0.05, 2.0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("units", [1, 2, 7, 20])
def test_units_that_follow_the_flag_have_expectation_one(share, units):
    mean = sum(
        binomial(units, k, share) * math.exp(split(ratio_process(), share, candidate=k, known_good=units - k).log_e)
        for k in range(units + 1)
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("total", "treated"), [(10, 1), (10, 5), (20, 2), (50, 25)])
def test_units_drawn_without_replacement_from_those_that_follow_the_flag_have_expectation_at_most_one(total, treated):
    for drawn in (1, 4, total):
        ks = range(max(0, drawn - total + treated), min(drawn, treated) + 1)
        mean = sum(
            math.comb(treated, k) * math.comb(total - treated, drawn - k)
            * math.exp(split(ratio_process(), treated / total, candidate=k, known_good=drawn - k).log_e)
            for k in ks
        )  # fmt: skip
        assert mean / math.comb(total, drawn) <= 1 + 1e-9


def test_a_flag_that_nobody_or_everybody_meets_is_seen_and_one_without_a_choice_says_nothing():
    for cand, good in ((0, 500), (500, 0)):
        assert split(ratio_process(), 0.1, candidate=cand, known_good=good).peak > math.log(1_000)
    for share in (0.0, 1.0):
        assert split(ratio_process(), share, candidate=5, known_good=5) == ratio_process()
