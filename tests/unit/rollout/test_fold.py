"""Adding up as batches come is adding up at once, to the last bit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard.domain.fold import Fold, StageEntry, tally_of
from evoguard.domain.rollout import judge, judge_tally
from evoguard.errors import InputError
from unit.rollout.keeper import MARGINS, VALUES, Table, batches
from unit.rollout.runs import CHANGE, a_batch, a_plan, at_stage
from unit.rollout.whole import whole

PLAN = a_plan(margins=MARGINS, values=VALUES, change=CHANGE)
STEPS = st.one_of(
    st.tuples(st.just("post"), batches()),
    st.tuples(st.just("post"), batches()),
    st.tuples(st.just("look"), st.integers(0, 140_000)),
    st.tuples(st.just("enter"), st.integers(0, 140_000)),
    st.tuples(st.just("crash"), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_looks_between_any_batches_stages_clocks_and_crashes_see_what_one_look_at_all_of_them_sees(steps):
    table, entries, kept = Table(), at_stage(1), []
    for what, value in [*steps, ("look", 140_000)]:
        if what == "crash":
            table.again()
        elif what == "enter":
            entries = (*entries, StageEntry(min(100, entries[-1].percent * 5), value))
        elif what == "post":
            with suppress(InputError):  # another batch under a known id
                kept += [value] if table.post(value) == "stored" else []
        else:
            seen = asyncio.run(table.kpis.tally(PLAN, entries, now_ms=value))
            assert seen == whole(MARGINS, entries, tuple(kept), value, VALUES)
            assert judge_tally(PLAN, seen) == judge(PLAN, entries, kept, value)


@settings(max_examples=100, deadline=None)
@given(st.lists(batches(), max_size=40), st.integers(0, 140_000))
def test_a_batch_that_comes_twice_counts_once_for_each_side_that_counted(some, now):
    entries = (StageEntry(10, 0), StageEntry(50, 60_000))
    assert tally_of(MARGINS, entries, some, now, VALUES) == whole(MARGINS, entries, tuple(some), now, VALUES)


def a_fold(*some) -> Fold:
    fold = Fold(MARGINS, at_stage(10))
    fold.take(some)
    return fold


def test_a_fold_serves_what_goes_on_as_it_began():
    fold = a_fold(a_batch("b", at=5_000, good=9, cand=1))
    fold.tally(6_000)
    assert fold.serves(MARGINS, at_stage(10), 5_000)
    assert fold.serves(MARGINS, (*at_stage(10), StageEntry(50, 5_001)), 6_000)


@pytest.mark.parametrize(
    ("margins", "entries", "now"),
    [
        ({"errors": 200}, at_stage(10), 6_000),
        ({**MARGINS, "errors": 300}, at_stage(10), 6_000),
        (MARGINS, at_stage(50), 6_000),
        (MARGINS, at_stage(10, 1), 6_000),
        (MARGINS, (), 6_000),
        (MARGINS, (*at_stage(10), StageEntry(50, 5_000)), 6_000),
        (MARGINS, at_stage(10), 4_999),
    ],
    ids=[
        "a KPI less",
        "a margin",
        "a stage",
        "an entry's time",
        "no entry",
        "a stage in the past",
        "a clock gone back",
    ],
)
def test_a_fold_of_another_rollout_stage_or_time_is_not_used(margins, entries, now):
    fold = a_fold(a_batch("b", at=5_000, good=9, cand=1))
    fold.tally(6_000)
    assert not fold.serves(margins, entries, now)


def test_a_batch_whose_time_has_not_come_waits_and_so_do_those_behind_it():
    early, late = a_batch("early", at=9_000, good=100), a_batch("late", at=1_000, good=50)
    fold = a_fold(early, late)
    assert fold.tally(1_500).stage.units == 50
    assert fold.serves(MARGINS, at_stage(10), 1_000)
    assert fold.tally(9_000).stage.units == 150
    assert not fold.serves(MARGINS, at_stage(10), 8_999)


def test_a_rollout_without_a_stage_is_not_added_up():
    with pytest.raises(ValueError, match="stage"):
        Fold(MARGINS, ())


def test_a_tally_of_other_kpis_than_the_plans_is_never_judged():
    seen = tally_of({"errors": 200}, at_stage(10), (), 6_000)
    for other in ({}, {"timeouts": 200}, MARGINS):
        with pytest.raises(ValueError, match="KPIs"):
            judge_tally(a_plan(margins=other), seen)
    with pytest.raises(ValueError, match="KPIs"):
        judge_tally(a_plan(), replace(seen, promotes={}))
