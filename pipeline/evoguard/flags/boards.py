"""The latch board, read fresh for every question, by one thread, however many ask at once."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from evoguard.domain.latch import LatchBoard
from evoguard.ports.latches import Latches

log = logging.getLogger(__name__)
LATCH_S = 2.0
"""A latch folder that does not answer for this long is unreadable, and unreadable means killed."""


class Boards:
    """Questions that wait together share one read, but only a read that began after they were asked."""

    def __init__(self, latches: Latches) -> None:
        self._latches = latches
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="latches")
        self._running: asyncio.Task[LatchBoard] | None = None
        self._next: asyncio.Task[LatchBoard] | None = None

    async def now(self) -> LatchBoard:
        """Return the latches as they are; no answer means that everything is killed. Never raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._running))
        return await asyncio.shield(self._next)  # one caller that leaves must not end the others' read

    def close(self) -> None:
        """Let go of the thread without waiting for a folder."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _read_after(self, running: asyncio.Task[LatchBoard] | None) -> LatchBoard:
        if running is not None:
            await asyncio.wait({running})
        self._running, self._next = self._next, None
        try:
            async with asyncio.timeout(LATCH_S):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._latches.board)
        except Exception as err:  # noqa: BLE001  (an unreadable latch is a kill, whatever went wrong)
            log.error("flags.latches_unreadable %s", type(err).__name__)
            return LatchBoard(unreadable=("latches",))
