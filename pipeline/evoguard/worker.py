"""The worker: wakes changes, drives each through `advance`, writes down kills. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from evoguard.domain.latch import Latch, LatchBoard
from evoguard.errors import EvoguardError, IntegrityError
from evoguard.ports.clock import Clock
from evoguard.ports.inbox import Inbox
from evoguard.ports.latches import Latches

log = logging.getLogger("evoguard.worker")
IDLE_S = 0.1
ROOT_EVERY_S = 1.0
LOOK_AGAIN_MS = 3_600_000
"""A change that waits for a message alone is looked at this often all the same."""
RAISE_EVERY_S = 5.0
RETRY_S = (0.5, 1, 2, 5, 15, 60)


class Advance(Protocol):
    """Where a change stands after a drive."""

    @property
    def outcome(self) -> str:
        """Return how the change ended, or an empty text."""

    @property
    def wake_at(self) -> int:
        """Return when to wake it (unix ms); 0 means only by a message."""


class Waker(Protocol):
    """The due-table."""

    async def at(self, change: str, when_ms: int) -> None:
        """Wake a change at a time (unix ms)."""

    async def ready(self, now_ms: int) -> tuple[str, ...]:
        """Return every change with something to do."""


class Book(Protocol):
    """Where kills are written down, and why a change does not move."""

    def reconcile(self, board: LatchBoard) -> tuple[Latch, ...]:
        """Record kills and lifts; return every latch in force."""

    def open_changes(self) -> tuple[tuple[str, str, str], ...]:
        """Return (change, component, flag) of open changes."""

    def released(self) -> frozenset[str]:
        """Return the changes that users may be meeting now."""

    def note(self, change: str, detail: str) -> None:
        """Show why a change does not move."""


async def _nothing(_: int) -> None:
    """Raise no epoch."""


async def _at_rest() -> None:
    """Have nothing to give back."""


@dataclass(slots=True)
class Worker:
    """One process, many changes; a change has one driver at a time."""

    drive: Callable[[str], Awaitable[Advance]]
    waker: Waker
    book: Book
    inbox: Inbox
    latches: Latches
    clock: Clock
    sign_root: Callable[[], Awaitable[bool]]
    raise_epoch: Callable[[int], Awaitable[None]] = _nothing
    """Raise the epoch of every repository to a kill's."""
    release: Callable[[], None] = lambda: None
    """Release authors whose automatic abort was lifted by two people."""
    rules: Callable[[], int] = lambda: 0
    """Return a number that grows when other rules come into force."""
    rest: Callable[[], Awaitable[None]] = _at_rest
    """Give back what stood ready for the next change."""
    settle: Callable[[], Awaitable[None]] = _at_rest
    """Make the reverts that git still owes."""
    at_once: int = 64
    """Changes driven at the same time; the sandbox bounds its own runs, so no suite keeps a rollout waiting."""
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _not_before: dict[str, float] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)
    _signed_at: float = 0.0
    _settled_at: float = 0.0
    _raised: int = 0
    _raise_again_at: float = 0.0
    _told: set[tuple[str, str]] = field(default_factory=set)
    _rules_seen: int | None = None

    async def run(self, stop: asyncio.Event, *, until_idle: bool = False) -> None:
        """Work until `stop` is set; with `until_idle`, until nothing is open or everything waits for people."""
        for change, _, _ in self.book.open_changes():  # a crash may have lost a wake: every open change gets one
            await self.waker.at(change, 0)
        try:
            while not stop.is_set():
                await self.tick()
                if until_idle and not self._running and not await self._ready():
                    break
                await asyncio.sleep(IDLE_S)
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        finally:
            await self.rest()
        await self.sign_root()

    async def tick(self) -> None:
        """Do one round: kills first, then whatever is due. A part that fails is tried again at the next round."""
        await self._part("kills", self._kills)
        await self._part("release", self._release)
        await self._part("rules", self._new_rules)
        await self._part("wake", self._wake)
        if time.monotonic() - self._settled_at > RAISE_EVERY_S:
            self._settled_at = time.monotonic()
            await self._part("settle", self.settle)
        if time.monotonic() - self._signed_at > ROOT_EVERY_S:
            self._signed_at = time.monotonic()
            await self._part("root", self.sign_root)

    async def _part(self, name: str, do: Callable[[], Awaitable[object]]) -> None:
        """Run one part of a round; what it raises never keeps the others from running."""
        try:
            await do()
        except IntegrityError as err:  # nothing mends this by itself: said at every round until people look
            log.error("worker.%s_refused code=%s %s; %s", name, err.code, err.message, err.fix)
        except EvoguardError as err:  # the database is locked or full: everything stays as it is
            log.warning("worker.%s_failed code=%s %s", name, err.code, err.message)
        except Exception:  # the run loop: recorded, nothing opens, tried again
            log.exception("worker.%s_failed", name)

    async def _release(self) -> None:
        self.release()

    async def _new_rules(self) -> None:
        """Wake every open change when other rules come into force: what waits for people is reviewed again."""
        seen = self.rules()
        if self._rules_seen not in (None, seen):
            for change, _, _ in self.book.open_changes():
                await self.waker.at(change, 0)
        self._rules_seen = seen

    async def _wake(self) -> None:
        now, out = time.monotonic(), self.book.released()
        for change in await self._ready():
            if change in self._running or self._not_before.get(change, 0) > now:
                continue
            # what users meet is always looked after, however many others are being checked
            if change in out or len(self._running.keys() - out) < self.at_once:
                self._running[change] = asyncio.create_task(self._one(change))

    async def _ready(self) -> list[str]:
        return [c for c in await self.waker.ready(self.clock.now_ms()) if c not in self._stopped]

    async def _kills(self) -> None:
        board = self.latches.board()
        if board.epoch > self._raised:
            await self._part("epoch", lambda: self._raise(board.epoch))
        in_force = self.book.reconcile(board)
        if not in_force and not board.unreadable:
            return
        for change, component, flag in self.book.open_changes():
            first = board.first(component=component, flag=flag)
            if first is None or (first.id, change) in self._told:
                continue  # an unreadable latch has no id: a rollout is ended by its own next tick
            await self.inbox.put(change, "kill", first.id, key=f"kill/{first.id}/{change}")
            self._told.add((first.id, change))
            self._stopped.discard(change)  # a kill reaches also what stopped over a record that nobody can read
            self._not_before.pop(change, None)

    async def _raise(self, epoch: int) -> None:
        """Raise git's epoch for a kill command that died after its latch; a repository that is broken stays behind."""
        if time.monotonic() < self._raise_again_at:
            return
        self._raise_again_at = time.monotonic() + RAISE_EVERY_S
        await self.raise_epoch(epoch)
        self._raised = epoch

    async def _one(self, change: str) -> None:
        try:
            await self._advance(change)
        finally:
            self._running.pop(change, None)

    async def _advance(self, change: str) -> None:
        rules = self._rules_seen
        try:
            done = await self.drive(change)
        except IntegrityError as err:
            self._stopped.add(change)
            log.error("change.stopped change=%s code=%s %s", change, err.code, err.message)
            self.book.note(change, f"stopped: {err.code}: {err.message}")
        except Exception as err:  # noqa: BLE001  (the run loop: recorded, the gate stays shut, tried again later)
            await self._retry(change, err)
        else:
            self._failures.pop(change, None)
            if not done.outcome:  # rules seen during the drive had it woken at once: that must not be put off here
                at_ms = done.wake_at or self.clock.now_ms() + LOOK_AGAIN_MS
                await self.waker.at(change, at_ms if self._rules_seen == rules else 0)

    async def _retry(self, change: str, err: Exception) -> None:
        failed = self._failures[change] = self._failures.get(change, 0) + 1
        pause_s = RETRY_S[min(failed, len(RETRY_S)) - 1]
        self._not_before[change] = time.monotonic() + pause_s  # it waits without a slot: the others go on
        code = err.code if isinstance(err, EvoguardError) else type(err).__name__
        log.warning("change.waits change=%s code=%s retry_s=%s %s", change, code, pause_s, str(err)[:300],
                    exc_info=not isinstance(err, EvoguardError))  # fmt: skip
        try:
            await self.waker.at(change, self.clock.now_ms() + int(pause_s * 1000))
            self.book.note(change, f"tried {failed} times: {code}: {str(err)[:300]}")
        except EvoguardError:
            log.warning("change.note_failed change=%s", change)
