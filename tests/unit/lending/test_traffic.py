"""The population is fixed, and the generator cannot be pointed at strangers."""

from __future__ import annotations

import argparse

import pytest
from applicants import RARE, application, user
from traffic import Lane, parse_lane, parse_url


def test_an_applicant_is_the_same_every_time_and_nobody_is_two() -> None:
    assert application(3, 14) == application(3, 14)
    assert len({user(seed, n) for seed in (1, 2) for n in range(100)}) == 200


def test_one_in_twenty_leaves_out_the_revenue_and_a_fifth_is_of_a_rare_sector() -> None:
    people = [application(5, n) for n in range(4_000)]
    assert 160 <= sum(p["revenue"] is None for p in people) <= 240
    assert 720 <= sum(p["sector"] in RARE for p in people) <= 880


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7:80", "https://127.0.0.1", "http://localhost.example", "http://lending"]
)
def test_only_this_machine_is_sent_to(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_url(url)


def test_a_loopback_address_is_taken() -> None:
    assert parse_url("http://127.0.0.1:8080").port == 8080


@pytest.mark.parametrize("text", ["score:10", "/score:100000", "/score:-1"])
def test_a_rate_is_bounded_and_a_path_is_absolute(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_lane(text)


def test_slots_lost_in_a_stall_are_given_up() -> None:
    lane = Lane("/score", 100.0)
    assert lane.due(now=0.0) == 0.0
    assert lane.due(now=60.0) == 0.0
    assert lane.due(now=60.0) > 0.0
