"""The isolated run of a candidate's tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evoguard.domain.evidence import Evidence
from evoguard.ports.forge import Blob


class Sandbox(Protocol):
    """Where untrusted code runs; without gVisor nothing does."""

    async def run(self, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob]) -> Evidence:
        """Run base's tests, and the candidate's new ones, over the candidate's source once. Red is Evidence.

        Raises: UnavailableError when no isolated run took place.
        """
