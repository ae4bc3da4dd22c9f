"""A kill that comes when git has made the release known-good already: git goes back all the same, if it can."""

from __future__ import annotations

import pytest

from house import House


async def killed_late(house: House, *, first: bool = False) -> str:
    """Kill the component right after git promoted the change, before that is recorded; return the change.

    `first`: there was no release before it.
    """
    change = await house.to_watch()
    original = house.forge.promote

    async def then_killed(what, commit):
        await original(what, commit)
        if first:
            house.forge.previous = ""
        house.latches.kill(scope="component", name="scoring")
        house.forge.raise_epoch(1)

    house.forge.promote = then_killed  # type: ignore[method-assign]
    with pytest.raises(Exception, match="killed"):
        await house.promote(change)
    return change


async def test_a_kill_between_promotion_and_its_record_takes_the_promoted_release_back(house: House) -> None:
    change = await killed_late(house)
    good = house.forge.previous
    assert (await house.drive(change)).outcome == "killed"
    assert "release.reverted" in await house.story(change)
    assert (house.forge.known_good, house.forge.tip) == (good, house.forge.reverted[-1])
    assert not house.flags.states["lending-scoring"].enabled


async def test_without_a_release_before_it_a_late_kill_does_not_claim_a_revert(house: House) -> None:
    change = await killed_late(house, first=True)
    assert (await house.drive(change)).outcome == "known-good"
    assert "release.reverted" not in await house.story(change)
    assert not house.flags.states["lending-scoring"].enabled
