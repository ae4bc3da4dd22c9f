"""What the flag server needs of database and operator's file; a method may be slow or fail, and serving goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from evoguard.domain.flag import FlagState


class FlagStore(Protocol):
    """Called from worker threads, several at once; no call may wait longer than a moment."""

    def rows(self) -> tuple[int, tuple[FlagState, ...]]:
        """Return the newest revision and every flag, from one instant. Raises: EvoguardError when unreadable."""

    def guarded(self) -> frozenset[str]:
        """Return the flag of every change that there ever was, served or not. Raises: EvoguardError when unreadable."""

    def unguarded(self) -> bytes | None:
        """Return the operator's own features document, the very same object while nothing changed; None without one.

        Raises: EvoguardError when it is there and cannot be read.
        """

    def tokens(self) -> Mapping[str, tuple[str, str]]:
        """Return sha256 hex of each token → (kind, what it is good for). Raises: EvoguardError when unreadable.

        The second is a kpi.write token's assurance, and the environment of a token that reads.
        """

    def store_kpi(self, batch_json: bytes, assurance: str, *, now_ms: int) -> Literal["stored", "repeated"]:
        """Keep a batch, once. Raises: InputError (`kpi.*`) for a bad one, UnavailableError when nothing was stored."""

    def seen(self, instance: str, app: str, body: str, *, now_ms: int) -> None:
        """Remember what an SDK instance last reported. Raises: UnavailableError."""
