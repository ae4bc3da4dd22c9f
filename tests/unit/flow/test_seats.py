"""Agents that review beside people: each of another model than the author's, counted apart, and only where asked."""

from __future__ import annotations

import pytest

from evoguard.domain.events import Event
from fake_policies import FakePolicies
from fakes import FakeSources
from house import COMPONENT, House, lacking, voted

SEATED = COMPONENT + b"[policy]\nseats = 1\n"


@pytest.fixture
def seated(tmp_path):
    """Yield a house whose repository asks that one agent reviews; `helper` of maker/large-1 proposes."""
    house = House(tmp_path, sources=FakeSources(SEATED))
    for name, model in (
        ("helper", "maker/large-1"),
        ("twin", "maker/large-1"),
        ("critic", "maker/other-1"),
        ("mute", ""),
    ):
        house.add(name, "agent", model=model)
    yield house
    house.close()


async def asked(house: House, author: str = "helper") -> str:
    change = await house.submit(author=author)
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    return change


async def test_a_change_waits_for_an_agent_of_another_model_and_says_so(seated: House):
    change = await asked(seated)
    assert await voted(seated, change, "alice") == "waiting for approval"
    assert await lacking(seated, change) == ["approval.seats"]
    assert await voted(seated, change, "critic") == "rolling out"


async def test_the_order_does_not_matter_and_a_seat_is_no_person(seated: House):
    change = await asked(seated)
    assert await voted(seated, change, "critic") == "waiting for approval"
    assert await voted(seated, change, "bob") == "rolling out"


@pytest.mark.parametrize("name", ["twin", "mute", "helper"])
async def test_the_authors_model_an_unknown_one_and_the_author_fill_none(seated: House, name: str):
    change = await asked(seated)
    await voted(seated, change, "alice")
    assert await voted(seated, change, name) in ("waiting for approval", "refused")
    assert "approval.seats" in await lacking(seated, change)


async def test_an_agents_no_ends_it_where_agents_have_seats(seated: House):
    change = await asked(seated)
    assert await voted(seated, change, "critic", verdict="reject") == "rejected"


async def test_an_agent_that_is_held_fills_none(seated: House):
    change = await asked(seated)
    seated.registry.append("kills", Event("author.held", {"author": "critic", "kill": "k"}, reason="it lied"))
    assert await voted(seated, change, "alice", "critic") == "waiting for approval"
    assert (await seated.story(change))[-2:] == ["approval.ignored", "approval.incomplete"]


async def test_without_seats_an_agents_no_ends_nothing(house: House):
    house.add("critic", "agent", model="maker/other-1")
    change = await asked(house, "coder")
    assert await voted(house, change, "critic", verdict="reject") == "waiting for approval"


async def test_how_many_agents_are_asked_stands_in_the_request(tmp_path):
    house = House(tmp_path, sources=FakeSources(SEATED), policies=FakePolicies(seats=3))
    change = await asked(house, "coder")
    events = await house.queries.events(f"change/{change}")
    assert [e.event.body["seats"] for e in events if e.event.type == "approval.requested"] == [3]
    house.close()
