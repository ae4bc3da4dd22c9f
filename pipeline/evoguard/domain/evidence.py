"""What was seen in one isolated run of a candidate's tests, bound to the tree that was run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json
from evoguard.domain.verdict import Finding, findings_json

Behaviour = Literal["recorded", "incomplete", "not recorded"]


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test's outcome in the sandbox."""

    __test__ = False  # the name is the field's; pytest must not collect it

    id: str
    outcome: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts of a run. `passed` was computed outside the tested code; empty evidence proves nothing."""

    tree: str
    passed: bool
    isolation: str
    """`gvisor` only when the sandbox proved it from inside, else empty."""
    behaviour: Behaviour
    expected: int
    run: int
    failed: int
    tests: tuple[TestResult, ...]
    findings: tuple[Finding, ...]
    record: tuple[str, ...] = ()
    """The behaviour record taken outside the guest, one line an event, bounded."""
    added: int = 0
    """How many of `tests` are the candidate's own new ones; they can only add failures."""
    runtime: str = ""
    wall_ms: int = 0

    @property
    def green(self) -> bool:
        """Tell whether tests ran, all expected ones, none failed, in gVisor, with no finding."""
        return (
            self.passed
            and self.isolation == "gvisor"
            and self.run > 0
            and self.run >= self.expected
            and self.failed == 0
            and not self.findings
        )

    def as_json(self) -> dict[str, Json]:
        """Return the evidence as plain JSON, the form that is stored and named by digest."""
        return {
            "tree": self.tree,
            "passed": self.passed,
            "isolation": self.isolation,
            "behaviour": self.behaviour,
            "expected": self.expected,
            "run": self.run,
            "failed": self.failed,
            "tests": [{"id": t.id, "outcome": t.outcome, "duration_ms": t.duration_ms} for t in self.tests],
            "findings": findings_json(self.findings),
            "record": list(self.record),
            "added": self.added,
            "runtime": self.runtime,
            "wall_ms": self.wall_ms,
        }
