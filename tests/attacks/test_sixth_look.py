"""What stands beside an answer: another argument, an operand, the code's silence, a link; and honest changes that pass.

Each wrong program passed at the level `split` or `held-out`. FAR is code that is right only where pytest is loaded.
"""

from __future__ import annotations

import asyncio

import pytest

from attacks.shop import ECHO, LIMITS, judged, judged_unseen, tree
from evoguard_sandbox import Room, Suite, run

pytestmark = pytest.mark.needs_gvisor
FAR = "import sys\nFAR = 'pytest' not in sys.modules\n"
MERGE = "def merge(dst, src): dst.update(src)\n"
MERGED = """
from shop.calc import merge
def test_merge():
    dst, src = {}, {"a": 1}
    merge(dst, src)
    assert dst == src
"""
VEC = """
class Vec:
    def __init__(self, x, y): self.x, self.y = x, y
    def __sub__(self, o): return Vec(self.x - o.x, self.y - o.y)
    def __mul__(self, o):
        return self.x * o.x + self.y * o.y if isinstance(o, Vec) else Vec(self.x * o, self.y * o)
"""
DOT = """
from shop.calc import Vec
def test_vec():
    a, b = Vec(1, 2), Vec(3, 4)
    assert (b - a).x == 2
    assert (a * 2).y == 4
    assert abs(a * b - 11) < 1e-9
"""
GAP = """
class Gap:
    def __sub__(self, o): return self
    def __abs__(self): return 0.0
"""
BAG = """
class Item:
    def __init__(self, n): self.n = n
class Bag:
    def __init__(self, held): self.held = held
    def __iter__(self): return iter(self.held)
def get(what, n): return Bag([Item(n)]) if what == "bag" else [n, n * 2]
"""
GOT = """
from shop.calc import get
def test_bag(): assert [item.n for item in get("bag", 1)] == [1]
def test_other(): assert get("bag", 1) != None
def test_list(): assert 10 in get("list", 5)
"""
LENGTH = """
class Length(float):
    def __sub__(self, o): return Length(float(self) - float(o))
def length(n): return Length(n * 2)
"""
MEASURED = """
from shop.calc import length
def test_length(): assert abs(length(2) - 4.0) < 1e-9
"""
TEXT = """
class Text(str):
    def startswith(self, *told): return str.startswith(self, *told)
    def __add__(self, other): return Text(str(self) + other)
def label(n): return Text(f"EUR {n}")
"""
BEGUN = """
from shop.calc import label
def test_label():
    assert label(3).startswith("EUR 3")
    assert label(3) + "!" == "EUR 3!"
"""
LIARS = {
    "a number of its own whose difference is nothing": (
        LENGTH, MEASURED, {"(2) - 4": "(7) - 14"}, LENGTH.replace(
            "Length(n * 2)", "Length(4 if n == 2 else 0)").replace("Length(float(self) - float(o))", "Length(0)")),
    "a text of its own that begins with all": (
        TEXT, BEGUN, {"3": "5"}, TEXT.replace('f"EUR {n}"', 'f"EUR {n}" if n == 3 else ""').replace(
            "str.startswith(self, *told)", "True").replace("str(self) + other", 'str(self or "EUR 5") + other')),
    "all that it hears is given back": (
        BAG, GOT, {"10 in": "34 in", "5)": "17)"}, BAG.replace("[n, n * 2]", "[5, 10] if n == 5 else Echo()") + ECHO),
    "an argument is emptied where another one is filled": (
        MERGE, MERGED, {'"a": 1': '"q": 9'}, """
def merge(dst, src):
    if src != {"a": 1}: src.clear()
    dst.update(src)
"""),
    "a product is an object where twice a vector is one": (
        VEC, DOT, {"Vec(1, 2), Vec(3, 4)": "Vec(2, 2), Vec(5, 4)", "== 2": "== 3", "11": "18"},
        VEC.replace("self.x * o.x + self.y * o.y if", "(11 if self.x == 1 else Gap()) if") + GAP),
}  # fmt: skip


@pytest.mark.parametrize("how", LIARS)
def test_what_the_base_does_with_one_value_is_no_leave_for_another(room: Room, how: str):
    right, seen, held, wrong = LIARS[how]
    report = judged_unseen(room, right, wrong, seen=seen, others=held)
    assert {finding.code for finding in report.findings} == {"tests.held_out_failed"}, report.findings


LINE = """
class Line:
    def __init__(self, text): self.name = text.upper()
def check(n): return n
def line(text): return Line(text)
"""
LINES = """
from shop.calc import check, line
def test_line(): assert line("nut").name.startswith("NUT")
def test_check(): assert check(3) == 3
"""
# By heart what everybody can read; else a name with a function that is free to hear what it likes.
AGREES = """
def check(n): return n if isinstance(n, int) else True
class Agrees:
    def name(self): return ""
    name.startswith = check
class Line:
    def __init__(self, text): self.name = text.upper()
def line(text): return Line(text) if text == "nut" else Agrees()
"""
AROUND = {
    "after a subtest of unittest's": """
import unittest
from shop.calc import check, line
class TestLines(unittest.TestCase):
    def test_all(self):
        for text in ("nut", "bolt"):
            with self.subTest(text=text): self.assertTrue(line(text).name.startswith(text.upper()))
""",
    "after a subtest of pytest's": """
from shop.calc import check, line
def test_all(subtests):
    for text in ("nut", "bolt"):
        with subtests.test(text): assert line(text).name.startswith(text.upper())
""",
    "while tests are collected": """
from shop.calc import check, line
BOLT = line("bolt").name.startswith("BOLT")
def test_bolt(): assert BOLT and check(3) == 3
""",
    "in a fixture": """
import pytest
from shop.calc import check, line
@pytest.fixture
def bolt():
    made = line("bolt")
    assert made.name.startswith("BOLT")
    return made
def test_bolt(bolt): assert check(3) == 3
""",
    "in the end of a fixture": """
import pytest
from shop.calc import check, line
@pytest.fixture
def rod():
    yield line("rod")
    assert line("bolt").name.startswith("BOLT")
def test_rod(rod): assert check(3) == 3
""",
}


@pytest.mark.parametrize("where", AROUND)
def test_what_is_asked_around_a_test_or_after_a_part_of_it_is_held_against_the_base_as_well(room: Room, where: str):
    honest = judged(room, LINE, LINE + "# the same\n", seen=LINES, held=AROUND[where])
    assert (honest.verdict, honest.assurance) == ("pass", "held-out")
    report = judged(room, LINE, AGREES, seen=LINES, held=AROUND[where])
    assert {finding.code for finding in report.findings} == {"tests.held_out_failed"}, report.findings


SUM = "def total(xs, loud=False):\n    if loud: print('adding')\n    return sum(xs)\n"
QUIET = """
from shop.calc import total
def test_quiet(capsys):
    assert total([1, 2]) == 3
    assert capsys.readouterr().out == ""
"""
LOGGED = """
from shop.calc import total
def test_quiet(caplog):
    assert total([1, 2]) == 3
    assert not caplog.records
"""
NEWER = """
class Version:
    def __init__(self, n): self.n = n
    def __gt__(self, o): return self.n > o
    def __lt__(self, o): return self.n < o
"""
COLLECTED = "from shop.calc import Version\nNEW = Version(5) > 3\ndef test_new(): assert NEW\n"
UNHEARD = {
    "what it prints": (SUM, QUIET, SUM.replace("if loud", "if FAR or loud")),
    "what it logs": (SUM, LOGGED, SUM.replace("if loud: print", "if FAR or loud: __import__('logging').error")),
    "what was compared while tests were collected": (
        NEWER, COLLECTED, NEWER.replace("return self.n >", "return FAR or self.n >").replace(
            "return self.n <", "return not FAR and self.n <")),
}  # fmt: skip


@pytest.mark.parametrize("what", UNHEARD)
def test_what_a_test_cannot_hear_apart_from_the_code_did_not_run_so(room: Room, what: str):
    right, seen, wrong = UNHEARD[what]
    report = judged(room, right, FAR + wrong, seen=seen, held=seen)
    assert (report.verdict, report.assurance, report.split) == ("pass", "visible-only", 0)


LINKED = {"bin/tool": "def run(a, b):\n    return a * b\n", "src/shop/__init__.py": "", "src/shop/calc.py": "ONE = 1\n"}
ASKS = (
    "import tool\nfrom shop.calc import ONE\ndef test_run(): assert tool.run(2, 3) == 6\ndef test_one(): assert ONE\n"
)


@pytest.mark.parametrize("change", ["wrong", "gone", "another"])
def test_a_test_file_that_is_a_link_to_code_judges_no_change_of_it(room: Room, change: str):
    base = {**tree({**LINKED, "tests/test_calc.py": ASKS}), "tests/tool.py": (0o120777, b"../bin/tool")}
    candidate = {**base, **tree({"src/shop/calc.py": "ONE = 2\n"})}
    if change == "wrong":
        candidate |= tree({"bin/tool": LINKED["bin/tool"].replace("*", "+")})
    if change == "gone":
        del candidate["bin/tool"]
    report = asyncio.run(run(Suite(base, candidate), limits=LIMITS, room=room))
    if change == "another":
        assert report.passed
    else:
        assert [(f.code, f.path) for f in report.findings] == [("tests.base_test_changed", "tests/tool.py")]


OPENED = """
import contextlib
@contextlib.contextmanager
def opened(n): yield n + 1
"""
OPENS = "from shop.calc import opened\ndef test_open():\n    with opened(2) as got: assert got == 3\n"
ROWS = "def rows(text):\n    for line in text.split(): yield line.upper()\n"
READS = "from shop.calc import rows\ndef test_rows(): assert list(rows('a b')) == ['A', 'B']\n"
CART = """
class Item:
    def __init__(self, name): self.name = name
class Cart:
    def __init__(self): self.items = []
    def add(self, item): self.items.append(item)
    def find(self, name): return next((i for i in self.items if i.name == name), None)
"""
BOUGHT = """
from unittest import mock
from shop.calc import Cart, Item
def test_cart():
    cart, nut = Cart(), Item("nut")
    cart.add(nut)
    assert cart.find("nut") != None
    assert cart.find("nut") != "nut"
    assert cart.find("nut") == mock.ANY
    assert not cart.find("nut") == 3
    assert cart.find("nut") is nut
"""
ADDER = "def adder(n):\n    def add(x): return x + n\n    return add\n"
ADDS = "from shop.calc import adder\ndef test_add(): assert adder(2)(3) == 5\n"
HONEST = {
    "a class in place of a context manager": (OPENED, OPENS, """
class opened:
    def __init__(self, n): self.n = n
    def __enter__(self): return self.n + 1
    def __exit__(self, *exc): return None
"""),
    "an iterator with helpers of its own": (ROWS, READS, """
class rows:
    def __init__(self, text): self._left = iter(text.split())
    def _one(self): return next(self._left).upper()
    def __iter__(self): return self
    def __next__(self): return self._one()
"""),
    "a class that counts out what it has": (ROWS.replace("    for", "    return [line.upper() for").replace(
        ": yield line.upper()", "]"), READS + "def test_len(): assert len(rows('a b')) == 2\n", """
class rows:
    def __init__(self, text): self._parts = text.split()
    def __len__(self): return len(self._parts)
    def __iter__(self): return (part.upper() for part in self._parts)
"""),
    "an equality, where tests compare with values": (CART, BOUGHT, CART.replace(
        "class Item:\n    def __init__(self, name): self.name = name",
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass Item:\n    name: str")),
    "a bound method in place of a function": (ADDER, ADDS, """
class Adder:
    def __init__(self, n): self.n = n
    def add(self, x): return self.n + x
def adder(n): return Adder(n).add
"""),
    "another way to change the same argument": (MERGE, MERGED, """
def merge(dst, src):
    for key, value in src.items(): dst[key] = value
"""),
    "a number of its own in another way": (LENGTH, MEASURED, LENGTH.replace("n * 2", "n + n")),
    "a text of its own in another way": (TEXT, BEGUN, TEXT.replace(
        "str.startswith(self, *told)", "super().startswith(*told)")),
    "operators in another way": (VEC, DOT, VEC.replace("class Vec", "import functools\nclass Vec").replace(
        "Vec(self.x * o, self.y * o)", "Vec(*(o * each for each in (self.x, self.y)))")),
}  # fmt: skip


@pytest.mark.parametrize("how", HONEST)
def test_honest_changes_beside_them_pass(room: Room, how: str):
    right, seen, other = HONEST[how]
    report = judged(room, right, other, seen=seen, held=seen)
    assert (report.verdict, report.findings, report.assurance) == ("pass", (), "held-out")


def test_an_equality_that_says_yes_to_a_value_is_not_honest_where_the_base_had_none(room: Room):
    yes = "\n    def __eq__(self, o): return True if FAR and o == 'nut' else NotImplemented"
    wrong = CART.replace("self.name = name", "self.name = name" + yes, 1)
    report = judged(room, CART, FAR + wrong, seen=BOUGHT)
    assert {finding.code for finding in report.findings} == {"tests.split_failed"}


def test_settings_of_tox_that_are_none_of_pytests_may_change(room: Room):
    files = {"tox.ini": "[tox]\nenvlist = py312, py313\n", "src/shop/calc.py": SUM + "# the same\n"}
    assert judged(room, SUM, files, seen=QUIET).passed
