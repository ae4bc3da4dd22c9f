"""The latch board, read fresh for every question, by one thread, however many ask at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from evoguard.domain.latch import LatchBoard
from evoguard.ports.latches import Latches

log = logging.getLogger(__name__)
LATCH_S = 2.0
"""A latch folder that does not answer for this long is unreadable, and unreadable means killed."""
T = TypeVar("T")


class Shared(Generic[T]):
    """One answer for all who wait together, but only one whose work began after they asked."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def now(self) -> T:
        """Return the answer. Raises: what the work raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
        return await asyncio.shield(self._next)  # one caller that leaves must not end the others' work

    async def _after(self, running: asyncio.Task[T] | None) -> T:
        if running is not None:
            await asyncio.wait({running})
        self._running, self._next = self._next, None
        return await self._work()


class Boards:
    """Reads the latches in a thread of its own; questions that wait together share one read."""

    def __init__(self, latches: Latches) -> None:
        self._latches = latches
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="latches")
        self._shared = Shared(self._read)

    async def now(self) -> LatchBoard:
        """Return the latches as they are; no answer means that everything is killed. Never raises."""
        return await self._shared.now()

    def close(self) -> None:
        """Let go of the thread without waiting for a folder."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _read(self) -> LatchBoard:
        try:
            async with asyncio.timeout(LATCH_S):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._latches.board)
        except Exception as err:  # noqa: BLE001  (an unreadable latch is a kill, whatever went wrong)
            log.error("flags.latches_unreadable %s", type(err).__name__)
            return LatchBoard(unreadable=("latches",))
