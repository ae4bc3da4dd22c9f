"""What a foreign test command reports about itself: bounded results from bytes that the accused wrote."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from evoguard_sandbox.shown import shown, shown_name
from evoguard_sandbox.types import TestResult

MOST_TESTS = 200_000
ID_CHARS, PART_CHARS = 1100, 500
MOST_MS = 10**9


class ReportError(Exception):
    """A report that proves nothing: unreadable, cut short, or at odds with itself. The text is safe to show."""


class TooManyError(ReportError):
    """A report with more tests than the bound allows."""


class Found:
    """The tests of one report in their order, at most `most`; a name that comes again is numbered."""

    def __init__(self, most: int) -> None:
        self.most = min(most, MOST_TESTS)
        self.tests: dict[str, TestResult] = {}
        self._again: Counter[str] = Counter()

    def add(self, parts: Sequence[str], outcome: str, seconds: float = 0.0, why: str = "") -> None:
        """Keep one test; its id is its parts, escaped, joined with `::`. Raises: TooManyError."""
        if len(self.tests) >= self.most:
            raise TooManyError(f"it holds more than {self.most} tests")
        whole = "::".join(shown_name(part, PART_CHARS) for part in parts if part)
        name = plain = shown_name(whole or "(no name)", ID_CHARS)
        while name in self.tests:
            self._again[plain] += 1
            name = f"{plain} ({self._again[plain] + 1})"
        ms = min(int(seconds * 1000), MOST_MS) if math.isfinite(seconds) and 0 < seconds < MOST_MS else 0
        self.tests[name] = TestResult(name, outcome, ms, shown(why.strip()))

    def done(self) -> tuple[TestResult, ...]:
        """Return the tests."""
        return tuple(self.tests.values())


Reader = Callable[[bytes, int], tuple[TestResult, ...]]
"""Reads a report of at most so many tests. Raises: ReportError."""


def seconds(text: object) -> float:
    """Return a duration as a report writes it, 0 when it is none."""
    try:
        return float(str(text)[:40])
    except ValueError:
        return 0.0
