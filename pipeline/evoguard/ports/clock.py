"""The only source of time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time that never goes below what the log has already seen."""

    def now_ms(self) -> int:
        """Return unix milliseconds; a clock set back neither goes back nor stands still here."""

    def wall_ms(self) -> int:
        """Return what the machine's clock reads, for what other machines compare with theirs: a lease."""
