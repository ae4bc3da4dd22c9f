"""Exposures and bad outcomes are counted once a user, in the arm where they happened."""

from __future__ import annotations

import pytest
from counting import Counts, Rollout

from evoguard.domain.canonical import digest_of
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.edge.flagging import FlagView, view
from evoguard.flags.document import feature

ROLLOUT = Rollout("ch-000000000001", "scoring", "a" * 40, "b" * 40)


def counts() -> Counts:
    return Counts(ROLLOUT, b"salt")


def test_a_user_is_exposed_once_in_the_arm_met_first() -> None:
    seen = counts()
    seen.count("u1", "known_good", bad=False, ms=1)
    seen.count("u1", "candidate", bad=False, ms=1)
    assert seen.exposed == {"known_good": 1, "candidate": 0}
    assert seen.requests == {"known_good": 1, "candidate": 1}


def test_a_users_first_bad_outcome_belongs_to_the_arm_that_gave_it_and_later_ones_to_none() -> None:
    seen = counts()
    seen.count("u1", "known_good", bad=False, ms=1)
    seen.count("u1", "candidate", bad=True, ms=1)
    seen.count("u1", "known_good", bad=True, ms=1)
    assert seen.bad == {"known_good": 0, "candidate": 1}


def test_a_batch_holds_only_what_is_new_and_an_idle_router_makes_none() -> None:
    seen = counts()
    assert seen.batch() is None
    seen.count("u1", "candidate", bad=True, ms=3.4)
    first = seen.batch()
    seen.count("u1", "candidate", bad=True, ms=1)
    second = seen.batch()
    assert first is not None
    assert second is not None
    assert (first["exposed"], len(first["bad"])) == ({"known_good": 0, "candidate": 1}, 1)  # type: ignore[arg-type]  # a list
    assert (second["exposed"], second["bad"]) == ({"known_good": 0, "candidate": 0}, [])
    assert first["id"] != second["id"]


def test_a_batch_is_canonical_json_so_its_digest_can_be_evidence() -> None:
    seen = counts()
    seen.count("u1", "candidate", bad=True, ms=3.4)
    batch = seen.batch()
    assert digest_of(batch).startswith("sha256:")  # type: ignore[arg-type]  # plain JSON by construction


def test_the_same_user_is_another_unit_in_another_rollout() -> None:
    one, two = counts(), Counts(Rollout("ch-2", "scoring", "a", "b"), b"salt")
    for seen in (one, two):
        seen.count("u1", "candidate", bad=True, ms=1)
    assert one.batch()["bad"][0]["unit"] != two.batch()["bad"][0]["unit"]  # type: ignore[index]  # both have one


def test_a_document_of_the_flag_server_is_read_as_it_was_meant() -> None:
    state = FlagState("lending-scoring", "scoring", "ch-1", True, 10, "a" * 40, "b" * 40, 1_800_000_000, 3)
    seen = view(feature(state, LatchBoard()))  # type: ignore[arg-type]  # JSON as dict
    assert seen == FlagView(True, 10, 1_800_000_000.0, "ch-1", "scoring", "a" * 40, "b" * 40)
    assert seen.on(1_799_999_999)
    assert not seen.on(1_800_000_000)


@pytest.mark.parametrize(
    "broken", [{}, {"variants": []}, {"variants": [{"payload": {"value": "{"}}]}, {"variants": None}]
)
def test_an_unreadable_document_reads_as_off(broken: dict[str, object]) -> None:
    assert not view(broken).on(0)
