"""Flags as the rollout controller writes them; reading is the SDKs' business."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.flag import FlagState


class Flags(Protocol):
    """Flag documents, fenced by the kill epoch."""

    async def write(self, state: FlagState) -> None:
        """Make `state` what is served; writing it twice is writing it once.

        Raises: FencedError when a kill covers the flag since `state.epoch`; InputError when another component owns it.
        """

    async def off(self, flag: str) -> None:
        """Turn the flag off, keeping its payload; a flag that is off or unknown stays so. Needs no epoch."""

    async def read(self, flag: str) -> FlagState | None:
        """Return the stored state, or None."""
