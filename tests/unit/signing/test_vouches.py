"""What a vouch is, and how many a registration takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard.adapters.signer import read_command
from evoguard.domain.events import Event
from evoguard.domain.identity import VOUCHED, Vouch, counted, sponsors_needed, subject_of, vouch_in
from unit.signing.people import AT, LATER, an_actor

ALICE, CAROL = an_actor("alice"), an_actor("carol")


@pytest.mark.parametrize(
    ("kind", "people", "first", "needed"),
    [
        ("person", 0, True, 0),
        ("person", 0, False, 1),  # everybody was revoked: nobody can sign, so nobody gets in
        ("person", 1, False, 1),
        ("person", 2, False, 2),
        ("person", 9, False, 2),
        ("agent", 0, True, 1),
        ("agent", 9, False, 1),
    ],
)
def test_two_people_vouch_as_soon_as_two_can(kind, people, first, needed):
    assert sponsors_needed(kind, people=people, first=first) == needed


@pytest.mark.parametrize(("by", "counts"), [(ALICE, True), (CAROL, False)])
def test_a_vouch_counts_when_somebody_else_signed_it(by, counts):
    vouch = Vouch(CAROL.identity, by.identity.name, by.signs(subject_of(CAROL.identity), purpose="person.add"))
    assert (counted(vouch, by.identity, read_command, now_s=AT) is not None) is counts


@pytest.mark.parametrize(("now_s", "counts"), [(LATER - 1, True), (LATER, False)])
def test_a_vouch_ends_in_the_second_that_it_names(now_s, counts):
    vouch = Vouch(CAROL.identity, "alice", ALICE.signs(subject_of(CAROL.identity), purpose="person.add"))
    assert (counted(vouch, ALICE.identity, read_command, now_s=now_s) is not None) is counts


@pytest.mark.parametrize("change", [{"name": "carl"}, {"kind": "agent"}, {"public_pem": ALICE.identity.public_pem}])
def test_another_name_kind_or_key_is_another_subject(change):
    assert subject_of(replace(CAROL.identity, **change)) != subject_of(CAROL.identity)


@pytest.mark.parametrize("envelope", ["", "{}", "\ud800", "null", "[" * 500])
def test_what_is_no_envelope_is_no_vouch(envelope):
    assert counted(Vouch(CAROL.identity, "alice", envelope), ALICE.identity, read_command, now_s=AT) is None


def test_an_event_with_odd_fields_is_a_vouch_of_nobody():
    vouch = vouch_in(Event(VOUCHED, {"by": 1, "name": None}))
    assert vouch is not None
    assert counted(vouch, None, read_command, now_s=AT) is None
    assert vouch_in(Event("person.added", {"by": "alice"})) is None
