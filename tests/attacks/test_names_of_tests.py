"""What a test or its file is called takes no evidence away: brackets in a path, names that are alike for long."""

from __future__ import annotations

import asyncio

import pytest

from attacks.shop import LIMITS, tree
from evoguard_sandbox import Room, Suite, SuiteReport, run

pytestmark = pytest.mark.needs_gvisor
RIGHT = "class Box:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return self.n == o.n\n"
RIGHT += "    __hash__ = None\ndef two():\n    return Box(2)\n"
EQUALS_ALL = RIGHT.replace("self.n == o.n", "True").replace("Box(2)", "Box(3)")
TESTS = "from shop.calc import Box, two\ndef test_two():\n    assert two() == Box(2)\n"
LONG = "import pytest\nfrom shop.calc import Box, two\nNAMES = ['x' * 1200 + e for e in 'ab']\n"
LONG += "@pytest.mark.parametrize('n', [1, 2], ids=NAMES)\ndef test_two(n):\n    assert two() == Box(2)\n"


def judged(room: Room, code: str, path: str, tests: str) -> SuiteReport:
    base = tree({"src/shop/__init__.py": "", "src/shop/calc.py": RIGHT, path: tests})
    return asyncio.run(run(Suite(base, {**base, **tree({"src/shop/calc.py": code})}), limits=LIMITS, room=room))


@pytest.mark.parametrize("path", ["tests/test_[x].py", "tests/a[b]/test_x.py"])
def test_objects_that_equal_all_are_seen_whatever_the_file_is_called(room, path):
    assert judged(room, RIGHT + "#\n", path, TESTS).verdict == "pass"
    seen = judged(room, EQUALS_ALL, path, TESTS)
    assert seen.verdict == "tamper"
    assert "tests.mutant_passed" in {f.code for f in seen.findings}


def test_tests_whose_names_are_alike_for_long_are_told_apart(room):
    seen = judged(room, RIGHT + "#\n", "tests/test_x.py", LONG)
    assert (seen.verdict, seen.findings, len(seen.tests), seen.unproven) == ("pass", (), 2, 0)
    seen = judged(room, EQUALS_ALL, "tests/test_x.py", LONG)
    assert seen.verdict == "tamper"
    assert "tests.mutant_passed" in {f.code for f in seen.findings}


@pytest.mark.parametrize("path", ["test_[n].py", "tests/test_[n].py", "tests/a[b]/test_n.py"])
def test_new_tests_run_whatever_their_file_is_called(room, path):
    base = tree({"src/shop/__init__.py": "", "src/shop/calc.py": RIGHT, "tests/test_x.py": TESTS, "test_z.py": TESTS})
    for value, verdict in ((2, "pass"), (3, "fail")):
        fresh = tree({path: TESTS.replace("test_two", "test_new").replace("Box(2)", f"Box({value})")})
        seen = asyncio.run(run(Suite(base, {**base, **fresh}), limits=LIMITS, room=room))
        assert (seen.verdict, [test.id for test in seen.new_tests]) == (verdict, [f"{path}::test_new"])
