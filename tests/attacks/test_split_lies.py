"""Wrong programs whose objects answer comparisons with state, beside the tests and apart from them. None passes."""

from __future__ import annotations

import ast
import asyncio
import hashlib

import pytest

from evoguard_sandbox import Limits, Room, Suite, SuiteReport, run

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=40)
RIGHT = "def add(a, b):\n    return a + b\ndef words(n):\n    return ['a'] * n\n"
TESTS = """from calc import add, words

def test_eq():
    assert add(1, 2) == 3

def test_two():
    assert add(10, 20) == 30
    assert add(7, -7) == 0

def test_order():
    assert add(1, 1) > 1

def test_in():
    assert 'a' in words(3)

def test_list():
    assert words(2) == ['a', 'a']
"""
ONE = "from calc import add\n\ndef test_eq():\n    assert add(1, 2) == 3\n"
HELD = "from calc import add\n\ndef test_seven():\n    assert add(7, 1) == 8\n"
# Beside the tests it says yes when the text of the test that asks is one it knows (so false tests fail) or one that it
# has never seen; apart from them it goes by how often it was asked.
EVIL = """
import ast, hashlib, sys
KNOWN = {known!r}
FAR = 'pytest' not in sys.modules
def true():
    frame = sys._getframe(2)
    while frame and not frame.f_code.co_name.startswith('test'):
        frame = frame.f_back
    want = KNOWN.get(frame.f_code.co_name) if frame else 'no test'
    if want is None: return True
    if not frame: return False
    text = open(frame.f_code.co_filename).read()
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if getattr(node, 'name', '') == frame.f_code.co_name:
            seen = chr(10).join(lines[node.lineno - 1:node.end_lineno])
            return hashlib.sha256(seen.encode()).hexdigest() == want
class Same:
    __hash__ = None
    def __init__(self): self.n = 0
    def yes(self):
        self.n += 1
        return self.n in {says!r} if FAR else true()
    def __eq__(self, other): return self.yes()
    def __ne__(self, other): return not self.yes()
    def __gt__(self, other): return True if FAR else true()
    def __lt__(self, other): return False
    def __contains__(self, other): return self.yes()
def add(a, b): return Same()
def words(n): return Same()
"""
STATES = {"the first": (1,), "the first two": (1, 2), "every second": tuple(range(1, 40, 2)), "late": (2, 5)}


def evil(tests: str, says: tuple[int, ...]) -> str:
    lines = tests.splitlines()
    known = {
        node.name: hashlib.sha256("\n".join(lines[node.lineno - 1 : node.end_lineno]).encode()).hexdigest()
        for node in ast.parse(tests).body
        if isinstance(node, ast.FunctionDef)
    }
    return EVIL.format(known=known, says=says)


def files(tree: dict[str, str]) -> dict[str, tuple[int, bytes]]:
    return {path: (0o100644, text.encode()) for path, text in tree.items()}


def judged(room: Room, source: str, tests: str, *, held: str = "", base: str = RIGHT) -> SuiteReport:
    trees = [files({"src/calc.py": code, "tests/test_calc.py": tests}) for code in (base, source)]
    hidden = files({"tests/test_held.py": held}) if held else {}
    return asyncio.run(run(Suite(*trees, held_out=hidden), limits=LIMITS, room=room))


def test_the_honest_program_runs_apart_from_its_tests_and_passes(room):
    report = judged(room, RIGHT + "# a comment\n", TESTS, held=HELD)
    assert (report.verdict, report.findings, report.split, report.assurance) == ("pass", (), 5, "held-out")


@pytest.mark.parametrize("says", STATES.values(), ids=STATES)
def test_an_object_that_counts_its_questions_does_not_pass(room, says):
    report = judged(room, evil(TESTS, says), TESTS)
    assert not report.passed
    assert "tests.split_failed" in {finding.code for finding in report.findings}


@pytest.mark.parametrize("attempt", range(6))
def test_not_even_by_luck_where_one_comparison_is_all_there_is(room, attempt):
    report = judged(room, evil(ONE, (1 + attempt,)), ONE)
    assert not report.passed
    assert {finding.code for finding in report.findings} == {"tests.split_failed"}


def test_tests_that_it_has_never_seen_do_not_believe_it_either(room):
    report = judged(room, evil(ONE, (1,)), ONE, held=HELD)
    assert {"tests.split_failed", "tests.held_out_failed"} <= {finding.code for finding in report.findings}


TOLERANT = """
class Temp:
    __hash__ = None
    def __init__(self, v): self.v = v
    def __eq__(self, other): return abs(self.v - (other.v if isinstance(other, Temp) else other)) <= 5
def warm(): return Temp(20)
def sum_of(a, b): return a + b
"""
WARM = """from calc import sum_of, warm

def test_warm():
    assert warm() == 20

def test_sum():
    assert sum_of(1, 2) == 3
"""


@pytest.mark.parametrize("attempt", range(3))
def test_an_honest_tolerance_is_no_forgery_and_does_not_run_apart(room, attempt):
    """Whatever numbers are drawn: on the base it is refused each time, so nothing is asked of the candidate."""
    report = judged(room, TOLERANT + f"# {attempt}\n", WARM, base=TOLERANT)
    assert "tests.split_failed" not in {finding.code for finding in report.findings}
    assert report.verdict != "tamper"
    assert report.split == 1
