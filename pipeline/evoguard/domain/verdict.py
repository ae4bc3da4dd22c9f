"""What a gate answers: findings and a decision. A "no" is a value with reasons, never an exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from evoguard.domain.canonical import Digest, Json

PolicyStage = Literal["review", "admit"]
"""`review` is asked before people are, `admit` again with the approvals in hand."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to say no: a stable public code `area.rule`, a message, and where."""

    code: str
    msg: str
    path: str = ""
    term: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the finding as plain JSON."""
        return {"code": self.code, "msg": self.msg, "path": self.path, "term": self.term}


@dataclass(frozen=True, slots=True)
class Decision:
    """The policies' answer. `allow` was proved by the engine; everything else explains it."""

    allow: bool
    deny: tuple[Finding, ...]
    escalate: tuple[Finding, ...]
    quorum: int
    notes: tuple[Finding, ...]
    rules_seen: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """Return the decision as plain JSON, the shape that is stored and signed."""
        return {
            "allow": self.allow,
            "deny": findings_json(self.deny),
            "escalate": findings_json(self.escalate),
            "quorum": self.quorum,
            "notes": findings_json(self.notes),
            "rules_seen": list(self.rules_seen),
        }


@dataclass(frozen=True, slots=True)
class Floor:
    """What the bundle that ships says while another one is in force: its constitution holds over every other."""

    bundle: Digest
    decision: Decision
    constitution: frozenset[str]
    """The codes that no other bundle lifts."""

    def under(self, decision: Decision) -> Decision:
        """Return the decision with the constitution's refusals and the higher quorum."""
        more = tuple(f for f in self.decision.deny if f.code in self.constitution and f not in decision.deny)
        quorum = max(decision.quorum, self.decision.quorum)
        return replace(decision, allow=decision.allow and not more, deny=(*decision.deny, *more), quorum=quorum)

    def as_json(self) -> dict[str, Json]:
        """Return what is stored beside the decision, so that both can be made again."""
        codes: list[Json] = [*sorted(self.constitution)]
        return {"bundle": self.bundle, "constitution": codes, "decision": self.decision.as_json()}


def findings_json(findings: Iterable[Finding]) -> list[Json]:
    """Return findings as a JSON list."""
    return [finding.as_json() for finding in findings]
