"""Content-addressed store of evidence, decisions and bundles."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.canonical import Digest


class Artifacts(Protocol):
    """Bytes by digest; what is stored never changes."""

    async def put(self, raw: bytes) -> Digest:
        """Store bytes durably and return their digest. Raises: UnavailableError when the disk refuses."""

    async def get(self, digest: Digest) -> bytes:
        """Return the bytes, proved against the digest. Raises: IntegrityError when missing or changed."""
