"""An author whose release was taken back gets out by small steps only, and nothing of theirs widens meanwhile."""

from __future__ import annotations

import pytest

from evoguard.domain.breaker import DWELLS
from evoguard.domain.events import Event
from evoguard.errors import UnavailableError
from house import House

FLAG = "lending-scoring"


def hold(house: House, author: str = "coder", kill: str = "abort-ch-000000000000") -> None:
    house.registry.append("kills", Event("author.held", {"author": author, "kill": kill}, reason="worse"))


def release(house: House, kill: str = "abort-ch-000000000000") -> None:
    house.registry.append("kills", Event("author.released", {"kill": kill}))


async def approved(house: House, head: str = "b" * 40) -> str:
    """Return a change that wants its first stage when it is driven again."""
    change = await house.submit(head=head)
    await house.drive(change)
    await house.vote(change, "alice")
    return change


async def body(house: House, change: str, kind: str) -> dict:
    return next(dict(e.event.body) for e in await house.queries.events(f"change/{change}") if e.event.type == kind)


async def test_a_change_that_was_published_before_its_author_was_held_is_not_opened(house: House) -> None:
    change = await approved(house)
    house.kill_path.fault = "not armed"
    with pytest.raises(UnavailableError):
        await house.drive(change)
    hold(house)
    house.kill_path.fault = ""
    for _ in range(3):
        await house.drive(change)
        house.clock.wait(10)
    assert FLAG not in house.flags.states
    assert (await house.story(change)).count("rollout.held") == 1
    assert (await body(house, change, "rollout.held"))["code"] == "author.held"
    release(house)
    await house.drive(change)
    assert house.flags.states[FLAG].percent == 1


async def test_a_rollout_that_is_open_is_not_widened_while_its_author_is_held_and_still_goes_back(house: House) -> None:
    change = await house.to_watch()
    hold(house)
    house.traffic(change, units=40_000, percent=1, bad_candidate=4, bad_known_good=400)
    house.clock.wait(DWELLS + 2)
    await house.drive(change)
    assert house.flags.states[FLAG].percent == 1
    house.traffic(change, units=400, percent=50, bad_candidate=150)
    house.clock.wait(2)
    assert (await house.drive(change)).outcome == "reverted"


@pytest.mark.parametrize("before", [False, True])
async def test_an_author_who_was_held_takes_longer_steps(house: House, before: bool) -> None:
    if before:
        hold(house)
        release(house)
    change = await house.to_watch()
    house.traffic(change, units=40_000, percent=1, bad_candidate=4, bad_known_good=400)
    house.clock.wait(2)
    await house.drive(change)
    assert house.flags.states[FLAG].percent == (1 if before else 10)
    assert (await body(house, change, "rollout.opened"))["breaker"] == ("half-open" if before else "closed")
    house.clock.wait(DWELLS)
    await house.drive(change)
    assert house.flags.states[FLAG].percent == 10


async def test_only_clean_releases_of_the_same_author_count_and_a_new_hold_begins_anew(house: House) -> None:
    authors = house.ports.authors
    assert await authors.clean_since_hold("coder") is None
    change = await house.to_watch()
    assert (await house.promote(change)).outcome == "known-good"
    assert await authors.clean_since_hold("coder") is None
    hold(house)
    release(house)
    assert await authors.clean_since_hold("coder") == 0
    house.registry.append(f"change/{change}", Event("change.known_good", {"commit": "c" * 40, "kill": "kill-1"}))
    assert await authors.clean_since_hold("coder") == 0  # a kill came at the last moment
    house.registry.append(f"change/{change}", Event("change.known_good", {"commit": "c" * 40}))
    assert (await authors.clean_since_hold("coder"), await authors.clean_since_hold("alice")) == (1, None)
    hold(house)
    assert await authors.clean_since_hold("coder") == 0
    house.again()
    assert await house.ports.authors.clean_since_hold("coder") == 0  # the same from the log alone
