"""What was seen in one isolated run of a candidate's tests, bound to the tree that was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evoguard.domain.canonical import Json
from evoguard.domain.verdict import Finding, findings_json

Assurance = Literal["visible-only", "split", "held-out"]
Behaviour = Literal["recorded", "incomplete", "not recorded"]


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test's outcome in the sandbox."""

    __test__ = False  # the name is the field's; pytest must not collect it

    id: str
    outcome: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What sandboxes took, or what one may take: memory at its highest, processor time, tasks, wall time; 0: not known.

    As a limit, `cpu_ms` is 0: processor time is bounded by the process, not by the run.
    """

    memory_bytes: int = 0
    cpu_ms: int = 0
    tasks: int = 0
    wall_ms: int = 0

    def as_json(self) -> dict[str, Json]:
        """Return the numbers as plain JSON."""
        return {
            "memory_bytes": self.memory_bytes, "cpu_ms": self.cpu_ms, "tasks": self.tasks, "wall_ms": self.wall_ms,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts of a run. `passed` was computed outside the tested code; empty evidence proves nothing."""

    tree: str
    passed: bool
    isolation: str
    """`gvisor` only when the sandbox proved it from inside, an `unsafe-` name that the settings chose, else empty."""
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
    verdict: str = ""
    """`pass`, `fail`, `tamper` or `void`, as the sandbox's rules said."""
    assurance: Assurance = "visible-only"
    """What judged: tests that the author can read, also apart from the code, or tests that nobody can read."""
    layer: str = ""
    """The digest of the dependency layer that the tests ran with; empty when the project has no lock."""
    notes: tuple[str, ...] = ()
    """What people should know and no rule decides by."""
    split: int = 0
    """How many expected tests also ran apart from the code; `unproven`: for how many no mutant was seen to fail."""
    unproven: int = 0
    wall_ms: int = 0
    review: tuple[Finding, ...] = ()
    """What no layer can prove and people should look at; no reason for a no by itself."""
    compared: tuple[int, ...] = (0, 0)
    """How many calls, to how many functions, were made on base and candidate for that."""
    unstable: tuple[str, ...] = ()
    """The base's tests that do not come out the same each time, as the runs showed; they judge nothing."""
    usage: Usage = field(default_factory=Usage)
    """What the sandboxes took: the highest of all, processor time summed. `limits`: what one may take."""
    limits: Usage = field(default_factory=Usage)

    @property
    def green(self) -> bool:
        """Tell whether tests ran, all expected ones, none failed, with no finding, in a room that has a name.

        Which rooms count is the policies' word (`evidence.not_isolated`); a room that proved nothing has no name.
        """
        return (
            self.passed
            and (self.isolation == "gvisor" or self.isolation.startswith("unsafe-"))
            and self.run > 0
            and self.run >= self.expected
            and self.failed == 0
            and not self.findings
        )

    @property
    def review_codes(self) -> tuple[str, ...]:
        """The codes of what people should look at, each once, in order."""
        return tuple(sorted({finding.code for finding in self.review}))

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
            "verdict": self.verdict,
            "assurance": self.assurance,
            "layer": self.layer,
            "notes": list(self.notes),
            "split": self.split,
            "unproven": self.unproven,
            "review": findings_json(self.review),
            "compared": list(self.compared),
            "unstable": list(self.unstable),
            "usage": self.usage.as_json(),
            "limits": self.limits.as_json(),
        }


def review_codes(doc: Mapping[str, Json]) -> list[Json]:
    """Return the codes of what people should look at in stored evidence; older evidence names none."""
    found = doc.get("review")
    rows = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [*sorted({str(row.get("code")) for row in rows if isinstance(row, Mapping)})]
