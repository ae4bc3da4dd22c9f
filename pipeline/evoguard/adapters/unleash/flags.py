"""The Flags port with a real Unleash server behind it: decided and fenced here, served there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evoguard.adapters.unleash.admin import MEND, Unleash, agrees
from evoguard.domain.canonical import Json
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.errors import UnavailableError
from evoguard.ports.flags import Flags
from evoguard.ports.latches import Latches

Document = Callable[[FlagState, LatchBoard], dict[str, Json]]
"""How a state is served, as an Unleash document: what a latch covers is off."""


class UnleashFlags:
    """Writes go to the guard's own record first, which fences them, and then to the server, which must confirm them.

    The record is what is right; a server that was left behind, edited by hand or restored from a backup is put right by
    `follow.py`. Source: docs/adr/0013-a-real-unleash-server.md
    """

    def __init__(self, record: Flags, server: Unleash, document: Document, latches: Latches) -> None:
        self._record, self._server, self._document, self._latches = record, server, document, latches

    async def claim(self, flag: str, change: str) -> None:
        """As the port says; nothing is served by it, so the server hears nothing."""
        await self._record.claim(flag, change)

    async def write(self, state: FlagState) -> None:
        """As the port says. Raises also: UnavailableError when the server does not confirm it; then it is held."""
        await self._record.write(state)
        # A kill that was filed since then is in the document; one that is filed after it is put by `follow.py`.
        document = self._document(state, self._latches.board())
        await asyncio.to_thread(self._server.put, document)

    async def off(self, flag: str) -> None:
        """As the port says: on the server first, as nothing that is decided may keep a flag on."""
        try:
            await asyncio.to_thread(self._server.off, flag)
        finally:
            await self._record.off(flag)

    async def read(self, flag: str) -> FlagState | None:
        """Return the recorded state. Raises: UnavailableError when the server may serve more than that."""
        state = await self._record.read(flag)
        if state is not None:
            at = await asyncio.to_thread(self._server.served, flag)
            off = at is None or not at.enabled
            if not off and not agrees(at, self._document(state, LatchBoard())):
                raise UnavailableError("unleash", f"the flag {flag} is served otherwise than it was decided", fix=MEND)
        return state
