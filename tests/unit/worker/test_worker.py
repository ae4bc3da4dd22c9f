from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from evoguard.domain.latch import Latch, LatchBoard
from evoguard.errors import IntegrityError, UnavailableError
from evoguard.flow.runs import Advance
from evoguard.worker import Worker
from fakes import FakeClock, FakeLatches


@dataclass
class Table:
    """Due-table, book and inbox of a worker, in memory."""

    due: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False

    async def at(self, change: str, when_ms: int) -> None:
        self.due[change] = when_ms

    async def ready(self, now_ms: int) -> tuple[str, ...]:
        return tuple(change for change, at in self.due.items() if at <= now_ms)

    def reconcile(self, board: LatchBoard) -> tuple[Latch, ...]:
        if self.broken:
            raise RuntimeError("a row that nobody can read")
        return tuple(x for x in board.latches if not x.lifted)

    def open_changes(self) -> tuple[tuple[str, str, str], ...]:
        return tuple((change, "scoring", "lending") for change in self.due)

    def released(self) -> frozenset[str]:
        return frozenset(change for change in self.due if change.startswith("rollout"))

    def note(self, change: str, detail: str) -> None:
        self.notes[change] = detail

    async def put(self, change: str, kind: str, body: str, *, key: str) -> int:
        self.messages.append((change, kind))
        return len(self.messages)

    async def pending(self, change: str) -> tuple[()]:
        return ()


def a_worker(table: Table, drive, latches: FakeLatches | None = None) -> Worker:
    async def no_root() -> bool:
        return False

    return Worker(drive, table, table, table, latches or FakeLatches(), FakeClock(), no_root)  # type: ignore[arg-type]


async def _rounds(worker: Worker, count: int = 5) -> None:
    for _ in range(count):
        await worker.tick()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_changes_that_fail_do_not_keep_the_others_waiting():
    table, driven = Table({f"bad-{n}": 0 for n in range(100)} | {"good": 0}), []

    async def drive(change: str) -> Advance:
        driven.append(change)
        if change.startswith("bad"):
            raise UnavailableError("sandbox", "no gVisor")
        return Advance(outcome="known-good")

    await _rounds(a_worker(table, drive))
    assert "good" in driven
    assert "no gVisor" in table.notes["bad-0"]


async def test_a_failed_change_waits_before_it_is_tried_again():
    table, driven = Table({"bad": 0}), []

    async def drive(change: str) -> Advance:
        driven.append(change)
        raise UnavailableError("sandbox", "no gVisor")

    worker = a_worker(table, drive)
    await _rounds(worker, 3)
    table.due["bad"] = 0  # as a message that arrives would do
    await _rounds(worker, 3)
    assert driven == ["bad"]


async def test_a_change_whose_log_is_broken_is_stopped_and_the_others_go_on():
    table, driven = Table({"broken": 0, "good": 0}), []

    async def drive(change: str) -> Advance:
        driven.append(change)
        if change == "broken":
            raise IntegrityError("does not match its hash", code="log.broken_link")
        return Advance(wake_at=1)

    await _rounds(a_worker(table, drive))
    assert driven.count("broken") == 1
    assert driven.count("good") > 1
    assert table.notes["broken"].startswith("stopped: log.broken_link")


async def test_a_round_whose_book_of_kills_is_broken_still_drives_changes(caplog: pytest.LogCaptureFixture):
    table, driven = Table({"good": 0}, broken=True), []

    async def drive(change: str) -> Advance:
        driven.append(change)
        return Advance(outcome="refused")

    with caplog.at_level(logging.ERROR):
        await _rounds(a_worker(table, drive), 1)
    assert driven == ["good"]
    assert "worker.kills_failed" in caplog.text


async def test_a_kill_is_told_to_every_change_that_it_covers():
    table, latches = Table({"one": 10**15, "two": 10**15}), FakeLatches()
    latches.kill(scope="component", name="scoring")

    async def drive(change: str) -> Advance:
        return Advance()

    await _rounds(a_worker(table, drive, latches), 1)
    assert sorted(table.messages) == [("one", "kill"), ("two", "kill")]


async def test_an_ended_change_is_not_woken_again():
    table = Table({"done": 0})

    async def drive(change: str) -> Advance:
        table.due.pop(change, None)  # as the projection does when a change ends
        return Advance(outcome="known-good")

    await _rounds(a_worker(table, drive))
    assert table.due == {}


async def test_a_long_suite_does_not_keep_a_rollout_from_its_lease():
    table, driven, release = Table({f"suite-{n}": 0 for n in range(100)} | {"rollout": 0}), [], asyncio.Event()

    async def drive(change: str) -> Advance:
        driven.append(change)
        if change.startswith("suite"):
            await release.wait()
        return Advance(wake_at=1)

    worker = a_worker(table, drive)
    await _rounds(worker, 4)
    assert driven.count("rollout") >= 3
    release.set()
    await asyncio.gather(*worker._running.values())


async def test_a_kill_reaches_a_change_that_stopped_over_a_broken_record():
    table, latches, driven = Table({"rollout": 0}), FakeLatches(), []

    async def drive(change: str) -> Advance:
        driven.append(change)
        if len(driven) == 1:
            raise IntegrityError("a KPI row that nobody can read", code="kpi.unreadable")
        return Advance(outcome="killed")

    worker = a_worker(table, drive, latches)
    await _rounds(worker, 3)
    assert len(driven) == 1
    latches.kill(scope="all")
    await _rounds(worker, 3)
    assert len(driven) > 1


async def test_a_repository_that_is_broken_keeps_no_kill_from_being_written_down():
    table, latches = Table({"one": 10**15}), FakeLatches()
    latches.kill(scope="component", name="scoring")

    async def drive(change: str) -> Advance:
        return Advance()

    async def broken(epoch: int) -> None:
        raise UnavailableError("git", "one repository gives no answer")

    worker = a_worker(table, drive, latches)
    worker.raise_epoch = broken
    await _rounds(worker, 1)
    assert table.messages == [("one", "kill")]


async def test_rules_that_come_into_force_during_a_drive_wake_its_change_again():
    table, seen = Table({"waits": 0}), [1]
    ends = asyncio.Event()

    async def drive(change: str) -> Advance:
        await ends.wait()
        return Advance(wake_at=10**15)

    worker = a_worker(table, drive)
    worker.rules = lambda: seen[-1]
    await _rounds(worker, 2)
    seen.append(2)
    await _rounds(worker, 1)
    ends.set()
    await asyncio.gather(*worker._running.values())
    assert table.due["waits"] == 0


async def test_rules_that_nobody_can_read_keep_no_change_from_being_driven():
    table, driven = Table({"rollout-1": 0}), []

    async def drive(change: str) -> Advance:
        driven.append(change)
        return Advance(wake_at=10**15)

    def unreadable() -> int:
        raise RuntimeError("the table cannot be read")

    worker = a_worker(table, drive)
    worker.rules = unreadable
    await _rounds(worker)
    assert (driven, table.due["rollout-1"]) == (["rollout-1"], 10**15)
