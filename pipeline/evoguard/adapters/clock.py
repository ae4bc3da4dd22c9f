"""The machine's clock, held above what the event log has already seen."""

from __future__ import annotations

import time
from collections.abc import Callable


class SystemClock:
    """Wall time in unix milliseconds that never goes back: not below the log's last time, nor its own last answer."""

    def __init__(self, floor_ms: Callable[[], int] | int = 0) -> None:
        self._floor_ms = floor_ms
        self._last_ms = 0

    def now_ms(self) -> int:
        """Return unix milliseconds. Raises: what `floor_ms` raises; a time that may be too low is never made up."""
        floor_ms = self._floor_ms if isinstance(self._floor_ms, int) else self._floor_ms()
        self._last_ms = max(time.time_ns() // 1_000_000, floor_ms, self._last_ms)
        return self._last_ms
