"""A test that asks the code's process without end costs itself its place apart from the code, and no other test."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from evoguard_sandbox import Limits, Room, Suite, SuiteReport, run
from evoguard_sandbox.judging import measure
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.measure import LONG_MS, MOST_QUESTIONS, TOO_MANY, _apart_in_time
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.trees import read_tree
from evoguard_sandbox.types import TestResult

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
CODE = "def add(a, b):\n    return a + b\n"
WRONG = CODE.replace("a + b", "a + b + (a == 7)")
TESTS = f"""
import calc

def test_many():
    for n in range({MOST_QUESTIONS}):
        calc.add(n, 1)
    assert calc.add(1, 2) == 3

def test_few():
    assert calc.add(7, 2) == 9

def test_still_there():
    assert calc.add(3, 4) == 7
"""
MANY, FEW, THERE = (f"tests/test_calc.py::test_{name}" for name in ("many", "few", "still_there"))


def files(code: str, tests: str = TESTS) -> dict[str, tuple[int, bytes]]:
    return {"src/calc.py": (0o100644, code.encode()), "tests/test_calc.py": (0o100644, tests.encode())}


def judged(room: Room, code: str) -> SuiteReport:
    return asyncio.run(run(Suite(files(CODE), files(code)), limits=LIMITS, room=room))


def apart(room: Room, **more: object) -> dict[str, tuple[str, str]]:
    """Run the tests apart from the code and return outcome and reason of each."""
    tree = read_tree(files(CODE), LIMITS)
    near, far = ({path: entry for path, entry in tree.items() if path.startswith(top)} for top in ("tests", "src"))
    ask = replace(Ask(near, frozenset(near), packages=("calc",), far=far), **more)
    seen = asyncio.run(Runs(Suite({}, {}), tree, LIMITS, room, None).on(ask))
    assert seen.outcome == "finished"
    return {test.id: (test.outcome, test.why) for test in seen.tests}


def test_only_the_test_that_asks_too_much_is_not_run_apart(room):
    seen = apart(room, questions=MOST_QUESTIONS)
    assert {name: outcome for name, (outcome, _) in seen.items()} == {MANY: "failed", FEW: "passed", THERE: "passed"}
    assert TOO_MANY in seen[MANY][1]


def test_without_a_bound_each_test_may_ask_as_it_likes(room):
    assert {outcome for outcome, _ in apart(room).values()} == {"passed"}


def test_a_test_that_is_named_is_left_out_and_the_others_are_not(room):
    assert apart(room, questions=10, without=[MANY]).keys() == {FEW, THERE}


def test_an_honest_change_passes_and_says_that_one_test_did_not_run_apart(room):
    report = judged(room, CODE + "# a comment\n")
    assert (report.verdict, report.findings, report.split, report.assurance) == ("pass", (), 2, "visible-only")


def test_a_wrong_one_does_not(room):
    report = judged(room, WRONG)
    assert report.verdict == "fail"
    assert FEW in {finding.term for finding in report.findings if finding.code == "tests.failed"}


def test_what_asks_too_much_or_waits_too_long_or_comes_too_late_is_left_beside_the_code():
    def seen(**took: int) -> RunFacts:
        why = {"many": f"split_proxy.UnsplitError: {TOO_MANY} apart from the code"}
        tests = tuple(TestResult(name, "passed", ms, why.get(name, "")) for name, ms in took.items())
        return RunFacts("finished", tests=tests, end_status=0, exit_status=0)

    plain = seen(waits=400, slow=4_000, quick=1, last=1)
    apart = seen(many=1, waits=LONG_MS, slow=30_000, quick=LONG_MS - 1, last=2)
    assert _apart_in_time(plain, apart, 120) == {"slow", "quick", "last"}
    assert _apart_in_time(plain, apart, 2 * 34.999) == {"slow", "quick"}
    late = replace(apart, outcome="wall", end_status=None, exit_status=None)
    assert _apart_in_time(plain, late, 2 * 30) == {"slow"}
    assert _apart_in_time(plain, replace(late, forged="x"), 120) == frozenset()
    assert _apart_in_time(plain, replace(late, patched="split: x"), 120) == frozenset()
    assert _apart_in_time(plain, replace(apart, outcome="memory"), 120) == frozenset()
    assert _apart_in_time(plain, None, 120) == frozenset()


LARGE_TESTS = 400
LARGE = "import calc\n" + "".join(
    f"\ndef test_{n}():\n    for n in range(500):\n        calc.add(n, 1)\n    assert calc.add({n}, 1) == {n + 1}\n"
    for n in range(LARGE_TESTS)
)


async def test_of_a_suite_that_is_too_large_to_run_apart_a_part_does(room, monkeypatch):
    monkeypatch.setattr(measure, "APART_S", 10.0)
    limits, told = Limits(wall_s=120), []
    for code in (CODE + "# a comment\n", WRONG):
        seen = await run(Suite(files(CODE, LARGE), files(code, LARGE)), limits=limits, room=room)
        told.append((seen.verdict, seen.assurance))
        assert 0 < seen.split < LARGE_TESTS or code == WRONG
    assert told == [("pass", "visible-only"), ("fail", "visible-only")]
