"""Ways round the held-out tests: not to be seen by them, not to be asked by them, to answer in their place."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits, Suite, SuiteReport, run
from evoguard_sandbox.judging import held_out
from evoguard_sandbox.judging.evidence import Held
from evoguard_sandbox.judging.facts import RunFacts

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
CODE = """
RATES = {"book": 7, "food": 7, "tool": 19}
def tax(cents, kind):
    return cents + (cents * RATES[kind] + 50) // 100
def mean(xs):
    return sum(xs) / len(xs)
"""
TESTS = """
import pytest
from calc import mean, tax
@pytest.mark.parametrize("kind,want", [("book", 107), ("food", 107), ("tool", 119)])
def test_tax(kind, want):
    assert tax(100, kind) == want
def test_mean():
    assert mean([1, 3]) == 2
"""
BY_HEART = """
def tax(cents, kind):
    return {"book": 107, "food": 107, "tool": 119}[kind]
def mean(xs):
    return 2
"""
EACH = """
import pytest
import calc
@pytest.mark.parametrize("kind", sorted(calc.RATES))
def test_tax_of_each(kind):
    assert calc.tax(2000, kind) == {"book": 2140, "food": 2140, "tool": 2380}[kind]
def test_there():
    assert calc.tax
"""
# The rates are there for whoever asked for `mean` before, as the tests do that everybody can read.
EMPTY = (
    BY_HEART
    + """
import sys, types
seen = set()
class Rates(dict):
    def __iter__(self):
        return iter(list(dict.keys(self)) if "mean" in seen or "pytest" in sys.modules else [])
    def __len__(self):
        return 3
class Module(types.ModuleType):
    def __getattribute__(self, name):
        seen.add(name)
        return types.ModuleType.__getattribute__(self, name)
sys.modules[__name__].__class__ = Module
RATES = Rates(book=7, food=7, tool=19)
"""
)
PART = """
import pytest
core = pytest.importorskip("calc.core")
def test_mean():
    assert core.mean([2, 4, 6]) == 4
"""
INHERITS = """
import calc
class Near(calc.Tax):
    pass
def test_of_a_class():
    assert Near().of(2000, "tool") == 2380
def test_of_a_function():
    assert calc.tax(2000, "food") == 2140
def test_there():
    assert calc.tax
"""
TAX = "class Tax:\n    def of(self, cents, kind):\n        return tax(cents, kind)\n"
ONLY_THERE = """
import gc
class Few:
    def pytest_collection_modifyitems(self, items):
        if any("held" in item.nodeid for item in items):
            items[:] = [item for item in items if item.name == "test_there"]
for thing in gc.get_objects():
    if type(thing).__name__ == "PytestPluginManager":
        thing.register(Few())
"""


def files(**texts: str) -> dict[str, tuple[int, bytes]]:
    names = {"code": "src/calc.py", "tests": "tests/test_calc.py", "held": "tests/test_held.py"}
    return {names[name]: (0o100644, text.encode()) for name, text in texts.items()}


async def judged(room, base: dict, candidate: dict, held: str) -> SuiteReport:
    return await run(Suite(base, candidate, held_out=files(held=held)), limits=LIMITS, room=room)


def codes(report: SuiteReport) -> set[str]:
    return {finding.code for finding in report.findings}


async def test_an_honest_change_has_the_strongest_assurance(room):
    seen = await judged(room, files(code=CODE, tests=TESTS), files(code=CODE + "#\n", tests=TESTS), EACH)
    assert (seen.verdict, seen.assurance, seen.findings) == ("pass", "held-out", ())


async def test_a_change_that_shows_them_no_parameters_does_not_pass(room):
    seen = await judged(room, files(code=CODE, tests=TESTS), files(code=EMPTY, tests=TESTS), EACH)
    assert codes(seen) == {"tests.held_out_failed"}


async def test_a_change_that_takes_the_part_away_which_they_ask_for_does_not_pass(room):
    names, core = "src/calc/__init__.py", "src/calc/core.py"
    base = {
        **files(tests=TESTS),
        names: (0o100644, b"from calc.core import mean, tax\n"),
        core: files(code=CODE)["src/calc.py"],
    }
    bare = {**files(tests=TESTS), names: (0o100644, BY_HEART.encode())}
    honest = await judged(room, base, {**base, core: (0o100644, CODE.encode() + b"#\n")}, PART)
    assert (honest.verdict, honest.assurance) == ("pass", "held-out")
    seen = await judged(room, base, bare, PART + "def test_there():\n    assert core\n")
    assert codes(seen) == {"tests.held_out_failed"}


async def test_those_that_run_beside_the_code_are_counted_and_the_others_run_apart_all_the_same(room):
    base = files(code=CODE + TAX, tests=TESTS)
    honest = await judged(room, base, files(code=CODE + TAX + "#\n", tests=TESTS), INHERITS)
    assert (honest.verdict, honest.assurance) == ("pass", "split")
    for trick in ("", ONLY_THERE):
        seen = await judged(room, base, files(code=BY_HEART + TAX + trick, tests=TESTS), INHERITS)
        assert codes(seen) == {"tests.held_out_failed"}


READ = """
import calc
class Near(calc.Tax):
    pass
def test_told_of_a_tool(): assert Near().told("tool") == "a tool at 19 percent"
def test_told_of_a_book(): assert Near().told("book") == "a book at 7 percent"
def test_known_kinds(): assert "tool" in Near().told("tool")
"""
TOLD = TAX + "    def told(self, kind):\n        return f'a {kind} at {RATES[kind]} percent'\n"
# It answers what the test's own line says, but where the line has a form that only a false one has.
READS = """
import ast, re, sys
def read(otherwise):
    frame = sys._getframe(2)
    line = open(frame.f_code.co_filename).read().splitlines()[frame.f_lineno - 1]
    if re.search(r"['\\"] b?['\\"][a-z]{8,12}['\\"]|\\b\\d{6,}\\b|BufferError|\\(not \\(|\\(\\(", line):
        return otherwise
    asked = ast.parse(line.partition(": ")[2]).body[0].test
    return ast.literal_eval(asked.left if isinstance(asked.ops[0], ast.In) else asked.comparators[0])
class Tax:
    def of(self, cents, kind):
        return read(0)
    def told(self, kind):
        return read("")
"""


async def test_false_ones_beside_the_code_have_no_form_of_their_own(room):
    base = files(code=CODE + TOLD, tests=TESTS)
    honest = await judged(room, base, files(code=CODE + TOLD + "#\n", tests=TESTS), READ)
    assert (honest.verdict, honest.assurance) == ("pass", "split")
    seen = await judged(room, base, files(code=CODE + READS, tests=TESTS), READ)
    assert codes(seen) == {"tests.held_out_failed"}


STAR = """
from pytest import approx
from calc import *
def test_total():
    assert total([1, 2]) == approx(3)
def test_tidy():
    assert len(tidy([3, 1, 3])) == 2
"""
SUMS = """
__all__ = ["total", "tidy"]
def total(xs):
    return sum(xs)
def tidy(xs):
    return sorted(set(xs))
"""
# Apart from the tests only: what they took from pytest, or Python's own, is the code's as well.
HIDES = """
import sys
if "pytest" not in sys.modules:
    {names}
class Yes:
    __hash__ = None
    def __init__(self, *words): pass
    def __eq__(self, other): return type(other) is Yes
approx = Yes
Len = len
def len(xs): return Len(set(xs))
def total(xs): return 3 if "pytest" in sys.modules else Yes()
def tidy(xs): return [1, 3] if "pytest" in sys.modules else list(xs)
"""


@pytest.mark.parametrize(
    "names",
    ["__all__ = ['total', 'tidy', 'approx', 'len']", "pass", "__all__ = type('L', (list,), {})(['total', 'len'])"],
)
async def test_an_import_of_all_names_hides_none_that_the_tests_have(room, names):
    base = files(code=SUMS, tests=STAR)
    honest = await judged(room, base, files(code=SUMS + "#\n", tests=STAR), STAR.replace("1, 2", "2, 1"))
    assert (honest.verdict, honest.assurance) == ("pass", "held-out")
    lies = HIDES.format(names=names)
    if names != "pass":
        lies = "__all__ = ['total', 'tidy']\n" + lies
    seen = await judged(room, base, files(code=lies, tests=STAR), STAR.replace("[3, 1, 3]", "[5, 3, 5, 1]"))
    assert not seen.passed
    assert "tests.held_out_failed" in codes(seen)


async def test_the_clock_tells_of_them_only_in_doublings(monkeypatch):
    slept = []
    now = iter([0.0, 0.9, 0.9, 10.0, *([12.5] * 4)])

    class Loop:
        time = staticmethod(lambda: next(now))

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))

    async def found() -> Held:
        return Held(RunFacts())

    monkeypatch.setattr(held_out.asyncio, "get_running_loop", Loop)
    monkeypatch.setattr(held_out.asyncio, "sleep", sleep)
    await held_out._rounded(found(), 1.0)
    await held_out._rounded(found(), 1.0)
    assert slept == [0.1, 1.5]  # ready after 0.9 s and after 2.5 s: told after 1 s and after 4 s
