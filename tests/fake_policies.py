"""The shipped rules, and what a test changes about them; unchanged they pass the suite of the port."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.bundle import load
from evoguard.domain.canonical import Digest, Json, digest_of
from evoguard.domain.verdict import Decision, Finding, Floor, PolicyStage


@cache
def _rules(approval: str = "{}") -> OpaWasmPolicies:
    """Return the shipped rules, compiled once a test run, with what a test wants otherwise of their `data.approval`."""
    loaded = load()
    if approval != "{}":
        data = json.loads(loaded.data)
        data["approval"] |= json.loads(approval)
        loaded = replace(loaded, data=json.dumps(data).encode())
    return OpaWasmPolicies(loaded=loaded)


@dataclass
class FakePolicies:
    """The shipped rules, and what a test changes about them; unchanged they pass the suite of the port."""

    deny: tuple[Finding, ...] = ()
    deny_admit: tuple[Finding, ...] = ()
    without: frozenset[str] = frozenset()
    """Codes of rules that are taken out: the second lock on a door whose first one a test removes."""
    quorum: int = 1
    bundle: str = ""
    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """`data.approval.owners`."""
    seats: int = 0
    """`data.approval.seats`."""
    constitution: tuple[Finding, ...] | None = None
    """What the shipped constitution denies while these rules are in force; None: they are the shipped ones."""

    @property
    def digest(self) -> Digest:
        return digest_of({"bundle": self.bundle}) if self.bundle else self._asked().digest

    @property
    def data(self) -> Mapping[str, Json]:
        return self._asked().data

    def _asked(self) -> OpaWasmPolicies:
        said = {"owners": self.owners, "seats": self.seats}
        return _rules(json.dumps({name: value for name, value in said.items() if value}))

    async def decide(self, stage: PolicyStage, question: Mapping[str, Json]) -> Decision:
        found = await self._asked().decide(stage, question)
        kept = (finding for finding in found.deny if finding.code not in self.without)
        deny = (*kept, *(self.deny if stage == "review" else self.deny_admit))
        return replace(found, allow=not deny, deny=deny, quorum=max(found.quorum, self.quorum))

    async def floor(self, stage: PolicyStage, question: Mapping[str, Json]) -> Floor | None:
        if self.constitution is None:
            return None
        found = await _rules().decide(stage, question)
        held = replace(found, allow=not self.constitution, deny=self.constitution)
        return Floor(_rules().digest, held, frozenset(finding.code for finding in self.constitution))
