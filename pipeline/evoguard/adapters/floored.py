"""People's own rules in force, and over them the constitution of those that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evoguard.adapters.opa_server import OpaServerPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.verdict import Decision, Floor, PolicyStage

CONSTITUTION = "constitution"


@dataclass(frozen=True, slots=True)
class FlooredPolicies:
    """The bundle in force; where it is not the shipped one, the shipped one is asked too (docs/adr/0007)."""

    own: OpaWasmPolicies | OpaServerPolicies
    shipped: OpaWasmPolicies
    """In process, wherever the others are asked."""

    @property
    def digest(self) -> Digest:
        """Return the identity of the bundle in force."""
        return self.own.digest

    @property
    def data(self) -> Mapping[str, Json]:
        """Return the numbers of the bundle in force; guard paths that ship stay, and weights where it has none."""
        own, shipped = self.own.data, self.shipped.data
        return {"risk": shipped["risk"], **own, "guard": {"globs": [*_globs(own), *_globs(shipped)]}}

    async def decide(self, stage: PolicyStage, question: Mapping[str, Json]) -> Decision:
        """Return what the bundle in force says. Raises: as `OpaWasmPolicies`."""
        return await self.own.decide(stage, question)

    async def floor(self, stage: PolicyStage, question: Mapping[str, Json]) -> Floor | None:
        """Return what the shipped bundle says, or None when it has just been asked. Raises: as `decide`."""
        if self.own is self.shipped:
            return None  # on a server they are asked all the same: what answers for it is not this process
        codes = self.shipped.manifest.codes
        constitution = frozenset(code for code, about in codes.items() if about["severity"] == CONSTITUTION)
        return Floor(self.shipped.digest, await self.shipped.decide(stage, question), constitution)


def _globs(data: Mapping[str, Json]) -> tuple[str, ...]:
    guard = data.get("guard")
    listed = guard.get("globs") if isinstance(guard, Mapping) else None
    return tuple(str(glob) for glob in listed) if isinstance(listed, list) else ()
