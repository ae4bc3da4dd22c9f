"""TAP, versions 12 to 14, with subtests and YAML blocks: strict where a lenient reader would lose a test."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from evoguard_sandbox.reports.found import Found, ReportError, TooManyError, seconds
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import TestResult

MOST_DEPTH, LINE_CHARS, INDENT = 16, 4096, 4
POINT = re.compile(r"(not )?ok\b[ \t]*(\d{1,9})?[ \t]*(?:- )?(.*)")
PLAN = re.compile(r"1\.\.(\d{1,9})[ \t]*(#.*)?")
DIRECTIVE = re.compile(r"(?<!\\)(?:\\\\)*#[ \t]*(skip|todo)\b\S*[ \t]*(.*)", re.IGNORECASE)
DURATION = re.compile(r"duration_ms: ([0-9.]{1,30})")


@dataclass(slots=True)
class _Test:
    parts: list[str]
    outcome: str
    why: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class _Level:
    """One stream of test points; its children wait for the point that names them."""

    plan: int | None = None
    closed: bool = False
    """A plan after the first point ends its level."""
    points: int = 0
    tests: list[_Test] = field(default_factory=list)
    children: list[_Test] = field(default_factory=list)


class _Reading:
    def __init__(self, most: int) -> None:
        self.found = Found(most)
        self.levels = [_Level()]
        self.block = -1
        self.count = 0

    def take(self, line: str) -> None:
        """Read one line; what is no TAP is skipped, as the format wants it: a lost point breaks its level's plan."""
        bare = line.lstrip(" ")
        indent = len(line) - len(bare)
        if self.block >= 0:
            self._in_block(indent, bare)
        elif bare.rstrip() == "---" and indent == (len(self.levels) - 1) * INDENT + 2:
            self.block = indent
        elif bare.startswith("Bail out!"):
            raise ReportError(f"the tests gave up: {shown(bare[9:].strip(), 100)}")
        elif indent % INDENT == 0:
            self._at(indent // INDENT, bare)

    def _in_block(self, indent: int, bare: str) -> None:
        if indent == self.block and bare.rstrip() == "...":
            self.block = -1
        elif indent == self.block and (told := DURATION.match(bare)) and self.levels[-1].tests:
            self.levels[-1].tests[-1].seconds = seconds(told[1]) / 1000

    def _at(self, depth: int, bare: str) -> None:
        point, plan = POINT.fullmatch(bare), PLAN.fullmatch(bare)
        if point is None and plan is None:
            return
        if depth > MOST_DEPTH:
            raise ReportError("its subtests are nested too deeply")
        while len(self.levels) > depth + 1:
            self._close()
        while len(self.levels) < depth + 1:
            self.levels.append(_Level())
        if plan is not None:
            self._plan(self.levels[-1], int(plan[1]))
        elif point is not None:
            self._point(self.levels[-1], point)

    def _plan(self, level: _Level, count: int) -> None:
        if level.plan is not None:
            raise ReportError("it holds two plans")
        level.plan, level.closed = count, level.points > 0

    def _point(self, level: _Level, point: re.Match[str]) -> None:
        level.points += 1
        self.count += 1
        if level.closed:
            raise ReportError("it holds a test after the plan that ended them")
        if point[2] is not None and int(point[2]) != level.points:
            raise ReportError(f"its test number {level.points} says it is number {int(point[2])}")
        if self.count > self.found.most:
            raise TooManyError(f"it holds more than {self.found.most} tests")
        name, outcome, why = _told(point[3], bad=bool(point[1]))
        children, level.children = level.children, []
        level.tests += [_Test([name, *child.parts], child.outcome, child.why, child.seconds) for child in children]
        level.tests.append(_Test([name], outcome, why))

    def _close(self) -> None:
        level = self.levels.pop()
        if level.plan != level.points:
            raise ReportError(f"{level.points} tests came of the {level.plan or 'unknown number'} that were planned")
        if level.children:
            raise ReportError("a subtest belongs to no test")
        if self.levels:
            self.levels[-1].children += level.tests

    def done(self) -> tuple[TestResult, ...]:
        """Return the tests when every level is whole."""
        if self.block >= 0:
            raise ReportError("it ends in the middle of a block")
        last = self.levels[0]
        while self.levels:
            self._close()
        for test in last.tests:
            self.found.add(test.parts, test.outcome, test.seconds, test.why)
        return self.found.done()


def _told(text: str, *, bad: bool) -> tuple[str, str, str]:
    """Return a point's name, outcome and reason."""
    directive = DIRECTIVE.search(text)
    name = (text[: directive.start()] if directive else text).strip()
    name = re.sub(r"\\([#\\])", r"\1", name)
    if directive is None:
        return name, "failed" if bad else "passed", ""
    if directive[1].lower() == "todo":
        return name, "xfailed" if bad else "xpassed", directive[2]
    return name, "failed" if bad else "skipped", directive[2]


def read_tap(data: bytes, most: int) -> tuple[TestResult, ...]:
    """Return the tests of a TAP stream.

    Raises: ReportError when a plan is absent or not kept, numbers are out of order, or the tests gave up.
    """
    reading = _Reading(most)
    for line in data.decode("utf-8", "replace").split("\n"):
        reading.take(line.removesuffix("\r")[:LINE_CHARS])
    return reading.done()
