"""KPI evidence of a rollout."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.kpi import KpiBatch


class Kpis(Protocol):
    """Batches as routers counted them."""

    async def batches(self, change: str) -> tuple[KpiBatch, ...]:
        """Return a rollout's batches as they came. Raises: UnavailableError; no answer is never "no errors"."""
