"""Who reads flags."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.clients import Roll
from evoguard.errors import UnavailableError


class Clients(Protocol):
    """The clients that the flag server remembers."""

    async def roll(self) -> Roll:
        """Return everybody at one moment. Raises: UnavailableError (`unavailable.clients`)."""


class NoClients:
    """Nobody can be asked: nothing is widened."""

    async def roll(self) -> Roll:
        """Raises: UnavailableError."""
        raise UnavailableError("clients", "no flag server is named")
