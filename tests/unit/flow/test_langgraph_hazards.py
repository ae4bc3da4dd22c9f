"""One test for each hazard of LangGraph that applies here, named after it."""

from __future__ import annotations

import asyncio

import pytest

from evoguard.adapters.sqlite.saver import FencedSqliteSaver
from evoguard.errors import FencedError, IntegrityError
from evoguard.flow import graph
from evoguard.flow.runs import advance
from house import House


class CrashError(BaseException):
    """Stands for the process ending here."""


async def test_next_being_empty_does_not_mean_finished(house: House, monkeypatch) -> None:
    house.sandbox.passed = False
    change = await house.submit()
    original = FencedSqliteSaver.put

    def die_at_check(saver, config, checkpoint, metadata, new_versions):
        if metadata["step"] == 3:
            raise CrashError
        return original(saver, config, checkpoint, metadata, new_versions)

    with monkeypatch.context() as crash, pytest.raises(CrashError):
        crash.setattr(FencedSqliteSaver, "put", die_at_check)
        await house.drive(change)
    assert "candidate.checked" not in await house.story(change)
    house.again()
    assert (await house.drive(change)).outcome == "refused"
    assert (await house.story(change)).count("candidate.checked") == 1
    assert house.sandbox.runs == 1  # the finished run was kept as a pending write


async def test_driving_a_finished_change_again_does_nothing(house: House) -> None:
    house.sandbox.passed = False
    change = await house.submit()
    await house.drive(change)
    before = await house.story(change)
    house.again()
    assert (await house.drive(change)).outcome == "refused"
    assert await house.story(change) == before


async def test_two_drivers_of_one_change_cannot_both_commit_a_step(house: House, tmp_path) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    other = House(tmp_path, clock=house.clock, latches=house.latches, sources=house.sources, sandbox=house.sandbox,
                  policies=house.policies, artifacts=house.artifacts, forge=house.forge, pens=house.pens)  # fmt: skip
    other.ports = house.ports
    outcomes = await asyncio.gather(
        house.drive(change), advance(other.app, house.ports, change), return_exceptions=True
    )
    other.close()
    assert sum(isinstance(o, FencedError) for o in outcomes) == 1
    story = await house.story(change)
    assert story.count("change.approved") == 1
    assert len(house.forge.published) <= 1


async def test_waiting_adds_no_checkpoints(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    before = house.con.execute("select count(*) from checkpoints").fetchone()
    for _ in range(5):
        await house.drive(change)
    assert house.con.execute("select count(*) from checkpoints").fetchone() == before


async def test_a_change_begun_by_another_graph_is_refused_not_guessed(house: House, monkeypatch) -> None:
    change = await house.submit()
    await house.drive(change)
    monkeypatch.setattr("evoguard.flow.runs.GRAPH_VERSION", 2)
    with pytest.raises(IntegrityError, match="another version"):
        await house.drive(change)


async def test_a_waiting_step_that_was_renamed_stops_the_change(house: House, monkeypatch) -> None:
    change = await house.submit()
    await house.drive(change)
    monkeypatch.setattr("evoguard.flow.runs.NAMES", graph.NAMES - {"approve"})
    with pytest.raises(IntegrityError, match="another version"):
        await house.drive(change)


async def test_checkpoints_hold_strings_numbers_and_booleans_only(house: House) -> None:
    change = await house.to_watch()
    await house.promote(change)
    for row in house.saver.list({"configurable": {"thread_id": change}}):
        for name, value in row.checkpoint["channel_values"].items():
            if not name.startswith("branch:") and name != "__start__":
                assert isinstance(value, str | int | bool), name
    assert "events" not in row.checkpoint["channel_values"]


async def test_a_crash_before_the_first_checkpoint_loses_nothing(house: House, monkeypatch) -> None:
    change = await house.submit()

    def die(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as crash, pytest.raises(CrashError):
        crash.setattr(FencedSqliteSaver, "put", die)
        await house.drive(change)
    house.again()
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_a_late_second_answer_changes_nothing(house: House) -> None:
    change = await house.to_watch()
    await house.vote(change, "bob", verdict="reject")
    await house.drive(change)
    assert await house.status(change) == "rolling out"
    assert "approval.ignored" in await house.story(change)


def test_strict_msgpack_is_set_before_langgraph_is_imported() -> None:
    from langgraph.checkpoint.serde import _msgpack

    assert _msgpack.STRICT_MSGPACK_ENABLED
