"""kill -9 between any two durable writes: the change still ends at known-good, every effect and event once."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evoguard.adapters.sqlite import db
from house import House

STEP, LEAST = 4, 30
"""The path has more durable writes than `LEAST`; fewer would mean that the counter sees none."""


class DiesHereError(BaseException):
    """Stands for kill -9: nothing after it runs, and nothing uncommitted is kept."""


@contextmanager
def dying_at(nth: int, *, after: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """End the process at the nth transaction: just before it commits, or right after."""
    count = 0
    original = db.transaction

    @contextmanager
    def counted(con: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        nonlocal count
        count += 1
        mine = count
        with original(con):
            yield con
            if mine == nth and not after:
                raise DiesHereError
        if mine == nth and after:
            raise DiesHereError

    with monkeypatch.context() as patch:
        for module in ("saver.whole", "effects.transaction", "inbox.transaction"):
            patch.setattr(f"evoguard.adapters.sqlite.{module}", counted)
        yield lambda: count


async def _carry(house: House) -> str:
    """Carry a change to its end, whatever state a crash left."""
    change = await house.submit()
    for _ in range(80):
        done = await house.drive(change)
        if done.outcome:
            return done.outcome
        story = await house.story(change)
        if "approval.requested" in story and "approval.recorded" not in story and not await house.inbox.pending(change):
            await house.vote(change, "alice")
        elif "rollout.opened" in story:
            state = house.flags.states["lending-scoring"]
            house.traffic(
                change,
                units=2000,
                percent=state.percent,
                bad_candidate=state.percent,
                bad_known_good=100 - state.percent,
            )
            house.clock.wait(2)
    return "never ended"


async def _one(folder: Path, nth: int, *, after: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    folder.mkdir()
    house = House(folder)
    died = False
    try:
        with dying_at(nth, after=after, monkeypatch=monkeypatch):
            await _carry(house)
    except DiesHereError:
        died = True
        house.again()
    outcome = await _carry(house)
    change = await house.submit()
    story = await house.story(change)
    once = [e for e in story if e not in ("rollout.widened", "approval.recorded")]
    assert outcome == "known-good", (nth, after, outcome, story)
    assert len(once) == len(set(once)), (nth, after, story)
    assert story[-1] == "change.known_good"
    assert len(house.forge.published) == 1, (nth, after)
    assert [w.percent for w in house.flags.writes if w.lease_until == 0] in ([100], [100, 100])
    house.close()
    return died


async def crash_at_each(folder: Path, monkeypatch: pytest.MonkeyPatch, *, first: int, step: int) -> int:
    """Let a run die before and after each `step`th transaction from the `first` on; return how many died."""
    deaths = 0
    for after in (False, True):
        nth, died = first, True
        while died:
            died = await _one(folder / f"{after}-{nth}", nth, after=after, monkeypatch=monkeypatch)
            deaths, nth = deaths + died, nth + step
    await asyncio.sleep(0)
    return deaths


async def test_a_crash_at_a_transaction_neither_loses_nor_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fourth, from one that is drawn; `make test-nightly` dies at each."""
    first = 1 + secrets.randbelow(STEP)
    deaths = await crash_at_each(tmp_path, monkeypatch, first=first, step=STEP)
    assert deaths > 2 * LEAST // STEP - 2, first
