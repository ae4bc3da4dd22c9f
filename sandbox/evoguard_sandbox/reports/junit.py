"""JUnit XML, read without a DTD, without entities and within bounds of depth and number."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from evoguard_sandbox.reports.found import Found, ReportError, seconds
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import TestResult

MOST_DEPTH, MOST_ELEMENTS = 64, 2_000_000
SUITES = frozenset({"testsuites", "testsuite"})
RAN = frozenset({"", "run", "passed", "success", "completed"})
NOT_RUN = frozenset({"notrun", "skipped", "disabled"})
SILENT = frozenset({"system-out", "system-err", "properties"})
RED = {"failure": "failed", "error": "error"}
TREE = "/room/tree/"


@dataclass(slots=True)
class _Case:
    parts: list[str]
    seconds: float
    marks: dict[str, str] = field(default_factory=dict)
    """What stands in it: element → message."""
    odd: str = ""
    todo: bool = False

    def outcome(self) -> tuple[str, str]:
        """Return the outcome and why; an element that nobody knows makes it an error."""
        if self.odd:
            return "error", f"it holds what a plain test does not: {self.odd}"
        red = next((kind for kind in ("error", "failure") if kind in self.marks), "")
        if "skipped" in self.marks and (self.todo or not red):
            todo = "xfailed" if red else "xpassed"
            return (todo if self.todo else "skipped"), self.marks["skipped"]
        return (RED[red], self.marks[red]) if red else ("passed", "")


@dataclass(slots=True)
class _Suite:
    name: str
    said_red: bool
    red: bool = False


class _Reading:
    def __init__(self, most: int) -> None:
        self.found = Found(most)
        self.suites: list[_Suite] = []
        self.case: _Case | None = None
        self.depth = self.elements = self.inside = 0

    def refuse(self, *_: object) -> int:
        raise ReportError("it declares a document type or an entity")

    def start(self, name: str, held: dict[str, str]) -> None:
        self.depth, self.elements = self.depth + 1, self.elements + 1
        if self.depth > MOST_DEPTH or self.elements > MOST_ELEMENTS:
            raise ReportError("it is nested too deeply or holds too many elements")
        if self.depth == 1 and name not in SUITES:
            raise ReportError(f"its root is {shown(name, 60)}, not testsuites or testsuite")
        if self.inside:
            self.inside += 1
        elif self.case is not None:
            self._mark(self.case, name, held)
        elif name in SUITES:
            said = any(held.get(key, "0").strip() not in ("0", "") for key in ("failures", "errors"))
            self.suites.append(_Suite(held.get("name", "") if name == "testsuite" else "", said))
        elif name == "testcase":
            self.case = self._case(held)
        elif name in RED:
            self._red(name, held.get("message", ""))
            self.inside = 1
        elif name in SILENT:
            self.inside = 1
        else:
            raise ReportError(f"it holds an element {shown(name, 60)} among its tests")

    def end(self, _name: str) -> None:
        self.depth -= 1
        if self.inside:
            self.inside -= 1
        elif self.case is not None:
            case, self.case = self.case, None
            outcome, why = case.outcome()
            self.found.add(case.parts, outcome, case.seconds, why)
            self._turn_red(outcome)
        else:
            suite = self.suites.pop()
            if suite.said_red and not suite.red:
                raise ReportError(f"the suite {shown(suite.name, 60)} counts failures that it does not show")

    def _case(self, held: dict[str, str]) -> _Case:
        path = held.get("file", "").removeprefix(TREE)
        suites = [suite.name for suite in self.suites if suite.name and suite.name != path]
        group = held.get("classname", "")
        groups = [group] if group and group not in suites[-1:] else []
        case = _Case([path, *suites, *groups, held.get("name", "")], seconds(held.get("time", "0")))
        status = held.get("status", "").lower()
        if status in NOT_RUN:
            case.marks["skipped"] = status
        elif status not in RAN:
            case.odd = f"the status {status}"
        return case

    def _mark(self, case: _Case, name: str, held: dict[str, str]) -> None:
        if name in ("failure", "error", "skipped"):
            case.marks.setdefault(name, held.get("message", ""))
            case.todo = case.todo or (name == "skipped" and held.get("type") == "todo")
        elif name not in SILENT:
            case.odd = case.odd or name
        self.inside = 1

    def _red(self, kind: str, why: str) -> None:
        self.found.add([*(suite.name for suite in self.suites), "(the suite itself)"], RED[kind], 0.0, why)
        self._turn_red(RED[kind])

    def _turn_red(self, outcome: str) -> None:
        if outcome in ("failed", "error", "xfailed"):  # runners differ in whether an expected failure counts
            for suite in self.suites:
                suite.red = True


def read_junit(data: bytes, most: int) -> tuple[TestResult, ...]:
    """Return the tests of a JUnit report.

    Raises: ReportError when it is no whole XML document in UTF-8, declares a document type, is nested too deeply, or
    counts failures that it does not show.
    """
    reading = _Reading(most)
    parser = expat.ParserCreate("utf-8")  # whatever encoding the document claims
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reading.refuse
    parser.ExternalEntityRefHandler = parser.SkippedEntityHandler = reading.refuse
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    try:
        data.decode("utf-8")  # a byte order mark would overrule what the parser was told
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeDecodeError) as err:
        raise ReportError(f"it is not a whole XML document: {shown(str(err), 100)}") from err
    return reading.found.done()
