"""How many sandboxes to keep: by the formula, within the bound, and none when nobody asks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard_sandbox.rooms import arrivals
from evoguard_sandbox.rooms.arrivals import History, Need, need, share, way

START_S, QUIET_S = 0.8, 300.0
gaps = st.lists(st.floats(0, 2000, allow_nan=False), max_size=40)


def history(times: list[float], start_s: float = START_S) -> History:
    found = History()
    for at in times:
        found = found.arrived(at, start_s=start_s)
    return found


def added_up(found: list[float]) -> list[float]:
    at, times = 0.0, []
    for gap in found:
        at += gap
        times.append(at)
    return times


def test_without_arrivals_nothing_is_kept():
    assert need(History(), 10.0, start_s=START_S, quiet_s=QUIET_S) == Need(0, 0)


@pytest.mark.parametrize(("a_second", "start_s"), [(0.1, 0.8), (1.0, 0.8), (2.0, 0.6), (5.0, 0.1), (0.01, 30.0)])
def test_a_steady_stream_is_met_by_ceil_of_rate_by_start_and_one(a_second, start_s):
    """After many hours of one arrival each 1/rate seconds the rate is that, but for half an arrival."""
    gap = 1 / a_second
    found = history([n * gap for n in range(int(6 * arrivals.HOUR_S / gap))], start_s)
    now = (int(6 * arrivals.HOUR_S / gap) - 1) * gap
    assert found.rate(now) == pytest.approx(a_second, rel=0.02)
    together = found.together(now)
    wanted = need(found, now, start_s=start_s, quiet_s=QUIET_S)
    assert wanted.count == math.ceil(found.rate(now) * start_s) + together
    assert together == (1 if gap >= start_s else math.ceil(start_s / gap))


def test_what_is_asked_for_together_is_kept_together():
    assert need(history([0.0, 0.1, 0.2, 0.3, 0.4]), 1.0, start_s=START_S, quiet_s=QUIET_S).together == 5


def test_one_large_day_is_forgotten_in_time():
    found = history([0.0, 0.1, 0.2, 0.3])
    later = found.arrived(3 * arrivals.HOUR_S, start_s=START_S)
    assert later.together(3 * arrivals.HOUR_S) == 1


@given(gaps)
def test_nothing_is_kept_once_it_is_quiet(found):
    times = added_up(found)
    last = times[-1] if times else 0.0
    assert need(history(times), last + QUIET_S + 1, start_s=START_S, quiet_s=QUIET_S).count == 0


@given(gaps, st.floats(0, 299))
def test_at_least_one_is_kept_while_it_is_not_quiet(found, later):
    times = [0.0, *added_up(found)]
    kept = need(history(times), times[-1] + later, start_s=START_S, quiet_s=QUIET_S)
    assert kept.together >= 1
    assert kept.meanwhile >= 1


@given(gaps)
def test_an_arrival_more_never_lowers_the_rate(found):
    times = [0.0, *added_up(found)]
    before = history(times)
    assert before.arrived(times[-1], start_s=START_S).rate(times[-1]) > before.rate(times[-1])


@given(
    st.dictionaries(
        st.integers(), st.builds(Need, st.integers(0, 20), st.integers(0, 20), st.integers(1, 3)), max_size=8
    ),
    st.integers(0, 40),
)
def test_the_bound_holds_and_nobody_gets_more_than_was_wanted(needs, most):
    kept = share(needs, most)
    assert sum(kept[key] * needs[key].size for key in needs) <= most
    assert all(0 <= kept[key] <= needs[key].count for key in needs)
    left = most - sum(kept[key] * needs[key].size for key in needs)
    assert all(kept[key] == needs[key].count or left < needs[key].size for key in needs)


def test_each_gets_what_one_arrival_takes_before_any_gets_more():
    assert share({"a": Need(2, 9), "b": Need(1, 9, 2)}, 5) == {"a": 3, "b": 1}


@pytest.mark.parametrize(
    ("needs", "kept", "mode"),
    [([], 0, "just in time"), ([Need(1, 1)], 2, "kept warm"), ([Need(1, 1), Need(1, 2)], 4, "predicted")],
)
def test_the_way_is_told(needs, kept, mode):
    told, why = way(needs, kept)
    assert told == mode
    assert why
