"""Messages from outside, durable before the sender is answered, consumed by `advance` alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

MessageKind = Literal["submit", "withdraw", "approve", "reject", "kill", "supersede"]


@dataclass(frozen=True, slots=True)
class Message:
    """One durable message. `body` is canonical JSON text; `at` unix milliseconds."""

    id: int
    change: str
    kind: MessageKind
    body: str
    at: int


class Inbox(Protocol):
    """The only way in."""

    async def put(self, change: str, kind: MessageKind, body: str, *, key: str) -> int:
        """Store a message durably and wake its change; the same `key` again returns the first id.

        Raises: UnavailableError when nothing could be stored.
        """

    async def pending(self, change: str) -> tuple[Message, ...]:
        """Return the messages of a change that no committed event has consumed, oldest first."""
