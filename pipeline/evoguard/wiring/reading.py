"""The views' reader over the opened state."""

from __future__ import annotations

import json

from evoguard.adapters.git.sources import GitSources
from evoguard.adapters.sqlite.queries import SqliteWaker
from evoguard.domain.canonical import Digest
from evoguard.domain.change import CommitId
from evoguard.domain.events import StoredEvent
from evoguard.ports.inbox import Message
from evoguard.ports.queries import ChangeRow
from evoguard.wiring.state import Opened


class Reading:
    """Changes as the projections have them, and those that only lie in the inbox."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    async def change(self, change: str) -> ChangeRow | None:
        """Return one change, or None."""
        return await self._opened.queries.change(change) or await self._unfiled(change)

    async def changes(self, *, open_only: bool) -> tuple[ChangeRow, ...]:
        """Return changes, newest first."""
        filed = await self._opened.queries.changes(open_only=open_only)
        known = {row.id for row in filed}
        pending = await SqliteWaker(self._opened.con).ready(0)
        rows = [await self.change(change) for change in pending if change not in known]
        return (*(row for row in rows if row is not None and row.status == "submitted"), *filed)

    async def filed(self, kinds: tuple[str, ...], *, after: int, limit: int) -> tuple[tuple[int, str, int], ...]:
        """Return (place in the log, stream, version) of events of these types behind a place, oldest first."""
        return await self._opened.queries.filed(kinds, after=after, limit=limit)

    async def events(self, stream: str) -> tuple[StoredEvent, ...]:
        """Return a stream in order. Raises: IntegrityError."""
        return await self._opened.queries.events(stream)

    async def artifact(self, digest: Digest) -> bytes:
        """Return stored bytes. Raises: IntegrityError, UnavailableError."""
        return await self._opened.artifacts.get(digest)

    async def _unfiled(self, change: str) -> ChangeRow | None:
        pending = await self._opened.inbox.pending(change)
        return next((_row(message) for message in pending if message.kind == "submit"), None)


async def patch_of(opened: Opened, row: ChangeRow, *, most_bytes: int) -> tuple[str, bool]:
    """Return a change's patch from the guard's own repository, and whether it was cut off. Raises: InputError."""
    sources = GitSources(opened.settings.repos_dir)
    return await sources.patch(row.repo, CommitId(row.base), CommitId(row.head), most_bytes=most_bytes)


def _row(message: Message) -> ChangeRow:
    """Return what an unread submission claims of itself; nothing of it is proved yet."""
    try:
        doc = json.loads(message.body)["proposal"]
        repo, author, intent, base, head = (str(doc[name]) for name in ("repo", "author", "intent", "base", "head"))
    except (ValueError, KeyError, TypeError):
        repo = author = intent = base = head = ""
    return ChangeRow(
        message.change, "submitted", repo, "", "", author, intent, base, head, "", 0, message.at, message.at,
        "no worker has taken it up yet",
    )  # fmt: skip
