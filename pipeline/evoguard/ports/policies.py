"""The policies' verdict on a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evoguard.domain.canonical import Digest, Json
from evoguard.domain.verdict import Decision, Floor, PolicyStage


class Policies(Protocol):
    """One bundle of rules, named by digest."""

    @property
    def digest(self) -> Digest:
        """Return the identity of rules, data, capabilities and engine."""

    @property
    def data(self) -> Mapping[str, Json]:
        """Return the numbers and lists of the rules: weights, places and guard paths, before anything is decided."""

    async def decide(self, stage: PolicyStage, question: Mapping[str, Json]) -> Decision:
        """Return the decision. Raises: UnavailableError for no verdict, InputError for a bad question."""

    async def floor(self, stage: PolicyStage, question: Mapping[str, Json]) -> Floor | None:
        """Return what the shipped constitution says to the same question; None when the shipped rules are in force.

        Raises: as `decide`.
        """
