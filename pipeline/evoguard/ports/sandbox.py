"""The isolated run of a candidate's tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evoguard.domain.evidence import Evidence
from evoguard.ports.forge import Blob


class Sandbox(Protocol):
    """Where untrusted code runs; without gVisor nothing does."""

    async def run(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence:
        """Judge the candidate by the base's tests, its own new ones and the held-out ones. Red is Evidence.

        `lock` names the base's requirements file; what it pins is installed for the tests, also for the candidate's.

        Raises: UnavailableError when no isolated run took place.
        """

    def held_out(self, repo: str) -> bool:
        """Tell whether this repository is judged by tests that no agent can read."""

    async def close(self) -> None:
        """Give back what stands ready; a later run takes longer and is no different."""
