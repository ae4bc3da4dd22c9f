"""How a submitter's objects come in."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from evoguard.domain.change import CommitId, TreeId


class Brought(Protocol):
    """Full ids of what was brought in, resolved once."""

    @property
    def repo(self) -> str:
        """Return the name of the guard's own repository."""

    @property
    def base(self) -> CommitId:
        """Return the base commit."""

    @property
    def head(self) -> CommitId:
        """Return the head commit."""

    @property
    def tree(self) -> TreeId:
        """Return the head's tree."""


class Mirror(Protocol):
    """Copies objects; git never runs inside the submitter's repository. What is refused leaves nothing behind."""

    def trial(self) -> Mirror:
        """Return a mirror that checks everything in the same way and keeps nothing: for a dry run."""

    async def fetch(self, source: str | Path, *, head: str, base: str) -> Brought:
        """Copy head and base. Raises: InputError `repo.*`, `ref.*`, `change.*`; UnavailableError."""

    async def from_patch(self, source: str | Path, *, base: str, patch: bytes) -> Brought:
        """Make the commit of a patch on base. Raises: InputError as fetch, or `patch.*`."""

    async def pin(self, repo: str, change: str, base: CommitId, head: CommitId) -> None:
        """Keep both commits for as long as the change is known."""
