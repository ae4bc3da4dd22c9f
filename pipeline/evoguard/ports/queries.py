"""Read-only questions about changes, identities and holds, answered from projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evoguard.domain.events import StoredEvent
from evoguard.domain.identity import Identity


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Where a change stands; the projection of its stream. Times in unix milliseconds."""

    id: str
    status: str
    repo: str
    component: str
    flag: str
    author: str
    intent: str
    base: str
    head: str
    outcome: str
    stage_percent: int
    created_at: int
    updated_at: int
    detail: str = ""


class Queries(Protocol):
    """Answers; never decisions."""

    async def change(self, change: str) -> ChangeRow | None:
        """Return one change's row, or None."""

    async def events(self, stream: str) -> tuple[StoredEvent, ...]:
        """Return a stream in order. Raises: IntegrityError when a row cannot be read or is from a newer version."""

    async def identity(self, name: str) -> Identity | None:
        """Return a registered, unrevoked identity, or None."""

    async def held(self, author: str) -> str:
        """Return why an author is held, or an empty text."""
