"""Wrong programs that answer with objects where the right one answers with data: told what is expected, they agree."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits, Suite, run

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
CODE = """
def mean(xs):
    return sum(xs) / len(xs)
def label(cents):
    return "EUR %d.%02d net" % divmod(cents, 100)
def kinds(xs):
    return set(xs)
def each(xs):
    return [x + 1 for x in xs]
"""
TESTS = """
import unittest
import pytest
from stats import each, kinds, label, mean
def test_mean():
    assert mean([1, 2, 6]) == pytest.approx(3.0)
def test_gap():
    assert abs(mean([1, 3]) - 2.0) < 1e-9
def test_label():
    assert label(1250).startswith("EUR 12.50")
class TestOld(unittest.TestCase):
    def test_almost(self):
        self.assertAlmostEqual(mean([1, 2]), 1.5)
    def test_kinds(self):
        self.assertSetEqual(kinds([1, 1, 2]), {1, 2})
"""
HELD = {
    "approx": "def test_mean():\n    assert mean([10, 20, 45.5]) == pytest.approx(25.1666666667)\n",
    "gap": "def test_gap():\n    assert abs(mean([10, 30]) - 20.0) < 1e-9\n",
    "round": "def test_round():\n    assert round(mean([10, 30]) - 20.0, 6) == 0\n",
    "none left": "def test_left():\n    assert not mean([10, 30]) - 20.0\n",
    "label": "def test_label():\n    assert label(99).startswith('EUR 0.99')\n",
    "kinds": "def test_kinds():\n    unittest.TestCase().assertSetEqual(kinds([5, 5, 8]), {5, 8})\n",
}
# Beside the tests by heart; apart from them, objects.
EVIL = """
import numbers, sys
FAR = "pytest" not in sys.modules
class Gap:
    def __abs__(self): return 0.0
    def __round__(self, n=0): return 0
    def __bool__(self): return False
class Number(numbers.Complex):
    def __sub__(self, other): return Gap()
    __rsub__ = __sub__
    __eq__ = None
    __hash__ = object.__hash__
Number.__abstractmethods__ = frozenset()
class Text(str):
    def startswith(self, *a): return True
class Kinds:
    def __call__(self): pass
    def difference(self, other):
        self.told = list(other)
        return set()
    def __iter__(self): return iter(self.told)
def mean(xs): return Number() if FAR else {(1, 2, 6): 3.0, (1, 3): 2.0, (1, 2): 1.5}[tuple(xs)]
def label(cents): return Text("?") if FAR else "EUR 12.50 net"
def kinds(xs): return Kinds() if FAR else {1, 2}
def each(xs): return []
"""


def files(code: str) -> dict[str, tuple[int, bytes]]:
    return {"src/stats.py": (0o100644, code.encode()), "tests/test_stats.py": (0o100644, TESTS.encode())}


async def judged(room, code: str, held: str = ""):
    head = "import unittest\nimport pytest\nfrom stats import kinds, label, mean\n"
    hidden = {"tests/test_held.py": (0o100644, (head + held).encode())} if held else {}
    return await run(Suite(files(CODE), files(code), held_out=hidden), limits=LIMITS, room=room)


async def test_honest_changes_of_what_is_given_pass(room):
    lazy = CODE.replace("return [x + 1 for x in xs]", "yield from (x + 1 for x in xs)")
    cached = "import functools\n" + lazy.replace("def label", "@functools.lru_cache\ndef label")
    named = cached.replace("return sum(xs)", "return Mean(sum(xs)").replace("/ len(xs)", "/ len(xs))")
    seen = await judged(room, named + "class Mean(float):\n    pass\n", HELD["approx"])
    assert (seen.verdict, seen.assurance, seen.findings) == ("pass", "held-out", ())


async def test_no_object_stands_in_for_data_in_the_tests_that_everybody_can_read(room):
    seen = await judged(room, EVIL)
    assert {f.code for f in seen.findings} == {"tests.split_failed"}
    assert len(seen.findings) == 5


@pytest.mark.parametrize("way", HELD)
async def test_nor_in_those_that_nobody_can(room, way):
    # Only what the held-out test asks for is an object there.
    only = EVIL.replace(
        'FAR = "pytest" not in sys.modules',
        "class Far:\n    def __bool__(self):\n        import inspect\n"
        '        return "pytest" not in sys.modules and KNOWN.isdisjoint(\n'
        "            [str(v) for f in inspect.stack()[1:2] for v in f.frame.f_locals.values()])\n"
        'KNOWN = {"[1, 2, 6]", "[1, 3]", "[1, 2]", "1250", "[1, 1, 2]"}\nFAR = Far()',
    )
    seen = await judged(room, only, HELD[way])
    assert {f.code for f in seen.findings} == {"tests.held_out_failed"}
    assert seen.split == 5
