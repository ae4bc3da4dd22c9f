"""A candidate, or a router gone wrong, that tries to talk its way up or past an abort."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard.domain.kpi import BadEvent
from evoguard.domain.rollout import judge
from house import House
from unit.rollout.runs import a_batch, a_plan, at_stage

GOOD = a_batch("good", good=2_700, cand=300, bad_good=135, bad_cand=15)
WORSE = a_batch("worse", good=270, cand=30, bad_good=3, bad_cand=20)


def ten(*batches, now: int = 6_000, **plan):
    return judge(a_plan(**plan), at_stage(10), batches, now)


def test_what_a_candidate_reports_about_itself_promotes_nothing():
    praise = replace(GOOD, assurance="self-reported")
    for percent in (1, 10, 50, 100):
        verdict = judge(a_plan(), at_stage(percent), (praise,), 6_000)
        assert (verdict.action, verdict.code) == ("hold", "rollout.no_data")


def test_without_the_rule_of_who_counted_a_self_reported_batch_would_promote(monkeypatch):
    praise = replace(GOOD, assurance="self-reported")
    assert ten(praise).action == "hold"
    monkeypatch.setattr("evoguard.domain.fold.COUNTED_OUTSIDE", frozenset({"self-reported", "host", "edge"}))
    assert ten(praise).action == "widen"


def test_self_reports_do_not_keep_a_rollout_alive_when_the_counting_has_died():
    reports = [replace(GOOD, id=f"r{i}", at=1_000 * i, assurance="self-reported") for i in range(1, 70)]
    verdict = ten(*reports, now=69_000)
    assert (verdict.action, verdict.code) == ("abort", "rollout.silent")


def test_a_candidate_may_confess():
    verdict = ten(replace(WORSE, assurance="self-reported"), GOOD)
    assert (verdict.action, verdict.code) == ("abort", "rollout.kpi_worse")


def test_a_candidate_that_blames_known_good_does_not_thin_out_honest_counts():
    blame = a_batch("blame", good=9_000, cand=1_000, bad_good=5_000, assurance="self-reported")
    assert ten(blame, WORSE).action == "abort"
    assert ten(WORSE, blame).action == "abort"


def test_a_candidate_cannot_use_up_a_unit_by_reporting_it_first():
    first = replace(WORSE, id="first", assurance="self-reported", exposed_candidate=0)
    first = replace(first, bad=tuple(replace(event, arm="known_good") for event in WORSE.bad))
    verdict = ten(first, WORSE)
    assert verdict.action == "abort"
    assert verdict.figures["errors.bad_candidate"] == 20


def test_a_small_failure_first_does_not_hide_a_large_one_of_the_same_units():
    trifles = replace(WORSE, id="trifles", bad=tuple(replace(e, kpi="warnings") for e in WORSE.bad))
    assert ten(trifles, WORSE).action == "abort"


def test_one_unit_that_fails_a_thousand_times_aborts_nothing():
    noise = tuple(BadEvent("one-user", "candidate", "errors") for _ in range(1_000))
    assert ten(replace(GOOD, bad=GOOD.bad + noise)).action == "widen"


def test_the_same_batch_again_and_again_is_one_batch():
    small = a_batch("small", good=90, cand=10, bad_good=4)
    assert ten(*[small] * 100) == ten(small)


def test_many_exposures_that_met_only_one_arm_promote_nothing():
    assert ten(a_batch("b", good=100_000, bad_good=5_000)).code == "rollout.one_armed"
    lopsided = a_batch("b", good=100_000, cand=1, bad_good=5_000)
    assert ten(lopsided).action == "hold"


def test_failures_of_returning_units_count_against_a_candidate_that_no_new_unit_met():
    bad = a_batch("bad", at=2, good=100, bad_cand=40)
    assert ten(GOOD, bad, now=6_000).action == "abort"


@pytest.mark.parametrize("percent", [1, 10, 50])
def test_starving_the_candidate_of_units_does_not_widen(percent):
    batches = tuple(a_batch(f"b{i}", at=i, good=500, bad_good=25) for i in range(1, 20))
    assert judge(a_plan(), at_stage(percent), batches, 6_000).action == "hold"


def test_a_batch_dated_into_the_past_cannot_be_used_as_evidence_for_this_stage():
    assert judge(a_plan(), at_stage(10, 10_000), (replace(GOOD, at=9_999),), 16_000).code == "rollout.no_data"


def test_evidence_of_another_kpi_is_no_evidence():
    other = replace(GOOD, bad=tuple(replace(event, kpi="clicks") for event in GOOD.bad))
    assert ten(other).code == "rollout.needs_evidence"


def test_an_abort_is_not_undone_by_a_flood_of_good_news():
    news = tuple(replace(GOOD, id=f"n{i}", at=100 + i, bad=()) for i in range(200))
    assert ten(WORSE, *news).action == "abort"


async def test_a_candidate_that_fails_at_the_last_stage_only_does_not_become_known_good(house: House) -> None:
    change = await house.to_watch()
    for _ in range(80):
        percent = house.flags.states["lending-scoring"].percent
        if percent < 98:
            healthy = {"bad_candidate": percent * 500 // 2000, "bad_known_good": (100 - percent) * 500 // 2000}
            house.traffic(change, units=500, percent=percent, **healthy)
        else:
            house.traffic(change, units=500, percent=98, bad_candidate=100)
        house.clock.wait(2)
        if (done := await house.drive(change)).outcome:
            break
    assert done.outcome == "reverted"
    events = [e.event for e in await house.queries.events(f"change/{change}")]
    last = next(e for e in events if e.type == "rollout.aborted")
    assert last.body["code"] == "rollout.worse_than_before"
