"""Simulated traffic, fixed seeds. Bounds are the promised chance plus three standard deviations."""

from __future__ import annotations

from statistics import median

import pytest

from evoguard.domain.evalues import promote_process
from evoguard.domain.fold import Fold, StageEntry, tally_of
from evoguard.domain.kpi import KpiBatch
from evoguard.domain.rollout import judge, judge_tally
from unit.rollout.runs import a_batch, a_plan, a_rng, at_most, at_stage, returning, traffic

STAGES = (StageEntry(1, 0), StageEntry(10, 40_000), StageEntry(50, 80_000))
SHARES = (0.01, 0.1, 0.5)
PLAN = a_plan()


def healthy(seed: int, world: str) -> list[KpiBatch]:
    """Two minutes through three stages, 50 units a second, both arms equally bad."""
    rng, batches = a_rng(seed), []
    for second in range(120):
        stage, at = second // 40, 1_000 * second + 500
        rate = {"drift": (0.01, 0.03, 0.08)[stage], "incident": 0.4 if 60 <= second < 70 else 0.03}.get(world, 0.05)
        name = f"{seed}.{second}"
        if world == "returning":
            batches.append(returning(rng, name, at=at, share=SHARES[stage], failing=3, units=8))
        else:
            # Misrouted: three times as many meet the candidate as the flag says.
            share = min(0.9, SHARES[stage] * (3 if world == "misrouted" else 1))
            batches.append(traffic(rng, name, at=at, units=50, share=share, rates=(rate, rate)))
    return batches


@pytest.mark.parametrize("world", ["constant", "drift", "incident", "returning", "misrouted"])
def test_a_healthy_rollout_is_hardly_ever_aborted_however_often_one_looks(world):
    runs = 1_000
    aborted = sum(
        tally_of(PLAN.margins, STAGES, healthy(seed, world), 121_000).aborts["errors"] >= PLAN.abort_bound
        for seed in range(runs)
    )
    assert aborted <= at_most(runs, 0.01)


def looked_at_after_each_batch(seed: int, *, percent: int, rates: tuple[float, float], units: int = 50):
    """Return (verdict, units so far) of the first batch that does not hold."""
    rng, fold, seen = a_rng(seed), Fold(PLAN.margins, at_stage(percent, -10_000)), 0
    for i in range(400):
        at = 100 * i + 1
        fold.take([traffic(rng, f"{seed}.{i}", at=at, units=units, share=percent / 100, rates=rates)])
        seen += units
        verdict = judge_tally(PLAN, fold.tally(at))
        if verdict.action != "hold":
            return verdict, seen
    return verdict, seen


def test_twenty_percent_errors_against_five_are_aborted_before_many_met_the_candidate():
    ends = [looked_at_after_each_batch(seed, percent=10, rates=(0.05, 0.2)) for seed in range(40)]
    assert sum(verdict.action == "abort" for verdict, _ in ends) >= 39
    assert median(units for _, units in ends) <= 1_000


def test_a_candidate_that_always_fails_is_aborted_within_a_handful_of_units():
    ends = [looked_at_after_each_batch(seed, percent=10, rates=(0.01, 1.0)) for seed in range(20)]
    assert all(verdict.action == "abort" for verdict, _ in ends)
    assert max(units for _, units in ends) <= 200


@pytest.mark.parametrize(("percent", "units"), [(10, 2_400), (50, 1_100)])
def test_a_healthy_candidate_is_promoted_after_about_as_many_units_as_promised(percent, units):
    ends = [looked_at_after_each_batch(seed, percent=percent, rates=(0.05, 0.05)) for seed in range(31)]
    assert median(count for _, count in ends) <= units
    assert sum(verdict.code == "rollout.evidence" for verdict, _ in ends) >= 30


@pytest.mark.parametrize("world", ["new", "returning"])
def test_a_candidate_twice_as_bad_is_seldom_promoted_however_often_one_looks(world):
    runs, promoted = 300, 0
    for seed in range(runs):
        rng, batches = a_rng(seed), []
        for i in range(40):
            if world == "new":
                batches.append(traffic(rng, f"{i}", at=i, units=100, share=0.1, rates=(0.05, 0.1)))
            else:
                batches.append(returning(rng, f"{i}", at=i, share=0.2 / 1.1, failing=6, units=0))
                batches[-1] = a_batch(
                    f"{i}", good=90, cand=10, bad_good=_bad(batches[-1], 0), bad_cand=_bad(batches[-1], 1)
                )
        fold, looks = Fold(PLAN.margins, at_stage(10)), []
        for i, batch in enumerate(batches):
            fold.take([batch])
            looks += [fold.tally(40).promotes["errors"]] if i >= 4 and i % 2 == 0 else []
        promoted += any(log_e >= PLAN.promote_bound for log_e in looks)
    assert promoted <= at_most(runs, 0.05)


def _bad(batch: KpiBatch, arm: int) -> int:
    return sum(event.arm == ("known_good", "candidate")[arm] for event in batch.bad)


def test_a_rising_share_in_a_rising_baseline_is_not_taken_for_a_worse_candidate():
    """Simpson: pooled, the candidate fails at 7.5 % and known-good at 2.6 %; in each stage they are equal."""
    entries = (StageEntry(1, 0), StageEntry(50, 10_000))
    early = a_batch("early", at=1_000, good=4_950, cand=50, bad_good=99, bad_cand=1)
    late = a_batch("late", at=11_000, good=500, cand=500, bad_good=40, bad_cand=40)
    pooled = judge(PLAN, at_stage(1), (a_batch("p", good=5_450, cand=550, bad_good=139, bad_cand=41),), 6_000)
    assert pooled.action == "abort"
    assert judge(PLAN, entries, (early, late), 16_000).action != "abort"


def test_a_falling_share_in_a_rising_baseline_does_not_hide_a_worse_candidate():
    """Simpson again: three times as bad in each half of the stage, harmless when the halves are pooled."""
    early = a_batch("early", at=1_000, good=1_000, cand=1_000, bad_good=5, bad_cand=15)
    late = a_batch("late", at=2_000, good=1_900, cand=100, bad_good=95, bad_cand=15)
    pooled = promote_process(2.0).seen(1_100 / 4_000, candidate=30, known_good=100)
    assert pooled.log_e >= PLAN.promote_bound
    assert tally_of(PLAN.margins, at_stage(50), (early, late), 2_000).promotes["errors"] < PLAN.promote_bound
