"""What the flow does with the way back: nothing goes forward without a proved one, nothing stops what goes back."""

from __future__ import annotations

import pytest

from evoguard.errors import IntegrityError, UnavailableError
from evoguard.ports.way_back import NoWayBackError
from house import House


@pytest.mark.parametrize(
    "fault", [NoWayBackError("deleted"), IntegrityError("edited", code="way_back.forged"), OSError(5, "disk")]
)
async def test_nothing_is_opened_without_a_proved_bundle(house: House, fault: Exception) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    house.ways_back.fault = fault  # type: ignore[assignment]  # a disk's error as well
    with pytest.raises(type(fault)):
        await house.drive(change)
    assert house.flags.writes == []
    house.ways_back.fault = None
    await house.drive(change)
    assert house.flags.states["lending-scoring"].percent == 1


async def test_nothing_is_widened_without_a_proved_bundle(house: House) -> None:
    change = await house.to_watch()
    house.traffic(change, units=400, percent=1)
    house.clock.wait(2)
    house.ways_back.kept.clear()
    with pytest.raises(NoWayBackError):
        await house.drive(change)
    assert house.flags.states["lending-scoring"].percent == 1


async def test_an_abort_goes_back_all_the_same(house: House) -> None:
    change = await house.to_watch()
    house.ways_back.kept.clear()
    house.traffic(change, units=400, percent=50, bad_candidate=150)
    house.clock.wait(2)
    assert (await house.drive(change)).outcome == "reverted"
    assert house.forge.reverted


@pytest.mark.parametrize("killed", [False, True], ids=["aborted", "killed"])
async def test_git_goes_back_while_the_flag_server_is_down_and_the_change_ends_when_it_is_off(
    house: House, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    async def nobody(_: str) -> None:
        raise UnavailableError("flags", "no answer")

    change = await house.to_watch()
    for ask in ("read", "off"):
        monkeypatch.setattr(house.flags, ask, nobody)
    if killed:
        house.latches.kill(scope="component", name="scoring")
    house.traffic(change, units=400, percent=50, bad_candidate=150)
    house.clock.wait(2)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await house.drive(change)
        assert len(house.forge.reverted) == 1
    assert not {"change.reverted", "change.killed"} & set(await house.story(change))
    monkeypatch.undo()
    assert house.flags.states["lending-scoring"].enabled
    assert (await house.drive(change)).outcome == ("killed" if killed else "reverted")
    assert not house.flags.states["lending-scoring"].enabled
    assert len(house.forge.reverted) == 1


async def test_a_conflict_keeps_the_change_open_off_and_its_component_frozen(house: House) -> None:
    house.add("coder2", "agent")
    change = await house.to_watch()
    house.ways_back.moved = "release/scoring is at 0123, which another hand put there"
    house.latches.kill(scope="component", name="scoring")
    for _ in range(3):
        done = await house.drive(change)
    assert (done.outcome, done.wake_at > 0) == ("", True)
    row = await house.queries.change(change)
    assert row is not None
    assert (row.status, row.detail.startswith("REVERT BY HAND: ")) == ("reverting", True)
    assert (await house.story(change)).count("revert.conflicted") == 1
    assert not house.flags.states["lending-scoring"].enabled
    assert await house.queries.held("coder")
    assert await house.ports.lanes.turn("lending", "scoring") == change
    house.ways_back.moved = ""
    assert (await house.drive(change)).outcome == "killed"
