"""Work that goes on together and is over together: whoever stops waiting leaves nothing of it running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Together:
    """Started tasks, all of them ended when the block is left.

    At the end of the block they are awaited; the first error, or being cancelled, ends the others, and each of them has
    cleaned up before the block raises. `asyncio.gather` goes on as soon as the first of them was cancelled.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[object]] = []

    def start(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        """Start one; its result is there when the block is left."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                if not task.cancelling():  # a second time would cut its cleaning up short
                    task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
