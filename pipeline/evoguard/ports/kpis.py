"""KPI evidence of a rollout."""

from __future__ import annotations

from typing import Protocol

from evoguard.domain.kpi import KpiBatch


class Kpis(Protocol):
    """Batches as routers counted them."""

    async def batches(self, change: str) -> tuple[KpiBatch, ...]:
        """Return every batch of a rollout in order of arrival. Raises: UnavailableError; no answer is never "no errors"."""
