"""What an author did here, by the identity that signed, never by a name in a commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Authors(Protocol):
    """Answers from the guard's own log."""

    async def recent(self, author: str, repo: str, since_ms: int) -> tuple[tuple[str, str], ...]:
        """Return (change, digest of its impact) of the author's changes since then that may be, or were, released."""

    async def merges(self, author: str, repo: str) -> int:
        """Return how many changes of the author became known-good in the repository."""

    async def clean_since_hold(self, author: str) -> int | None:
        """Return how many changes of the author became known-good since their last hold; None: never held."""

    async def releases(self, repo: str) -> Mapping[str, str]:
        """Return release commit → author for everything that the guard published in the repository."""
