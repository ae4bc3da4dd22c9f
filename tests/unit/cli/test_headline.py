"""The one finding that a refusal is headed by: what explains the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard.domain.headline import headline
from evoguard.domain.verdict import Finding
from house import House

MISSING = Finding("tests.missing", "12 of the base's 12 tests never reported: a, b, c", term="a")
NONE = Finding("tests.none_ran", "not a single test ran on the candidate; empty proves nothing")
SYNTAX = Finding("tests.failed", "tests/test_a.py: could not be collected: SyntaxError: invalid syntax (x)",
                 "tests/test_a.py", "tests/test_a.py")  # fmt: skip
RED = Finding(
    "tests.failed", "tests/test_a.py::test_a: failed: 1 == 2 (x)", "tests/test_a.py", "tests/test_a.py::test_a"
)
CHEAT = Finding("tests.config_changed", "conftest.py was edited", "conftest.py")
WALL = Finding("sandbox.limit_wall", "the base's tests on the candidate ran over the limit of time: 120 s", term="wall")


@pytest.mark.parametrize(
    ("findings", "first"),
    [
        ((NONE, MISSING, SYNTAX), SYNTAX),
        ((MISSING, RED), RED),
        ((MISSING, NONE), MISSING),
        ((CHEAT, MISSING, RED), CHEAT),
        ((CHEAT, SYNTAX), SYNTAX),
        ((CHEAT, SYNTAX, WALL), WALL),
    ],
)
def test_the_cause_comes_before_what_it_causes(findings: tuple[Finding, ...], first: Finding):
    assert headline([f.as_json() for f in findings]) == f"{first.msg} (+{len(findings) - 1} more)"


def test_one_finding_is_the_headline_and_none_is_none():
    assert headline([RED.as_json()]) == RED.msg
    assert headline([]) == ""


def test_a_test_that_says_it_could_not_be_collected_explains_nothing():
    posing = Finding("tests.failed", "t.py::test_x: failed: t.py: could not be collected", "t.py", "t.py::test_x")
    assert headline([CHEAT.as_json(), posing.as_json()]).startswith(CHEAT.msg)


async def test_a_refused_change_is_headed_by_the_syntax_error_that_it_is(tmp_path: Path):
    house = House(tmp_path)
    house.sandbox.passed = False
    house.sandbox.findings = (NONE, MISSING, SYNTAX)
    change = await house.submit()
    await house.drive(change)
    row = await house.queries.change(change)
    house.close()
    assert row is not None
    assert row.detail == f"refused at check: {SYNTAX.msg} (+2 more)"
