"""What other changes of a repository came to, and which are still on their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OpenChange:
    """Another change that has not ended. `impact`: digest of what was measured of it."""

    change: str
    author: str
    impact: str


class Prior(Protocol):
    """Answers from the guard's own log, newest first."""

    async def reverted(self, repo: str, component: str, since_ms: int, limit: int) -> tuple[tuple[str, int], ...]:
        """Return (change, when in unix ms) of the component's changes that were reverted or killed since then."""

    async def open(self, repo: str, but: str) -> tuple[OpenChange, ...]:
        """Return every measured change of the repository that has not ended, without the change `but`."""
