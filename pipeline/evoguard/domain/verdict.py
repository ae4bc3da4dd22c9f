"""What a gate answers: findings and a decision. A "no" is a value with reasons, never an exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json

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


def findings_json(findings: Iterable[Finding]) -> list[Json]:
    """Return findings as a JSON list."""
    return [finding.as_json() for finding in findings]
