"""The machine's clock, held above what the event log has already seen."""

from __future__ import annotations

import time
from collections.abc import Callable


class SystemClock:
    """Wall time in unix milliseconds that never goes back: not below the log's last time, nor its own last answer."""

    def __init__(self, floor_ms: Callable[[], int] | int = 0) -> None:
        self._floor_ms = floor_ms
        self._last_ms = 0
        self._ticked_at_ms = time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        """Return unix milliseconds. Raises: what `floor_ms` raises; a time that may be too low is never made up.

        While the machine's clock is behind, time goes on by the monotonic clock: what is due comes due.
        """
        ticks_ms = time.monotonic_ns() // 1_000_000
        on_ms = self._last_ms + ticks_ms - self._ticked_at_ms
        floor_ms = self._floor_ms if isinstance(self._floor_ms, int) else self._floor_ms()
        self._last_ms = max(self.wall_ms(), floor_ms, on_ms if self._last_ms else 0)
        self._ticked_at_ms = ticks_ms
        return self._last_ms

    def wall_ms(self) -> int:
        """Return what the machine's clock reads."""
        return time.time_ns() // 1_000_000
