"""Prepared sandboxes: started, proved and warmed before their order comes, used once, thrown away when not needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass

from evoguard_sandbox.backend import Make, Wires
from evoguard_sandbox.box import Box, Order, Seen
from evoguard_sandbox.room import Room

STARTS_AT_ONCE = 2
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
    """Seconds for which sandboxes stood ready, summed: about 80 MiB of memory each."""


class Pool:
    """Keeps sandboxes ready within one event loop: at most `most`, each for at most `keep_s` seconds."""

    def __init__(self, room: Room, *, most: int = 12, keep_s: float = 300.0) -> None:
        self.room, self.most, self.keep_s, self.cost = room, most, keep_s, Cost()
        self._ready: dict[Makes, deque[tuple[float, tuple[Box, ...]]]] = {}
        self._starting: Counter[Makes] = Counter()
        self._preparing: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(STARTS_AT_ONCE)
        self._closed = False

    @property
    def size(self) -> int:
        """Return how many sandboxes are ready or on their way."""
        ready = sum(len(key) * len(shelf) for key, shelf in self._ready.items())
        return ready + sum(len(key) * count for key, count in self._starting.items())

    def want(self, wanted: Mapping[Makes, int]) -> None:
        """Start what is missing until so many of each are ready or on their way; what nobody asks for makes room."""
        self._expire(time.monotonic() - self.keep_s)
        for makes, count in wanted.items():
            have = len(self._ready.get(makes, ())) + self._starting[makes]
            for _ in range(count - have):
                while self.size + len(makes) > self.most and self._drop(wanted):
                    pass
                if self._closed or self.size + len(makes) > self.most:
                    return
                self._starting[makes] += 1
                _keep(self._preparing, self._prepare(makes))

    async def take(self, *makes: Make) -> tuple[Box, ...]:
        """Return sandboxes that wait for their order, prepared or started now. Raises: SandboxError as `Box.start`."""
        shelf = self._ready.get(makes)
        while shelf:
            since, boxes = shelf.popleft()
            self.cost.ready_s += time.monotonic() - since
            if all(box.ready for box in boxes):
                self.cost.hits += 1
                return boxes
            self._throw_away(boxes)
        self.cost.misses += 1
        return await self._start(makes, warm=False)

    async def close(self) -> None:
        """End everything that was prepared; what is in use is not touched."""
        self._closed = True
        for task in self._preparing:
            task.cancel()
        await asyncio.gather(*self._preparing, return_exceptions=True)
        self._starting.clear()  # a task that was cancelled before it began could not count itself down
        for shelf in self._ready.values():
            for since, boxes in shelf:
                self.cost.ready_s += time.monotonic() - since
                self._throw_away(boxes)
        self._ready.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _start(self, makes: Makes, *, warm: bool) -> tuple[Box, ...]:
        self.cost.started += len(makes)
        if len(makes) == 1:
            return (await Box(self.room, makes[0], warm=warm).start(),)
        return await start_pair(self.room, *makes, warm=warm)

    async def _prepare(self, makes: Makes) -> None:
        boxes: tuple[Box, ...] = ()
        try:
            # A start that fails here fails again, and is told, when an order comes for it.
            with contextlib.suppress(Exception):
                async with self._gate:
                    boxes = await self._start(makes, warm=True)
        finally:
            self._starting[makes] -= 1
        if boxes and all(box.ready for box in boxes) and not self._closed:
            self._ready.setdefault(makes, deque()).append((time.monotonic(), boxes))
            asyncio.get_running_loop().call_later(self.keep_s + 1, self._expire, time.monotonic())
        else:
            self._throw_away(boxes)

    def _expire(self, before: float) -> None:
        for shelf in self._ready.values():
            while shelf and shelf[0][0] <= before:
                since, boxes = shelf.popleft()
                self.cost.ready_s += time.monotonic() - since
                self._throw_away(boxes)

    def _drop(self, wanted: Mapping[Makes, int]) -> bool:
        """Give up one prepared set that nobody asks for now; tell whether there was one."""
        for makes, shelf in self._ready.items():
            if makes not in wanted and shelf:
                self._throw_away(shelf.popleft()[1])
                return True
        return False

    def _throw_away(self, boxes: tuple[Box, ...]) -> None:
        self.cost.thrown_away += len(boxes)
        for box in boxes:
            _keep(self._ending, box.discard())


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
