"""The store that services load versions from, by digest."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.canonical import Digest
from evoguard.errors import UnavailableError


class VersionStore(Protocol):
    """Versions by digest. What is pinned is never cleaned up."""

    async def keep(self, raw: bytes) -> Digest:
        """Store a version's bytes durably and return their digest. Raises: UnavailableError."""

    async def pin(self, flag: str, known_good: Digest, candidate: Digest | None = None) -> None:
        """Make `known_good` what callers of the flag get whenever nobody can say otherwise, and keep both.

        Going back to an earlier known-good forgets the later ones. Pinning twice is pinning once.
        Raises: IntegrityError when the store does not hold them; UnavailableError.
        """


class NoVersions:
    """No store: where a component rolls out versions, nothing goes on."""

    async def keep(self, raw: bytes) -> Digest:  # noqa: ARG002  (a port's words)
        """Raise UnavailableError."""
        raise UnavailableError("versions", "there is no store of versions")

    async def pin(self, flag: str, known_good: Digest, candidate: Digest | None = None) -> None:  # noqa: ARG002
        """Raise UnavailableError."""
        raise UnavailableError("versions", "there is no store of versions")
