from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard.domain.canonical import canonical
from evoguard.domain.fold import StageEntry
from evoguard.domain.kpi import BadEvent
from evoguard.domain.rollout import judge
from unit.rollout.runs import CHANGE, a_batch, a_plan, at_stage

CLEAN = a_batch("clean", good=2700, cand=300, bad_good=135, bad_cand=15)
DISASTER = a_batch("disaster", good=180, cand=20, bad_good=2, bad_cand=15)


def ten(*batches, now=6_000, **plan):
    return judge(a_plan(**plan), at_stage(10), batches, now)


def test_a_stage_widens_on_evidence():
    verdict = ten(CLEAN)
    assert (verdict.action, verdict.code, verdict.next_percent) == ("widen", "rollout.evidence", 50)


def test_a_candidate_that_is_worse_aborts_at_any_stage_before_anything_else_is_asked():
    for percent in (1, 10, 50):
        for now in (-50, 2, 6_000, 10**9):
            batch = a_batch("b", good=1000, cand=1000, bad_cand=40) if percent == 50 else DISASTER
            verdict = judge(a_plan(), at_stage(percent), (batch,), now)
            assert (verdict.action, verdict.code) == ("abort", "rollout.kpi_worse")


def test_an_abort_stays_an_abort_when_later_batches_look_good():
    later = a_batch("later", at=3_000, good=9_000, cand=1_000, bad_good=900, bad_cand=2)
    assert ten(DISASTER, later).action == "abort"


@pytest.mark.parametrize("now", [6_000, 60_000])
def test_no_batch_at_all_holds(now):
    assert (ten(now=now).action, ten(now=now).code) == ("hold", "rollout.no_data")


def test_silence_for_too_long_goes_down():
    assert (ten(CLEAN, now=60_001).action, ten(now=60_001).code) == ("widen", "rollout.silent")
    assert (ten(CLEAN, now=60_002).action, ten(CLEAN, now=60_002).code) == ("abort", "rollout.silent")


def test_an_empty_batch_is_a_sign_of_life_but_no_evidence():
    empty = a_batch("empty", at=100_000)
    assert (ten(empty, now=110_000).action, ten(empty, now=110_000).code) == ("hold", "rollout.no_data")


def test_a_batch_from_the_future_keeps_nothing_alive_and_promotes_nothing():
    verdict = ten(replace(CLEAN, at=10**15), now=60_002)
    assert (verdict.action, verdict.code) == ("abort", "rollout.silent")


def test_a_stage_lasts_its_dwell():
    assert (ten(CLEAN, now=4_999).action, ten(CLEAN, now=4_999).code) == ("hold", "rollout.dwell")
    assert ten(CLEAN, now=5_000).action == "widen"


def test_a_clock_gone_backwards_holds():
    verdict = judge(a_plan(), at_stage(10, 10_000), (replace(CLEAN, at=10_001),), 9_000)
    assert (verdict.action, verdict.code) == ("hold", "rollout.clock")


def test_too_little_evidence_holds_and_says_what_is_missing():
    verdict = ten(a_batch("b", good=900, cand=100, bad_good=45, bad_cand=5))
    assert (verdict.action, verdict.code) == ("hold", "rollout.needs_evidence")
    assert "errors" in verdict.reason
    assert "20" in verdict.reason


def test_zero_bad_events_prove_nothing():
    assert ten(a_batch("b", good=90_000, cand=10_000)).code == "rollout.needs_evidence"


def test_evidence_is_fresh_for_each_stage():
    entries = (StageEntry(10, 0), StageEntry(50, 10_000))
    now = 16_000
    assert judge(a_plan(), entries, (CLEAN,), now).code == "rollout.no_data"
    few = a_batch("few", at=11_000, good=10, cand=10, bad_good=1, bad_cand=1)
    assert judge(a_plan(), entries, (CLEAN, few), now).code == "rollout.needs_evidence"
    many = a_batch("many", at=11_000, good=1_000, cand=1_000, bad_good=50, bad_cand=50)
    assert judge(a_plan(), entries, (CLEAN, many), now).next_percent == 100


def test_every_kpi_needs_its_own_evidence():
    margins = {"errors": 200, "timeouts": 200}
    assert ten(CLEAN, margins=margins).code == "rollout.needs_evidence"
    slow = tuple(replace(event, kpi="timeouts") for event in CLEAN.bad)
    both = replace(CLEAN, bad=CLEAN.bad + slow)
    assert ten(both, margins=margins).action == "widen"


def test_the_chance_of_a_false_abort_is_shared_by_the_kpis():
    one = a_plan().abort_bound
    assert a_plan(margins={"a": 200, "b": 200}).abort_bound > one


@pytest.mark.parametrize("percent", [1, 5])
def test_a_small_stage_ends_on_units_and_says_that_it_only_catches_disasters(percent):
    plan = a_plan(stages=(1, 5, 10, 100))
    few = a_batch("few", good=290, cand=9)
    assert judge(plan, at_stage(percent), (few,), 6_000).code == "rollout.needs_units"
    verdict = judge(plan, at_stage(percent), (few, a_batch("one", at=2, good=1)), 6_000)
    assert (verdict.action, verdict.code) == ("widen", "rollout.only_disasters")
    assert "only catches disasters" in verdict.reason
    assert verdict.next_percent == (5 if percent == 1 else 10)


@pytest.mark.parametrize(("good", "cand"), [(500, 0), (0, 500)])
@pytest.mark.parametrize("percent", [1, 10, 50])
def test_a_silent_arm_holds(good, cand, percent):
    verdict = judge(a_plan(), at_stage(percent), (a_batch("b", good=good, cand=cand),), 6_000)
    assert (verdict.action, verdict.code) == ("hold", "rollout.one_armed")


def test_the_last_stage_completes_after_its_dwell_with_exposures_and_says_that_no_control_is_left():
    seen = a_batch("b", cand=a_plan().disaster_exposures)
    assert judge(a_plan(), at_stage(100), (seen,), 4_000).code == "rollout.dwell"
    assert judge(a_plan(), at_stage(100), (a_batch("b", cand=5),), 6_000).code == "rollout.needs_units"
    verdict = judge(a_plan(), at_stage(100), (seen,), 6_000)
    assert (verdict.action, verdict.code) == ("complete", "rollout.full")
    assert "no control arm" in verdict.reason
    assert judge(a_plan(), at_stage(100), (a_batch("e"),), 6_000).code == "rollout.no_data"


def test_an_abort_of_an_earlier_stage_still_counts_at_a_hundred_percent():
    entries = (StageEntry(10, 0), StageEntry(100, 10_000))
    batches = (DISASTER, a_batch("b", at=11_000, cand=500))
    assert judge(a_plan(), entries, batches, 16_000).action == "abort"


def test_without_a_kpi_nothing_is_ever_promoted():
    for percent in (1, 10, 100):
        verdict = judge(a_plan(margins={}), at_stage(percent), (CLEAN,), 6_000)
        assert (verdict.action, verdict.code) == ("hold", "rollout.no_kpi")


def test_without_a_stage_nothing_happens():
    assert judge(a_plan(), (), (CLEAN,), 6_000).code == "rollout.not_open"
    assert judge(a_plan(stages=(10,)), at_stage(10), (CLEAN,), 6_000).code == "rollout.no_stage"


def test_batches_of_another_change_are_ignored():
    assert ten(replace(CLEAN, change="ch-other"), change=CHANGE).code == "rollout.no_data"
    assert ten(replace(DISASTER, change="ch-other"), CLEAN, change=CHANGE).action == "widen"


def test_a_unit_counts_once_and_with_its_first_arm():
    bad = tuple(BadEvent("u1", "candidate", "errors") for _ in range(50))
    again = a_batch("b2", at=2, good=90, cand=10)
    verdict = ten(replace(a_batch("b1", good=90, cand=10), bad=bad), replace(again, bad=bad))
    assert verdict.figures["errors.bad_candidate"] == 1
    both = (BadEvent("u2", "known_good", "errors"), BadEvent("u2", "candidate", "errors"))
    figures = ten(replace(again, bad=both)).figures
    assert (figures["errors.bad_known_good"], figures["errors.bad_candidate"]) == (1, 0)


def test_a_batch_that_arrives_twice_counts_once():
    figures = ten(CLEAN, CLEAN).figures
    assert (figures["exposed_known_good"], figures["exposed_candidate"]) == (2700, 300)


def test_bad_events_of_an_unknown_kpi_are_ignored():
    assert ten(a_batch("b", good=90, cand=10, bad_cand=10, kpi="mood")).code == "rollout.needs_evidence"


def test_few_units_wait_a_moment_for_company_and_then_count():
    hit = a_batch("b", good=1, cand=9, bad_cand=9)
    assert judge(a_plan(), at_stage(10), (hit,), 100).action == "hold"
    assert judge(a_plan(), at_stage(10), (replace(hit, exposed_known_good=90),), 100).action == "abort"


def test_units_that_come_back_and_fail_abort_although_no_unit_is_new():
    batches = tuple(a_batch(f"b{i}", at=3_000 * i, bad_cand=4) for i in range(1, 6))
    assert ten(*batches, now=20_000).action == "abort"


def test_the_figures_are_whole_numbers_with_a_canonical_form():
    for verdict in (ten(CLEAN), ten(DISASTER), ten(a_batch("b", good=1, cand=1, bad_cand=1)), ten(now=10**9)):
        assert canonical(dict(verdict.figures))
        assert all(type(value) is int for value in verdict.figures.values())
    assert ten(CLEAN).figures["errors.promote_bound_milli"] == 20_000
    assert ten(CLEAN).figures["errors.abort_bound_milli"] == 100_000
    assert ten(DISASTER).figures["errors.abort_e_milli"] >= 100_000


def test_judging_twice_gives_the_same_answer():
    assert ten(CLEAN) == ten(CLEAN)
