"""Counters differenced: resets never count below zero, lies count nothing, and batches are the same every time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard.adapters.sqlite.kpis import MAX_BATCH_BYTES, parse_batch
from evoguard.prometheus.counting import Told, UncountedError, body_of, differenced
from unit.prometheus.places import counters
from unit.rollout.runs import CHANGE

SECOND = 1_000


def since(before, now):
    return differenced(before, now, most_per_s=1_000)


def test_what_is_new_is_counted_by_arm():
    exposed, bad = since(counters(0, good=100, cand=10, bad_cand=1), counters(SECOND, good=190, cand=20, bad_cand=3))
    assert exposed == {"known_good": 90, "candidate": 10}
    assert bad == {"errors": {"known_good": 0, "candidate": 2}}


def test_after_a_reset_every_counter_of_that_arm_counts_from_zero_and_the_other_arm_as_ever():
    before = counters(0, good=100, cand=500, bad_good=7, bad_cand=3)
    exposed, bad = since(before, counters(SECOND, good=110, cand=20, bad_good=8, bad_cand=5))
    assert exposed == {"known_good": 10, "candidate": 20}
    assert bad == {"errors": {"known_good": 1, "candidate": 5}}


@pytest.mark.parametrize(
    ("now", "code", "anew"),
    [
        (counters(SECOND, good=100, cand=2_000, bad_good=5), "flood", True),
        (counters(SECOND, good=99, cand=10), "", False),
        (counters(SECOND, good=2_000_000, cand=10), "flood", True),
        (counters(SECOND, good=110, cand=10, bad_good=1), "reset", True),
        (counters(SECOND, good=110, cand=12, bad_good=5, bad_cand=3), "more_bad", False),
        (counters(0, good=110, cand=12, bad_good=5), "clock", False),
        (counters(-1, good=110, cand=12, bad_good=5), "clock", False),
    ],
)
def test_counters_that_cannot_be_true_count_nothing(now, code, anew):
    before = counters(0, good=100, cand=10, bad_good=5)
    if not code:
        assert since(before, now)[0]["known_good"] == 99
        return
    with pytest.raises(UncountedError) as seen:
        since(before, now)
    assert (seen.value.code, seen.value.anew) == (f"prometheus.{code}", anew)


def test_the_sum_of_many_processes_of_which_one_began_anew_is_not_counted_again():
    with pytest.raises(UncountedError) as seen:
        since(counters(0, good=100_000, cand=10_000), counters(SECOND, good=100_050, cand=9_000))
    assert seen.value.code == "prometheus.flood"


numbers = st.integers(0, 10**6)


@given(st.lists(numbers, min_size=8, max_size=8))
def test_no_difference_is_negative_or_more_than_the_counter(seen):
    keys = ("good", "cand", "bad_good", "bad_cand")
    before, now = (
        counters(at, **dict(zip(keys, half, strict=True))) for at, half in ((0, seen[:4]), (10**9, seen[4:]))
    )
    try:
        exposed, bad = since(before, now)
    except UncountedError:
        return
    for arm in ("known_good", "candidate"):
        assert 0 <= bad["errors"][arm] <= exposed[arm] <= now.exposed[arm]


def batches(told: Told):
    made = []
    while (told := told.batched()).pending is not None:
        made.append(body_of(told.pending, told.change, "scoring"))
        told = Told(**{name: getattr(told, name) for name in Told.__dataclass_fields__} | {"pending": None})
    return made


def test_many_bad_outcomes_go_in_bounded_batches_the_candidates_first_and_exposures_last():
    before = Told(CHANGE, counters(0))
    told = before.counted(counters(10_000, good=5_000, cand=3_000, bad_good=700, bad_cand=1_500), most_per_s=1_000)
    made = batches(told)
    assert [len(one["bad"]) for one in made] == [1_000, 1_000, 200]
    assert [one["exposed"]["candidate"] for one in made] == [0, 0, 3_000]
    assert [event["arm"] for one in made for event in one["bad"]] == ["candidate"] * 1_500 + ["known_good"] * 700
    assert len({event["unit"] for one in made for event in one["bad"]}) == 2_200
    assert len({one["id"] for one in made}) == 3
    assert max(len(json.dumps(one)) for one in made) < MAX_BATCH_BYTES
    assert [parse_batch(json.dumps(one), "host").exposed_known_good for one in made] == [0, 0, 5_000]
    assert batches(told) == made


def test_units_differ_by_change_kpi_and_arm_and_a_look_without_traffic_makes_no_batch():
    now = counters(SECOND, good=1, cand=1, bad_good=1, bad_cand=1)
    units = [
        event["unit"]
        for change in (CHANGE, "ch-other")
        for one in batches(Told(change, counters(0)).counted(now, most_per_s=9))
        for event in one["bad"]
    ]
    assert len(set(units)) == len(units) == 4
    assert batches(Told(CHANGE, counters(0)).counted(counters(SECOND), most_per_s=9)) == []
