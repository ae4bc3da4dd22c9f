"""Effects on the outside world, each claimed by an idempotency key before it happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Effects(Protocol):
    """Claim, do, record; after a crash the recorded result is returned, never done again."""

    async def once(self, key: str, do: Callable[[], Awaitable[str]]) -> str:
        """Return the recorded result of `key`, or claim it, run `do`, record and return its text.

        `do` itself must be repeatable (compare-and-swap or same bytes): a crash between doing and recording runs it
        again. A `do` that raises leaves the claim open. Raises: what `do` raises, UnavailableError for the store.
        """
