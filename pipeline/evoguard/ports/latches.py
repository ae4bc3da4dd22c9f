"""The kill latches, read fresh at every question."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.latch import LatchBoard


class Latches(Protocol):
    """What has been killed."""

    def board(self) -> LatchBoard:
        """Return every kill, lifts verified now. Never raises: what cannot be read is in `unreadable` and kills."""
