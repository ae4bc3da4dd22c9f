"""The events of `go test -json`: each package begins and ends once, each test that runs ends."""

from __future__ import annotations

import json

from evoguard_sandbox.reports.found import Found, ReportError, seconds
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import TestResult

ENDS = {"pass": "passed", "fail": "failed", "skip": "skipped"}
SILENT = frozenset({"output", "pause", "cont", "bench", "build-output", "attr", "artifacts"})
LINE_BYTES = 1 << 20


class _Reading:
    def __init__(self, most: int) -> None:
        self.found = Found(most)
        self.open: dict[str, dict[str, None]] = {}
        """The tests that run, by package; a package is here from its start to its end."""
        self.over: set[str] = set()
        self.red: set[str] = set()

    def take(self, event: dict[str, object]) -> None:
        """Read one event. Raises: ReportError when nothing can have made it in that place."""
        action, package, test = (str(event.get(key) or "") for key in ("Action", "Package", "Test"))
        if action == "build-fail":
            self.found.add([str(event.get("ImportPath") or ""), "(build)"], "error", 0.0, "it could not be built")
        elif action == "start":
            self._start(package)
        elif action == "run":
            if test in self._tests(package):
                raise ReportError(f"{shown(test, 100)} began twice")
            self.open[package][test] = None
        elif action in ENDS:
            spent = seconds(event.get("Elapsed", 0))
            self._end(package, test, action, spent) if test else self._over(package, action)
        elif action not in SILENT:
            raise ReportError(f"it holds an event that nobody knows: {shown(action, 60)}")

    def _start(self, package: str) -> None:
        if not package or package in self.open or package in self.over:
            raise ReportError(f"the package {shown(package, 100)} began twice or has no name")
        self.open[package] = {}

    def _tests(self, package: str) -> dict[str, None]:
        if package not in self.open:
            raise ReportError(f"an event of the package {shown(package, 100)} lies outside of it")
        return self.open[package]

    def _end(self, package: str, test: str, action: str, spent: float) -> None:
        tests = self._tests(package)
        if test not in tests:
            raise ReportError(f"{shown(test, 100)} ended without a beginning")
        del tests[test]
        self._add(package, test, ENDS[action], spent)

    def _over(self, package: str, action: str) -> None:
        for test in self._tests(package):
            self._add(package, test, "error", why="it never ended")
        del self.open[package]
        self.over.add(package)
        if action == "fail" and package not in self.red:  # else its tests tell why
            self._add(package, "(package)", "failed", why="the package failed, and no test of it did")

    def _add(self, package: str, test: str, outcome: str, spent: float = 0.0, *, why: str = "") -> None:
        self.found.add([package, test], outcome, spent, why)
        if outcome in ("failed", "error"):
            self.red.add(package)

    def done(self) -> tuple[TestResult, ...]:
        """Return the tests when every package ended."""
        if self.open or not self.over:
            raise ReportError(f"the package {shown(next(iter(self.open), ''), 100)} never ended")
        return self.found.done()


def read_go(data: bytes, most: int) -> tuple[TestResult, ...]:
    """Return the tests of `go test -json`. Raises: ReportError when a line is no event or a package never ended."""
    reading = _Reading(most)
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            event = json.loads(line) if len(line) <= LINE_BYTES else None
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise ReportError(f"a line of it is no event: {shown(line[:80].decode('utf-8', 'replace'))}")
        reading.take(event)
    return reading.done()
