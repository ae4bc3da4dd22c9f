"""What the flag server needs of a database; any method may be slow or fail, and serving goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from evoguard.domain.flag import FlagState


class FlagStore(Protocol):
    """Called from worker threads, several at once; no call may wait longer than a moment."""

    def rows(self) -> tuple[int, tuple[FlagState, ...]]:
        """Return the newest revision and every flag, from one instant. Raises: EvoguardError when unreadable."""

    def tokens(self) -> Mapping[str, tuple[str, str]]:
        """Return sha256 hex of each token → (kind, assurance). Raises: EvoguardError when unreadable."""

    def store_kpi(self, batch_json: bytes, assurance: str, *, now_ms: int) -> Literal["stored", "repeated"]:
        """Keep a batch, once. Raises: InputError (`kpi.*`) for a bad one, UnavailableError when nothing was stored."""

    def seen(self, instance: str, app: str, body: str, *, now_ms: int) -> None:
        """Remember what an SDK instance last reported. Raises: UnavailableError."""
