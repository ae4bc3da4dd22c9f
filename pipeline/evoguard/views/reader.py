"""What a view may ask. `wiring.reading` gives it; views open nothing themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from evoguard.domain.canonical import Digest, Json
from evoguard.domain.events import StoredEvent
from evoguard.ports.queries import ChangeRow

Doc = dict[str, Json]


class Reader(Protocol):
    """Changes and streams, those that no worker has taken up yet included."""

    async def change(self, change: str) -> ChangeRow | None:
        """Return one change, or None. One that only lies in the inbox has the status `submitted`."""

    async def changes(self, *, open_only: bool) -> tuple[ChangeRow, ...]:
        """Return changes, newest first."""

    async def filed(self, kinds: tuple[str, ...], *, after: int, limit: int) -> tuple[tuple[int, str, int], ...]:
        """Return (place in the log, stream, version) of events of these types behind a place, oldest first."""

    async def events(self, stream: str) -> tuple[StoredEvent, ...]:
        """Return a stream in order, each link proved. Raises: IntegrityError."""

    async def artifact(self, digest: Digest) -> bytes:
        """Return stored bytes, proved against the digest. Raises: IntegrityError, UnavailableError."""


def moment(at_ms: int) -> str:
    """Return unix milliseconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
