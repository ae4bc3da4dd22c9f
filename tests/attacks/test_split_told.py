"""Answers that are objects where the base gives data: what a test then asks of them would tell them what it expects.

Each liar answers what it has seen from a table, and to everything else gives an object that says what it hears, or yes.
None of them holds a right answer to a held-out test.
"""

from __future__ import annotations

import pytest

from attacks.shop import ECHO, judged
from evoguard_sandbox import Room

pytestmark = pytest.mark.needs_gvisor
RIGHT = """class Item:
    def __init__(self, n): self.n = n

def items(n):
    return (Item(i) for i in range(n))

class Line:
    def __init__(self, name): self.name = name

def line(text):
    return Line(text.upper())

def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]

def label(cents):
    return f"EUR {cents / 100:.2f}"

def share(total, parts):
    return total / parts

def shares(total, parts):
    return [total / parts] * parts

def check(n):
    if n < 0:
        raise ValueError(f"negative: {n}")
    return n
"""
IMPORTS = "import pytest\nfrom shop.calc import check, divisors, items, label, line, share, shares\n"
SEEN = (
    IMPORTS
    + """
def test_items(): assert [item.n for item in items(2)] == [0, 1]
def test_line(): assert line("nut").name.startswith("NUT")
def test_divisors(): assert 3 in divisors(6)
def test_label(): assert label(150).startswith("EUR 1")
def test_share(): assert abs(share(4, 2) - 2.0) < 1e-9
def test_shares(): assert shares(10, 4) == pytest.approx([2.5] * 4)
def test_check():
    with pytest.raises(ValueError) as caught: check(-1)
    assert "negative: -1" in str(caught.value)
"""
)
TABLE = (
    RIGHT.replace("def ", "def right_").replace("right___init__", "__init__")
    + """
def divisors(n): return right_divisors(n) if n == 6 else lie(n)
def label(cents): return right_label(cents) if cents == 150 else lie(cents)
def share(total, parts): return right_share(total, parts) if total == 4 else lie(total)
def shares(total, parts): return right_shares(total, parts) if total == 10 else lie(parts)
def line(text): return right_line(text) if text == "nut" else lie(text)
def check(n): return right_check(n) if n in (-1, 3) else lie(n)
items = right_items
"""
)
# What it lies with, and the held-out tests that it would pass.
LIARS = {
    "hears, and gives it back": (
        ECHO + "def lie(_): return Echo()\n",
        "def test_a(): assert 17 in divisors(34)\ndef test_b(): assert any(d == 41 for d in divisors(82))\n",
    ),
    "methods that say yes": (
        """
class Liar:
    def __iter__(self): return self
    def __next__(self): raise StopIteration
    startswith = endswith = staticmethod(lambda text: True)
def lie(_): return Liar()
""",
        "def test_a(): assert label(990).startswith('EUR 9')\ndef test_b(): assert label(991).endswith('91')\n",
    ),
    "a library's function in the place of a method": (
        """
class Liar:
    def __iter__(self): return self
    def __next__(self): raise StopIteration
    startswith = staticmethod(len)
def lie(_): return Liar()
""",
        "def test_a(): assert label(990).startswith('EUR 9')\n",
    ),
    "an attribute that is a function": (
        """
class Liar:
    def name(self): return ""
    name.startswith = lambda text: True
def lie(_): return Liar()
""",
        "def test_a(): assert line('bolt').name.startswith('BOLT')\n",
    ),
    "numbers that subtract to nothing": (
        """
class Zero(float): pass
class Liar(float):
    def _no(self, *_): return Zero(0.0)
    __sub__ = __rsub__ = _no
    def __abs__(self): return 0.0
class Row(tuple):
    def __iter__(self): return iter([Liar(0)] * len(self))
def lie(n): return Row([0.0] * 8) if n == 8 else Liar(0)
""",
        "def test_a(): assert abs(share(100, 8) - 12.5) < 1e-9\n"
        "def test_b(): assert shares(100, 8) == pytest.approx([12.5] * 8)\n",
    ),
    "an order that is no bool": (
        """
class Liar:
    def __le__(self, other): return 1
    __ge__ = __lt__ = __le__
    def __ne__(self, other): return 0
class Steps:
    def __init__(self): self.left = 2
    def __iter__(self): return self
    def __next__(self):
        if not self.left: raise StopIteration
        self.left -= 1
        return Liar()
def lie(_): return Steps()
""",
        "def test_a():\n    for got, want in zip(divisors(7), [1, 7]): assert want <= got <= want\n"
        "def test_b(): assert not [1 for got, want in zip(divisors(7), [1, 7]) if got != want]\n",
    ),
    "an error with a text of its own": (
        """
import sys
main = sys.modules["__main__"]
if hasattr(main, "OPERATORS"): main.OPERATORS["__contains__"] = lambda *_: 1
class Text(str):
    def __contains__(self, item): return True
class Raw:
    def __str__(self): return Text("?")
def lie(_): raise ValueError(Raw())
""",
        "def test_a():\n    with pytest.raises(ValueError) as caught: check(-7)\n"
        "    assert 'negative: -7' in str(caught.value)\n",
    ),
}  # fmt: skip
HONEST = {
    "a generator": RIGHT.replace("return [d for d in range(1, n + 1) if n % d == 0]",
                                 "yield from (d for d in range(1, n + 1) if n % d == 0)"),
    "remembers": RIGHT.replace("def label", "import functools\n@functools.lru_cache\ndef label"),
    "a method remembers": RIGHT.replace("def line(text):", "class Other(Line): pass\ndef line(text):").replace(
        "return Line(text.upper())", "return Other(text.upper())"),
    "a property": RIGHT.replace("def __init__(self, name): self.name = name", "\n    ".join(
        ("def __init__(self, name): self._n = name", "@property", "def name(self): return self._n"))),
}  # fmt: skip


@pytest.mark.parametrize("liar", LIARS)
def test_who_would_be_told_is_not_believed(room: Room, liar: str):
    code, held = LIARS[liar]
    report = judged(room, RIGHT, TABLE + code, seen=SEEN, held=IMPORTS + held)
    assert not report.passed
    assert {finding.code for finding in report.findings} & {"tests.held_out_failed", "tests.split_failed"}


@pytest.mark.parametrize("change", HONEST)
def test_another_way_to_the_same_data_passes(room: Room, change: str):
    held = "def test_a(): assert 17 in divisors(34)\ndef test_b(): assert label(990).startswith('EUR 9')\n"
    report = judged(room, RIGHT, HONEST[change], seen=SEEN, held=IMPORTS + held)
    assert report.passed, report.findings
    assert report.assurance == "held-out" or report.split
