"""Values, splits, held-back units and plans: each way past them is tried."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evoguard.adapters.sqlite.kpis import MAX_VALUE, parse_batch
from evoguard.domain import component
from evoguard.domain.component import ComponentFile
from evoguard.domain.fold import StageEntry
from evoguard.domain.kpi import KpiBatch, ValueKpi, ValueSeen
from evoguard.domain.plan import foreseen, needs, plan_from
from evoguard.domain.rollout import judge
from evoguard.errors import InputError
from house import House
from unit.rollout.runs import CHANGE, a_batch, a_plan, at_stage

LATENCY = {"latency": ValueKpi(tolerance_percent=5, margin_percent=125)}
PLAN = a_plan(margins={}, values=LATENCY)


def timed(name: str, candidate: int, known_good: int, *, at: int = 1, n: int = 600, share: int = 10) -> KpiBatch:
    """Return a batch of n units of which so many in a hundred met the candidate; each arm's values within 10 %."""
    treated = n * share // 100
    seen = [ValueSeen(f"{name}-{i}", "candidate", "latency", candidate * (95 + i % 11) // 100) for i in range(treated)]
    rest = range(n - treated)
    seen += [ValueSeen(f"{name}+{i}", "known_good", "latency", known_good * (95 + i % 11) // 100) for i in rest]
    seen.sort(key=lambda value: hash_of(value.unit))
    return replace(a_batch(name, at=at, good=n - treated, cand=treated), values=tuple(seen))


def hash_of(unit: str) -> int:
    return int.from_bytes(unit.encode(), "big") * 2_654_435_761 % 2**32


def ten(*batches, plan=PLAN, now=6_000, percent=10):
    return judge(plan, at_stage(percent), batches, now)


# --- values
def test_a_slower_candidate_is_taken_back_before_anything_else_is_asked():
    for now in (2, 6_000):
        verdict = ten(timed("slow", 1_400, 1_000), now=now)
        assert (verdict.action, verdict.code) == ("abort", "rollout.kpi_worse")


def test_a_candidate_as_fast_widens_and_one_at_the_margin_does_not():
    assert ten(timed("same", 1_000, 1_000)).code == "rollout.evidence"
    assert ten(timed("slow", 1_250, 1_000), plan=replace(PLAN, values={"latency": ValueKpi(24, 125)})).action == "hold"


def test_values_that_are_missing_or_of_one_arm_hold():
    assert ten(a_batch("none", good=900, cand=100)).code == "rollout.no_values"
    for arm in ("candidate", "known_good"):
        one = timed("one", 1_000, 1_000)
        one = replace(one, values=tuple(v for v in one.values if v.arm == arm))
        assert (ten(one).action, ten(one).code) == ("hold", "rollout.no_values")
    first = judge(PLAN, at_stage(1), (a_batch("none", good=900, cand=100),), 6_000)
    assert (first.action, first.code) == ("hold", "rollout.no_values")


def test_values_of_an_earlier_stage_are_no_evidence_for_this_one():
    entries = (StageEntry(10, 0), StageEntry(50, 10_000))
    batches = (timed("early", 1_000, 1_000), a_batch("late", at=11_000, good=500, cand=500))
    assert judge(PLAN, entries, batches, 16_000).code == "rollout.no_values"


def test_a_unit_gives_one_value_however_often_it_comes_and_in_its_first_arm():
    slow = timed("slow", 5_000, 1_000, n=90)
    again = [replace(slow, id=f"again{n}") for n in range(30)]
    assert ten(slow, *again).action == "hold"
    assert ten(slow, *again).figures["latency.values_candidate"] == 9


def test_a_candidate_may_confess_to_be_slow_and_not_claim_to_be_fast():
    said = {"assurance": "self-reported"}
    assert ten(replace(timed("slow", 2_000, 1_000), **said)).action == "abort"
    assert ten(replace(timed("fast", 500, 1_000), **said)).action == "hold"


def test_values_of_a_kpi_that_nobody_declared_count_for_nothing():
    other = timed("other", 9_000, 1_000)
    other = replace(other, values=tuple(replace(v, kpi="mood") for v in other.values))
    assert ten(other).code == "rollout.no_values"


def test_alpha_is_split_over_all_kpis_for_both_tests():
    both = a_plan(margins={"errors": 200}, values=LATENCY)
    one = a_plan()
    assert both.abort_bound == pytest.approx(one.abort_bound + 0.6931, abs=1e-3)
    assert both.promote_bound == pytest.approx(one.promote_bound + 0.6931, abs=1e-3)


def body(**value) -> str:
    seen = {"unit": "u", "arm": "candidate", "kpi": "latency", "value": 7, **value}
    doc = {"id": "b", "component": "c", "change": CHANGE, "at": 1, "exposed": {"known_good": 1, "candidate": 1}}
    return json.dumps({**doc, "bad": [], "values": [{k: v for k, v in seen.items() if v is not None}]})


def test_a_value_at_the_door_is_a_bounded_whole_number():
    assert parse_batch(body(), "edge").values == (ValueSeen("u", "candidate", "latency", 7),)
    assert parse_batch(body(value=MAX_VALUE), "edge").values[0].value == MAX_VALUE
    for wrong in ({"value": -1}, {"value": MAX_VALUE + 1}, {"value": 1.5}, {"value": True}, {"value": "7"},
                  {"value": float("nan")}, {"value": None}, {"arm": "both"}, {"arm": []}, {"unit": ""}, {"kpi": 3},
                  {"more": 1}):  # fmt: skip
        with pytest.raises(InputError) as caught:
            parse_batch(body(**wrong), "edge")
        assert caught.value.code == "kpi.invalid"
    for wrong_list in ({}, "x", [1], [{"unit": "u"}] * 2, [json.loads(body())["values"][0]] * 2_001):
        doc = json.loads(body())
        with pytest.raises(InputError):
            parse_batch(json.dumps({**doc, "values": wrong_list}), "edge")


# --- split of new units
def split(cand: int, good: int, *, percent: int = 10, at: int = 91_000, now: int = 96_000):
    clean = a_batch("split", at=at, good=good, cand=cand, bad_good=good // 20, bad_cand=cand // 20)
    return judge(a_plan(), at_stage(percent), (clean,), now)


def test_a_rollout_value_that_sdks_read_as_zero_holds_and_is_named():
    """Unleash's SDKs read "10.0" as 0 %: everybody meets known-good, and a handful of testers the candidate."""
    for cand in (0, 3):
        verdict = split(cand, 1_000)
        assert (verdict.action, verdict.code) == ("hold", "rollout.sample_ratio")
        assert "10 %" in verdict.reason


def test_an_sdk_that_sends_everybody_holds_even_where_the_evidence_would_widen():
    assert split(800, 800).code == "rollout.sample_ratio"
    assert split(300, 2_700).action == "widen"


def test_a_wrong_split_at_the_first_and_the_last_stage_holds():
    assert split(300, 300, percent=1).code == "rollout.sample_ratio"
    baking = a_plan(holdback_percent=2, stages=(1, 10, 50, 98))
    seen = a_batch("b", at=91_000, good=500, cand=500)
    assert judge(baking, at_stage(98), (seen,), 96_000).code == "rollout.sample_ratio"


def test_once_seen_the_wrong_split_holds_the_stage_whatever_comes_after():
    first = a_batch("first", at=91_000, good=1_000)
    later = a_batch("later", at=92_000, good=27_000, cand=3_000, bad_good=1_350, bad_cand=150)
    assert judge(a_plan(), at_stage(10), (first, later), 96_000).code == "rollout.sample_ratio"


def test_a_wrong_split_does_not_keep_a_worse_candidate():
    worse = a_batch("worse", at=91_000, good=500, cand=500, bad_good=5, bad_cand=300)
    assert judge(a_plan(), at_stage(10), (worse,), 96_000).action == "abort"


def test_sdks_that_poll_are_given_time_to_learn_of_a_stage():
    assert split(10, 990, percent=50, at=80_000).code != "rollout.sample_ratio"


# --- held back, baked
BAKE = a_plan(holdback_percent=2, stages=(1, 10, 50, 98), bake_s=100)


def test_the_last_stage_keeps_a_control_arm_until_the_bake_ends():
    seen = a_batch("b", at=90_000, good=20, cand=980)
    early = judge(BAKE, at_stage(98), (seen,), 99_999)
    assert (early.action, early.code) == ("hold", "rollout.baking")
    assert judge(BAKE, at_stage(98), (seen,), 100_000).action == "complete"
    alone = a_batch("b", at=90_000, cand=980)
    assert judge(BAKE, at_stage(98), (alone,), 100_000).action == "hold"


def test_the_bake_aborts_on_evidence():
    calm = a_batch("calm", good=1_000, cand=1_000, bad_good=10, bad_cand=10)
    worse = a_batch("worse", at=20_000, good=20, cand=980, bad_cand=300)
    entries = (StageEntry(50, 0), StageEntry(98, 10_000))
    assert judge(BAKE, entries, (calm, worse), 21_000).action == "abort"
    slow = timed("slow", 2_000, 1_000, at=20_000, n=1_900, share=98)
    assert judge(replace(BAKE, margins={}, values=LATENCY), at_stage(98), (slow,), 21_000).action == "abort"


async def test_held_back_units_stay_until_the_end_and_then_the_flag_goes_to_all(house: House) -> None:
    change = await house.to_watch()
    seen = set()
    for _ in range(80):
        percent = house.flags.states["lending-scoring"].percent
        seen.add(percent)
        healthy = {"bad_candidate": percent * 500 // 2000, "bad_known_good": (100 - percent) * 500 // 2000}
        house.traffic(change, units=500, percent=percent, **healthy)
        house.clock.wait(2)
        if (done := await house.drive(change)).outcome:
            break
    assert (done.outcome, max(seen)) == ("known-good", 98)
    settled = house.flags.states["lending-scoring"]
    assert (settled.percent, settled.lease_until) == (100, 0)
    events = len(await house.queries.events(f"change/{change}"))
    await house.flags.off("lending-scoring")  # what a kill does: it needs no batch, no look and no verdict
    back = house.flags.states["lending-scoring"]
    assert (back.enabled, back.known_good != settled.candidate) == (False, True)
    assert len(await house.queries.events(f"change/{change}")) == events


async def test_an_aborted_rollout_never_goes_on_by_itself(house: House) -> None:
    change = await house.to_watch()
    house.traffic(change, units=500, percent=1)
    house.traffic(change, units=500, percent=50, bad_candidate=200)
    house.clock.wait(3)
    assert (await house.drive(change)).outcome == "reverted"
    before = len(await house.queries.events(f"change/{change}"))
    for _ in range(5):
        house.traffic(change, units=5_000, percent=10, bad_candidate=5, bad_known_good=500)
        house.clock.wait(60)
        await house.drive(change)
    assert len(await house.queries.events(f"change/{change}")) == before
    assert not house.flags.states["lending-scoring"].enabled


async def test_what_people_may_still_decide_does_not_keep_a_worse_candidate(house: House) -> None:
    """A vote that comes while the rollout runs waits for nobody: the look after it takes the candidate back."""
    change = await house.to_watch()
    await house.vote(change, "bob")
    house.traffic(change, units=500, percent=50, bad_candidate=200)
    house.clock.wait(3)
    assert (await house.drive(change)).outcome == "reverted"


# --- plans
def a_component(toml: str = ""):
    text = f'version = 1\n[component.scoring]\npaths = ["a"]\nflag = "f"\n{toml}'
    found: ComponentFile = component.parse(text.encode())
    return found.components[0]


PACE = {"dwell_s": 5, "disaster_exposures": 300, "evidence_from_percent": 10, "silent_s": 60}
KPIS = '[component.scoring.kpi.errors]\n[component.scoring.kpi.latency]\nkind = "value"\ntolerance_percent = 3\n'


def test_a_declared_plan_is_the_plan_that_is_judged():
    plan = plan_from(
        a_component(f"holdback_percent = 5\npromote_alpha_percent = 1\nbake_s = 60\n{KPIS}").as_json(), **PACE
    )
    assert (plan.stages, plan.full, plan.promote_alpha, plan.bake_s) == ((1, 10, 50, 95), 95, 0.01, 60)
    assert (plan.margins, plan.values) == ({"errors": 200}, {"latency": ValueKpi(3, 125, 60)})
    old = {k: v for k, v in a_component(KPIS).as_json().items() if k not in ("values", "pacing")}
    assert (plan_from(old, **PACE).stages, plan_from(old, **PACE).values) == ((1, 10, 50, 100), {})


@pytest.mark.parametrize(
    "toml",
    ["holdback_percent = 0", "holdback_percent = 6", "holdback_percent = 2.0", "stages = [1, 98, 100]",
     "bake_s = -1", "promote_alpha_percent = 0", "units_a_day = true", 'window_s = "1"', "baseline_ppm = 0",
     '[component.scoring.kpi.x]\nkind = "mood"', '[component.scoring.kpi.x]\nkind = "value"\nmargin_percent = 104',
     '[component.scoring.kpi.x]\nkind = "value"\ntolerance_percent = 30',
     "[component.scoring.kpi.x]\ntolerance_percent = 5", '[component.scoring.kpi.x]\nkind = "value"\nunit = "ms"'],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(toml):
    with pytest.raises(InputError) as caught:
        a_component(toml)
    assert caught.value.code == "component.invalid"


def test_a_plan_that_its_window_cannot_hold_is_named_and_one_past_its_window_is_taken_back():
    def told(toml: str):
        doc = a_component(toml + KPIS).as_json()
        return foreseen(doc, plan_from(doc, **PACE))

    assert told("window_s = 86400\nunits_a_day = 1000\n")["too_long"]
    assert told("window_s = 86400\nunits_a_day = 10000000\n")["too_long"] == ""
    assert told("")["too_long"] == ""
    plan = a_plan(window_s=10)
    clean = a_batch("clean", at=11_000, good=2_700, cand=300, bad_good=135, bad_cand=15)
    assert judge(plan, at_stage(10), (clean,), 10_000).code != "rollout.too_old"
    verdict = judge(plan, at_stage(10), (clean,), 11_000)
    assert (verdict.action, verdict.code) == ("abort", "rollout.too_old")


def test_what_a_stage_needs_grows_with_the_number_of_kpis_and_falls_with_the_rate():
    one, two = a_plan(), a_plan(margins={"errors": 200, "timeouts": 200})
    assert needs(two, baseline_ppm=10_000)[10] > needs(one, baseline_ppm=10_000)[10]
    assert needs(one, baseline_ppm=100_000)[10] < needs(one, baseline_ppm=10_000)[10]
    assert needs(one, baseline_ppm=10_000)[1] == 300
