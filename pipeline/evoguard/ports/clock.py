"""The only source of time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time that never goes below what the log has already seen."""

    def now_ms(self) -> int:
        """Return unix milliseconds; a clock set back does not go back here."""
