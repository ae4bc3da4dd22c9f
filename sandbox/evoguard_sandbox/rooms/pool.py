"""Prepared sandboxes: started, proved and warmed before their order comes, used once, thrown away when not needed.

How many is decided by what was asked for (`arrivals.py`); what a verdict is known to need is started at once (`want`).
An order that finds none ready takes one that is on its way, and nothing is prepared while one starts its own: the cores
are its.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

from evoguard_sandbox.rooms import arrivals
from evoguard_sandbox.rooms.arrivals import History, Need
from evoguard_sandbox.rooms.backend import Make, Wires
from evoguard_sandbox.rooms.box import Box, Order, Seen
from evoguard_sandbox.rooms.room import Room

STARTS_AT_ONCE = 2
START_S, LOOK_S, MOST_WAIT_S = 0.8, 0.5, 20.0
"""How long a start takes until one was timed; when to look what is missing, and how long busy cores put that off."""
READY_MIB: Mapping[str, int] = {"suite": 85, "near": 85, "far": 40, "job": 40, "python": 45}
"""What one that waits takes, by what it waits for; `evoguard bench sandbox` measures it."""
Makes = tuple[Make, ...]
"""What stands ready together: one sandbox, or the two of a split run."""


@dataclass(slots=True)
class Cost:
    """What being ready has cost so far, and what it was good for."""

    hits: int = 0
    misses: int = 0
    started: int = 0
    thrown_away: int = 0
    ready_s: float = 0.0
    """Seconds for which sandboxes stood ready, summed."""
    mib_s: float = 0.0
    """The same times the memory that each takes."""


class Pool:
    """Keeps sandboxes ready within one event loop: at most `most`, each for at most `keep_s` seconds.

    Nothing is kept once nothing was asked for in `keep_s` seconds. `now_s` is a clock that never goes back.
    """

    def __init__(
        self, room: Room, *, most: int = 12, keep_s: float = 300.0, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.room, self.most, self.keep_s, self.cost, self._now_s = room, most, keep_s, Cost(), now_s
        self._ready: dict[Makes, deque[tuple[float, tuple[Box, ...]]]] = {}
        self._history: dict[Makes, History] = {}
        self._start_s: dict[Makes, float] = {}
        self._taken: list[Box] = []
        self._look: asyncio.TimerHandle | None = None
        self._starting: Counter[Makes] = Counter()
        """How many are on their way; of those in `_planned` the start has not begun."""
        self._planned: deque[Makes] = deque()
        self._waiting: dict[Makes, deque[asyncio.Future[tuple[Box, ...] | None]]] = {}
        self._own_starts = 0
        self._nobody_starts = asyncio.Event()
        self._nobody_starts.set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(STARTS_AT_ONCE)
        self._closed = False

    @property
    def size(self) -> int:
        """Return how many sandboxes are ready or on their way."""
        ready = sum(len(key) * len(shelf) for key, shelf in self._ready.items())
        return ready + sum(len(key) * count for key, count in self._starting.items())

    def choice(self) -> dict[str, str | int | float]:
        """Return how many are kept ready just now, why, and what that has cost and brought, as plain data."""
        needs = self._needs()
        mode, why = arrivals.way(list(needs.values()), sum(arrivals.share(needs, self.most).values()))
        standing = [(key, self._now_s() - since) for key, shelf in self._ready.items() for since, _ in shelf]
        ready_s = self.cost.ready_s + sum(len(key) * stood_s for key, stood_s in standing)
        mib_s = self.cost.mib_s + sum(_mib(key) * stood_s for key, stood_s in standing)
        return {
            "mode": mode,
            "why": why,
            "ready": sum(len(key) for key, _ in standing),
            "hits": self.cost.hits,
            "misses": self.cost.misses,
            "ready_s": round(ready_s, 3),
            "memory_mib_hours": round(mib_s / 3600, 3),
        }

    def want(self, wanted: Mapping[Makes, int]) -> None:
        """Start what is missing until so many of each are ready or on their way; what nobody asks for makes room."""
        self._expire(self._now_s() - self.keep_s)
        for makes, count in wanted.items():
            have = len(self._ready.get(makes, ())) + self._starting[makes]
            for _ in range(count - have):
                while self.size + len(makes) > self.most and self._drop(wanted):
                    pass
                if self._closed or self.size + len(makes) > self.most:
                    return
                self._starting[makes] += 1
                self._planned.append(makes)
                _keep(self._preparing, self._prepare())

    async def take(self, *makes: Make) -> tuple[Box, ...]:
        """Return sandboxes that wait for their order, prepared or started now. Raises: SandboxError as `Box.start`."""
        now_s = self._now_s()
        self._taken = [box for box in self._taken if box.running is not None]
        self._history[makes] = self._history.get(makes, History()).arrived(now_s, start_s=self._takes_s(makes))
        self._look_later(now_s)
        shelf = self._ready.get(makes)
        while shelf:
            since, boxes = shelf.popleft()
            self._stood(makes, since)
            if all(box.ready for box in boxes):
                self.cost.hits += 1
                self._taken += boxes
                return boxes
            self._throw_away(boxes)
        self.cost.misses += 1
        boxes = await self._on_its_way(makes) or await self._start_own(makes)
        self._taken += boxes
        return boxes

    async def close(self) -> None:
        """End everything that was prepared; what is in use is not touched."""
        self._closed = True
        if self._look is not None:
            self._look.cancel()
        for task in self._preparing:
            task.cancel()
        await asyncio.gather(*self._preparing, return_exceptions=True)
        self._planned.clear()
        self._starting.clear()  # a task that was cancelled before it began could not count itself down
        for makes in self._waiting:
            self._tell_waiting(makes)
        for makes, shelf in self._ready.items():
            for since, boxes in shelf:
                self._stood(makes, since)
                self._throw_away(boxes)
        self._ready.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _needs(self) -> dict[Makes, Need]:
        """Return what should stand ready of each make, what was asked for last first."""
        now_s = self._now_s()
        last = sorted(self._history.items(), key=lambda item: item[1].last_s, reverse=True)
        return {
            makes: arrivals.need(
                history, now_s, start_s=self._takes_s(makes), quiet_s=self.keep_s, size=len(makes)
            )
            for makes, history in last
        }  # fmt: skip

    def _takes_s(self, makes: Makes) -> float:
        return self._start_s.get(makes, START_S)

    def _look_later(self, since_s: float) -> None:
        if self._look is None and self.most and not self._closed:
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self._restock, since_s)

    def _restock(self, since_s: float) -> None:
        """Start what is missing. Not while orders keep every core busy, unless that goes on and on."""
        self._look = None
        self._taken = [box for box in self._taken if box.running is not None]
        cores = len(os.sched_getaffinity(0))
        orders = len(self._taken) + self._own_starts + sum(map(len, self._waiting.values()))
        if orders >= cores and self._now_s() - since_s < MOST_WAIT_S:
            self._look_later(since_s)
            return
        self.want(arrivals.share(self._needs(), self.most))

    async def _on_its_way(self, makes: Makes) -> tuple[Box, ...] | None:
        """Return a set whose start was on its way, once it is ready; None when there is none or it failed."""
        line = self._waiting.setdefault(makes, deque())
        if len(line) >= self._starting[makes]:
            return None
        place: asyncio.Future[tuple[Box, ...] | None] = asyncio.get_running_loop().create_future()
        line.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if not place.cancelled() and (boxes := place.result()):
                self._throw_away(boxes)  # given in the moment in which nobody wanted it any more
            raise
        finally:
            if place in line:
                line.remove(place)

    async def _start_own(self, makes: Makes) -> tuple[Box, ...]:
        """Start a set for an order that waits; nothing else is begun meanwhile. Raises: SandboxError as `Box.start`."""
        self._own_starts += 1
        self._nobody_starts.clear()
        try:
            return await self._start(makes, warm=False)
        finally:
            self._own_starts -= 1
            if not self._own_starts:
                self._nobody_starts.set()

    def _give(self, makes: Makes, boxes: tuple[Box, ...]) -> bool:
        """Give a set to who waits longest for one like it; tell whether there was anybody."""
        line = self._waiting.get(makes, deque())
        while line:
            place = line.popleft()
            if not place.done():
                place.set_result(boxes)
                return True
        return False

    def _tell_waiting(self, makes: Makes) -> None:
        """Tell those who wait for more than is on its way that they must start their own."""
        line = self._waiting.get(makes, deque())
        while len(line) > self._starting[makes]:
            place = line.pop()
            if not place.done():
                place.set_result(None)

    async def _start(self, makes: Makes, *, warm: bool) -> tuple[Box, ...]:
        self.cost.started += len(makes)
        if len(makes) == 1:
            return (await Box(self.room, makes[0], warm=warm).start(),)
        return await start_pair(self.room, *makes, warm=warm)

    async def _prepare(self) -> None:
        """Start one of those that are planned, the first of them for which an order waits."""
        async with self._gate:
            await self._nobody_starts.wait()
            makes = next((planned for planned in self._planned if self._waiting.get(planned)), self._planned[0])
            self._planned.remove(makes)
            boxes: tuple[Box, ...] = ()
            try:
                # A start that fails here fails again, and is told, when an order comes for it.
                with contextlib.suppress(Exception):
                    began_s = self._now_s()
                    boxes = await self._start(makes, warm=not self._waiting.get(makes))
                    self._start_s[makes] = (self._takes_s(makes) + self._now_s() - began_s) / 2
            finally:
                self._starting[makes] -= 1
                self._put(makes, boxes)

    def _put(self, makes: Makes, boxes: tuple[Box, ...]) -> None:
        """Give a set that was prepared to who waits for it, else let it stand ready; one that failed helps nobody."""
        if not boxes or self._closed or not all(box.ready for box in boxes):
            self._throw_away(boxes)
        elif not self._give(makes, boxes):
            self._ready.setdefault(makes, deque()).append((self._now_s(), boxes))
            asyncio.get_running_loop().call_later(self.keep_s + 1, self._refresh, self._now_s())
        self._tell_waiting(makes)

    def _refresh(self, before: float) -> None:
        """Throw away what stood too long, and start others in its place if they are still asked for."""
        if not self._closed:
            self._expire(before)
            self.want(arrivals.share(self._needs(), self.most))

    def _expire(self, before: float) -> None:
        for makes, shelf in self._ready.items():
            while shelf and shelf[0][0] <= before:
                since, boxes = shelf.popleft()
                self._stood(makes, since)
                self._throw_away(boxes)

    def _drop(self, wanted: Mapping[Makes, int]) -> bool:
        """Give up one prepared set that nobody asks for now; tell whether there was one."""
        for makes, shelf in self._ready.items():
            if not wanted.get(makes) and shelf:
                since, boxes = shelf.popleft()
                self._stood(makes, since)
                self._throw_away(boxes)
                return True
        return False

    def _stood(self, makes: Makes, since: float) -> None:
        """Count what it cost that these stood ready until now."""
        stood_s = self._now_s() - since
        self.cost.ready_s += len(makes) * stood_s
        self.cost.mib_s += _mib(makes) * stood_s

    def _throw_away(self, boxes: tuple[Box, ...]) -> None:
        self.cost.thrown_away += len(boxes)
        for box in boxes:
            _keep(self._ending, box.discard())


def _mib(makes: Makes) -> int:
    """Return what one set of these takes while it waits."""
    return sum(READY_MIB.get(make.mode, max(READY_MIB.values())) for make in makes)


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> None:
    """Start a task and hold it until it is done; asyncio itself would let it be collected."""
    task: asyncio.Task[None] = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def start_pair(room: Room, near: Make, far: Make, *, warm: bool = False) -> tuple[Box, Box]:
    """Start two sandboxes whose only way to each other is one pair of pipes. Raises: SandboxError as `Box.start`."""
    to_far, to_near = os.pipe(), os.pipe()
    boxes = Box(room, near, warm=warm), Box(room, far)
    try:
        wired = Wires(to_near[0], to_far[1]), Wires(to_far[0], to_near[1])
        await asyncio.gather(*(box.start(wires) for box, wires in zip(boxes, wired, strict=True)))
    except BaseException:
        await asyncio.gather(*(box.discard() for box in boxes), return_exceptions=True)
        raise
    finally:
        for fd in (*to_far, *to_near):
            os.close(fd)  # the sandboxes hold their own copies: the end of one is the end of the pipe
    return boxes


async def run_box(room: Room, order: Order, make: Make, pool: Pool | None = None) -> Seen:
    """Run one order in a fresh sandbox and leave nothing behind. Raises: SandboxError when a layer is not there."""
    (box,) = await pool.take(make) if pool is not None else (await Box(room, make).start(),)
    return await box.obey(order)
