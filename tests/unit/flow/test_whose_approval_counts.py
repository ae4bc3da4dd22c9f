"""Owners of what is touched are waited for, the people behind an agent do not count, and a vote is never lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from evoguard.adapters import keys
from evoguard.domain.change import Author
from evoguard.domain.events import Event
from evoguard.domain.verdict import Finding
from evoguard.errors import UnavailableError
from evoguard.flow.question import apart
from fake_policies import FakePolicies
from fakes import FakeSources
from house import COMPONENT, House, lacking, voted

SCORING = "lending/scoring.py"


def sponsored(house: House, name: str, *sponsors: str) -> None:
    """Register an agent to which these people put their name."""
    house.pens[name] = keys.load_private(generated(house, name))
    pem = keys.public_pem(house.pens[name].public_key()).decode()
    body = {"name": name, "public_pem": pem, "vouches": [{"by": by, "envelope": "e"} for by in sponsors]}
    house.registry.append("registry", Event("agent.added", body, actor=sponsors[0]))


def generated(house: House, name: str):
    keys.generate(house.folder / f"{name}.key")
    return house.folder / f"{name}.key"


async def test_a_change_waits_for_an_owner_of_what_it_touches_and_says_so(house: House):
    house.impact.owners = ((SCORING, ("@bob",)),)
    change = await house.submit()
    await house.drive(change)
    assert await voted(house, change, "alice") == "waiting for approval"
    assert await lacking(house, change) == ["approval.owner"]
    assert await voted(house, change, "bob") == "rolling out"
    assert await lacking(house, change) == ["approval.owner"]


async def test_waiting_without_a_new_vote_writes_nothing_more(house: House):
    house.impact.owners = ((SCORING, ("@bob",)),)
    change = await house.submit()
    await house.drive(change)
    await voted(house, change, "alice")
    before = await house.story(change)
    for _ in range(3):
        house.again()
        await house.drive(change)
    assert await house.story(change) == before


async def test_each_set_of_owners_is_waited_for(house: House):
    house.add("carol", "person")
    house.impact.owners = ((SCORING, ("@bob", "@dora")), ("b.py", ("@carol",)))
    change = await house.submit()
    await house.drive(change)
    assert await voted(house, change, "bob") == "waiting for approval"
    assert await voted(house, change, "carol") == "rolling out"


TEAM = COMPONENT + b'[policy.owners]\n"@org/pay" = ["bob"]\n'


@pytest.mark.parametrize(
    ("component", "names", "ends"),
    [(COMPONENT, {}, "waiting for approval"), (TEAM, {}, "rolling out"),
     (COMPONENT, {"@org/pay": ["bob"]}, "rolling out"), (TEAM, {"@org/pay": ["alice"]}, "waiting for approval")],
    ids=["nobody knows", "the base says", "the rules' data say", "the rules' data go before"],
)  # fmt: skip
async def test_who_stands_behind_a_team(tmp_path, component, names, ends):
    house = House(tmp_path, sources=FakeSources(component), policies=FakePolicies(owners=names))
    house.impact.owners = ((SCORING, ("@org/pay",)),)
    change = await house.submit()
    await house.drive(change)
    assert await voted(house, change, "bob") == ends
    house.close()


async def test_owners_that_cannot_be_told_keep_a_change_waiting(house: House):
    house.impact.owners = ((SCORING, ("(owners that cannot be told: CODEOWNERS or the change is too large)",)),)
    change = await house.submit()
    await house.drive(change)
    assert await voted(house, change, "alice", "bob") == "waiting for approval"


async def test_an_owners_reject_ends_it(house: House):
    house.impact.owners = ((SCORING, ("@bob",)),)
    change = await house.submit()
    await house.drive(change)
    await voted(house, change, "alice")
    await house.vote(change, "bob", verdict="reject")
    await house.drive(change)
    assert await house.status(change) == "rejected"


async def test_who_put_their_name_to_the_agent_does_not_count(house: House):
    sponsored(house, "helper", "alice")
    change = await house.submit(author="helper")
    await house.drive(change)
    assert await voted(house, change, "alice") == "waiting for approval"
    assert await voted(house, change, "bob") == "rolling out"


async def test_nor_for_a_first_release_that_needs_two(house: House):
    house.forge.tip = house.forge.known_good = ""
    sponsored(house, "helper", "alice", "bob")
    house.add("carol", "person")
    house.add("dora", "person")
    change = await house.submit(author="helper")
    await house.drive(change)
    assert await voted(house, change, "alice", "bob", "carol") == "waiting for approval"
    assert await voted(house, change, "dora") == "rolling out"


async def test_who_is_set_apart_is_told_with_the_question(house: House):
    sponsored(house, "helper", "bob", "alice")
    change = await house.submit(author="helper")
    await house.drive(change)
    events = await house.queries.events(f"change/{change}")
    asked = next(e.event.body for e in events if e.event.type == "approval.requested")
    assert asked["apart"] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("said", "names"),
    [({"sponsors_count": True}, set()), ({"sponsors_count": False}, {"alice"}), ({"sponsors_count": 1}, {"alice"}),
     ({}, {"alice"}), ("yes", {"alice"}), (None, {"alice"})],
)  # fmt: skip
async def test_only_a_plain_yes_in_the_rules_data_lets_them_count(house: House, said, names):
    sponsored(house, "helper", "alice")
    ports = SimpleNamespace(queries=house.queries, policies=SimpleNamespace(data={"approval": said}))
    assert await apart(Author("helper", "agent"), ports) == names  # type: ignore[arg-type]


async def test_a_person_has_nobody_behind_them(house: House):
    assert await apart(Author("alice", "person"), house.ports) == frozenset()


async def test_rules_that_give_no_answer_lose_no_vote(house: House, monkeypatch: pytest.MonkeyPatch):
    change = await house.submit()
    await house.drive(change)
    decide = FakePolicies.decide

    async def silent(self, stage, question):
        if stage == "admit":
            raise UnavailableError("policies", "no verdict")
        return await decide(self, stage, question)

    monkeypatch.setattr(FakePolicies, "decide", silent)
    await house.vote(change, "alice")
    with pytest.raises(UnavailableError):
        await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    monkeypatch.setattr(FakePolicies, "decide", decide)
    house.again()
    await house.drive(change)
    assert await house.status(change) == "rolling out"


async def test_rules_that_ask_for_more_people_than_they_did_are_waited_for(house: House):
    change = await house.submit()
    await house.drive(change)
    house.policies.quorum = 2
    assert await voted(house, change, "alice") == "waiting for approval"
    assert await lacking(house, change) == ["approval.quorum"]
    assert await voted(house, change, "bob") == "rolling out"


async def test_what_votes_cannot_mend_refuses_at_once(house: House):
    house.impact.owners = ((SCORING, ("@bob",)),)
    change = await house.submit()
    await house.drive(change)
    house.policies.deny_admit = (Finding("change.late", "found since"),)
    assert await voted(house, change, "alice") == "refused"
