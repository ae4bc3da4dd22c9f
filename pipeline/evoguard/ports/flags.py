"""Flags as the rollout controller writes them; reading is the SDKs' business."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.flag import FlagState


class Flags(Protocol):
    """Flag documents, fenced by the kill epoch. A flag belongs to its change for as long as that change is open."""

    async def claim(self, flag: str, change: str) -> None:
        """Make the flag the change's before anything is published; what is served stays as it is.

        Of two changes that claim it at once, one does; claiming twice is claiming once. Needs no epoch, for it turns
        nothing on. Raises: InputError `flag.taken` while another open change has claimed it or is what it shows.
        """

    async def write(self, state: FlagState) -> None:
        """Make `state` what is served; writing it twice is writing it once.

        Raises: FencedError when a kill covers the flag since `state.epoch`; InputError `flag.claimed` when another
        component owns it, `flag.taken` while another open change has it.
        """

    async def off(self, flag: str) -> None:
        """Turn the flag off, keeping its payload; a flag that is off or unknown stays so. Needs no epoch."""

    async def read(self, flag: str) -> FlagState | None:
        """Return the stored state, or None."""
