"""What one sandbox's reports say, read as claims of the accused: bounded, checked for form, judged elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evoguard_sandbox.rooms.box import Seen
from evoguard_sandbox.shown import shown, shown_name
from evoguard_sandbox.types import Behaviour, Outcome, TestResult, Usage

OUTCOMES = frozenset({"passed", "failed", "error", "skipped", "xfailed", "xpassed"})
ID_CHARS, PLUGGED_CHARS, MOST_KINDS = 1100, 20_000, 100_000


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run of a suite. `end_status` is the test process's own claim, `exit_status` what the guest's kernel says."""

    outcome: Outcome = "void"
    why: str = ""
    found: int | None = None
    tests: tuple[TestResult, ...] = ()
    uncollected: tuple[tuple[str, str], ...] = ()
    end_status: int | None = None
    exit_status: int | None = None
    forged: str = ""
    patched: str = ""
    plugged: str = ""
    """What a plugin that the base names put into `unittest.mock`: `name=function` each."""
    broke: str = ""
    running: str = ""
    """The test that had been begun when the last report came; nothing where all had ended."""
    calls: int = 0
    """How many calls went to the candidate's process, in a split run."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """What kind of answer each use of the code got there (`guest/split_kinds.py`)."""
    behaviour: Behaviour = field(default_factory=lambda: Behaviour("not recorded", "nothing was run"))
    kernel: str = ""
    limits_mode: str = ""
    wall_ms: int = 0
    output: str = ""
    errors: str = ""
    """What it wrote to standard error, where pytest says why it does not even start."""
    usage: Usage = field(default_factory=Usage)
    isolation: str = ""
    """"gvisor" when that was proved, an `unsafe-` name, or nothing."""
    reached: tuple[str, ...] = ()
    """Which of the guest's own limits were reached (`box.Seen.reached`)."""

    def outcome_of(self) -> dict[str, str]:
        """Return each test's outcome by its id."""
        return {test.id: test.outcome for test in self.tests}

    @property
    def ended_early(self) -> bool:
        """Tell whether the test process ended in any way but by its own last report."""
        unended = self.end_status is None or self.end_status != self.exit_status
        return self.outcome == "finished" and (unended or bool(self.broke))


class _Reading:
    def __init__(self, token: str) -> None:
        self.token = token
        self.number = 0
        self.tests: dict[str, TestResult] = {}
        self.uncollected: list[tuple[str, str]] = []
        self.found: int | None = None
        self.end: int | None = None
        self.forged = self.patched = self.plugged = self.broke = ""
        self.calls = 0
        self.running = ""
        self.kinds: dict[str, int] = {}

    def take(self, payload: bytes) -> None:
        """Read one report; the first thing wrong with any is kept, and the report is not believed."""
        try:
            report = json.loads(payload)
            if not isinstance(report, dict) or report.pop("key", None) != self.token:
                raise ValueError("a report without this run's key")
            if self.end is not None:
                raise ValueError("a report after the last one")
            if report.get("n") != self.number:
                raise ValueError("a report out of sequence or repeated")
            self.number += 1
            self.believe(report)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as err:
            text = str(err) if type(err) is ValueError else "bytes that are no report"
            self.forged = self.forged or text

    def believe(self, report: dict[str, Any]) -> None:
        """Keep what a well-formed report says. Raises: ValueError when it says something twice or nothing known."""
        kind = report["k"]
        if kind == "test":
            test = TestResult(
                shown_name(str(report["id"]), ID_CHARS), str(report["o"]), int(report["ms"]), shown(str(report["why"]))
            )
            if test.outcome not in OUTCOMES:
                raise ValueError("an outcome that pytest does not have")
            if test.id in self.tests:
                raise ValueError(f"two reports of one test, {test.id}")
            self.tests[test.id] = test
            self.running = shown_name(str(report.get("next", "")), ID_CHARS)
        elif kind in ("found", "calls"):
            setattr(self, kind, int(report["count"]))
            self.running = shown_name(str(report.get("next", self.running)), ID_CHARS)
        elif kind == "kinds" and len(self.kinds) < MOST_KINDS:
            self.kinds |= {str(key): int(level) for key, level in report["seen"].items()}
        elif kind == "uncollected":
            self.uncollected.append((shown_name(str(report["id"]), ID_CHARS), shown(str(report["why"]))))
        elif kind in ("patched", "broke"):
            said = shown(str(report["what" if kind == "patched" else "why"]))
            setattr(self, kind, getattr(self, kind) or said)
        elif kind == "plugged":
            self.plug(shown(str(report["what"]), PLUGGED_CHARS))
        elif kind == "end":
            self.end = int(report["status"])
        else:
            raise ValueError("a report of an unknown kind")

    def plug(self, what: str) -> None:
        """Keep what a plugin replaced. Raises: ValueError when that was something else before."""
        if self.plugged not in ("", what):
            raise ValueError("a plugin's patches that changed while tests ran")
        self.plugged = what


def read(seen: Seen, token: str) -> RunFacts:
    """Return what `seen` tells of a suite; `token` is the key each true report carries."""
    reading = _Reading(token)
    for payload in seen.reports:
        reading.take(payload)
    return RunFacts(
        outcome=seen.outcome,
        why=seen.why,
        found=reading.found,
        tests=tuple(reading.tests.values()),
        uncollected=tuple(reading.uncollected[:100]),
        end_status=reading.end,
        exit_status=seen.exit_status,
        forged=seen.garbage or reading.forged,
        patched=reading.patched,
        plugged=reading.plugged,
        broke=reading.broke,
        calls=reading.calls,
        running=reading.running,
        kinds=reading.kinds,
        behaviour=seen.behaviour,
        kernel=seen.kernel,
        limits_mode=seen.limits_mode,
        wall_ms=seen.wall_ms,
        output=shown_lines(bytes(seen.out[-4096:])),
        errors=shown_lines(bytes(seen.err[-4096:])),
        usage=seen.usage,
        isolation=seen.isolation,
        reached=seen.reached,
    )


def shown_lines(data: bytes) -> str:
    """Return the end of an output as lines that are safe to show."""
    return "\n".join(shown(line) for line in data.decode("utf-8", "replace").splitlines()[-60:])
