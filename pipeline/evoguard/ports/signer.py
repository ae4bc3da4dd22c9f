"""Signing and verifying attestations and people's commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evoguard.domain.canonical import Json
from evoguard.domain.identity import Command, Identity


class Signer(Protocol):
    """The service's own key, and everybody's public ones."""

    async def attest(self, statement: Mapping[str, Json]) -> bytes:
        """Return a Sigstore bundle v0.3 over an in-toto statement. Raises: ConfigError when the key is unusable."""

    async def verify(self, bundle: bytes) -> Mapping[str, Json]:
        """Return the statement of a bundle as a stranger with the public key alone would. Raises: IntegrityError."""

    async def command(self, envelope: str, identity: Identity) -> Command:
        """Return the command in a DSSE envelope signed by exactly this identity. Raises: AuthError, InputError."""
