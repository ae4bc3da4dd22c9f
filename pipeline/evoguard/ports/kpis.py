"""KPI evidence of a rollout."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.fold import StageEntry, Tally
from evoguard.domain.kpi import KpiBatch
from evoguard.domain.rollout import Plan


class Kpis(Protocol):
    """Batches as routers counted them."""

    async def batches(self, change: str) -> tuple[KpiBatch, ...]:
        """Return a rollout's batches as they came. Raises: UnavailableError; no answer is never "no errors"."""

    async def tally(self, plan: Plan, entries: tuple[StageEntry, ...], *, now_ms: int) -> Tally:
        """Return what all batches of the plan's rollout say at `now_ms`; `tally_of` over `batches` gives the same.

        Called at every look, so it should cost what arrived since the last one. Raises: as `batches`; ValueError when
        no stage was entered.
        """
