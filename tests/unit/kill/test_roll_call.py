"""Who knows of a kill: counted by each client's own interval, and by nothing that a client says of itself alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard.domain.clients import Asked, Client, Roll, clocks_off, roll_call

BEGAN = 1_000_000_000_000
KILL = Asked(3, BEGAN, frozenset({"lending"}), frozenset({"scoring"}))


def a_client(name: str = "a", **changes) -> Client:
    return replace(Client(name * 12, "shop", name, BEGAN, 1_000), **changes)


def called(*clients: Client, after_ms: int = 500, **roll):
    return roll_call(Roll(BEGAN + after_ms, clients, **roll), KILL)


def test_a_client_that_was_given_the_flags_under_the_kill_knows():
    found = called(a_client(told={2: BEGAN - 50, 3: BEGAN + 40}))
    assert (found.told, found.latencies_ms, found.complete) == (("shop/a#aaaaaa",), (40,), True)
    assert found.histogram()["<=100"] == 1


def test_a_later_epoch_knows_of_an_earlier_kill_and_an_earlier_one_does_not():
    assert called(a_client(told={4: BEGAN + 40})).complete
    assert called(a_client(told={2: BEGAN + 40})).due == ("shop/a#aaaaaa",)


@pytest.mark.parametrize(("after_ms", "kind"), [(1_900, "due"), (2_100, "late")])
def test_who_does_not_know_is_late_only_beyond_its_own_interval(after_ms, kind):
    found = called(a_client(), after_ms=after_ms)
    assert getattr(found, kind) == ("shop/a#aaaaaa",)
    assert not found.complete
    assert bool(found.fault) is (kind == "late")


def test_a_stream_is_late_after_a_second_however_long_its_interval():
    assert called(a_client(streams=True, interval_ms=600_000), after_ms=1_100).late


def test_a_client_that_was_not_heard_for_three_of_its_intervals_is_gone_and_half_a_minute_at_least():
    assert called(a_client(seen_at=BEGAN - 30_000), after_ms=100).gone == 1
    assert called(a_client(seen_at=BEGAN - 29_000), after_ms=100).due
    assert called(a_client(seen_at=BEGAN - 40_000, interval_ms=15_000), after_ms=100).due
    assert called(a_client(seen_at=BEGAN - 46_000, interval_ms=15_000), after_ms=100).gone == 1
    assert called(a_client(seen_at=0, streams=True), after_ms=100).due


def test_one_that_says_it_knows_and_meets_the_flag_as_on_is_named():
    found = called(a_client(told={3: BEGAN + 1}, exposing=frozenset({"lending"})), a_client("b", told={3: BEGAN + 1}))
    assert (found.exposing, found.told, found.complete) == (("shop/a#aaaaaa",), ("shop/b#bbbbbb",), False)
    assert "STILL EXPOSING: shop/a" in found.fault
    assert called(a_client(told={3: BEGAN + 1}, exposing=frozenset({"other"}))).complete


def test_one_that_says_nothing_and_exposes_is_seen_at_the_router():
    """The first batch may hold what was counted before everybody was told; the second cannot."""
    told = a_client(told={3: BEGAN + 40})
    early, first, second = (BEGAN + 10, "scoring"), (BEGAN + 60, "scoring"), (BEGAN + 90, "scoring")
    assert called(told, batches=(early, first)).complete
    assert called(told, batches=(first, (BEGAN + 90, "pricing"))).complete
    found = called(told, batches=(first, second))
    assert (found.edge, found.complete) == (1, False)
    assert "A ROUTER" in found.fault


def test_clients_that_nobody_remembers_make_it_incomplete():
    assert not called(a_client(told={3: BEGAN}), overflow=1).complete


@pytest.mark.parametrize("skew_ms", [-300_000, -10_001, 10_001, 300_000])
def test_a_clock_that_is_off_by_more_than_a_third_of_the_lease_is_named(skew_ms):
    roll = Roll(BEGAN, (a_client(skew_ms=skew_ms), a_client("b", skew_ms=9_999), a_client("c")))
    assert clocks_off(roll, lease_s=30) == ("shop/a#aaaaaa",)
    gone = Roll(BEGAN, (a_client(skew_ms=skew_ms, seen_at=BEGAN - 60_000),))
    assert clocks_off(gone, lease_s=30) == ()
