"""Whole suites run split: an honest package passes, forgeries do not, and no text of theirs becomes code."""

from __future__ import annotations

import textwrap

import pytest

from unit.sandbox.splitting import Plan, run

RIGHT = """
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self):
        if not self.items: raise Empty("nothing left")
        return self.items.pop()
    def __len__(self): return len(self.items)
class Empty(LookupError): pass
def mul(a, b): return a * b
def slug(text): return text.lower().replace(" ", "-")
"""
TESTS = """
import pytest
from calc import Empty, Stack, mul, slug
@pytest.mark.parametrize("a,b,want", [(2, 3, 6), (7, 8, 56), (-1, 5, -5)])
def test_mul(a, b, want): assert mul(a, b) == want
def test_slug(): assert slug("Hello World") == "hello-world"
def test_stack():
    stack = Stack()
    stack.push(4)
    assert len(stack) == 1
    assert stack.pop() == 4
    with pytest.raises(Empty, match="nothing"): stack.pop()
def test_many(): assert all(mul(n, 2) == n + n for n in range(20))
"""
ALL = 6


def suite(tmp_path, source, tests=TESTS, **more):
    base, code = tmp_path / "base", tmp_path / "code"
    (base / "tests").mkdir(parents=True)
    code.mkdir()
    (base / "tests" / "test_calc.py").write_text(textwrap.dedent(tests), encoding="utf-8")
    (base / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (code / "calc.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return run(Plan(base, (str(code),), ("calc",), **more))


def test_an_honest_package_passes_and_asks_over_the_pipes(tmp_path):
    told = suite(tmp_path, RIGHT)
    assert (len(told.passed()), len(told.seen), told.tamper, told.unsplit) == (ALL, ALL, "", 0), told.output
    assert told.calls > ALL
    assert ["calc", "mul", [7, 8]] in told.log


WRONG = (
    RIGHT.replace("a * b", "a + b")
    .replace('replace(" ", "-")', 'replace(" ", "_")')
    .replace("items.pop()", "items[0] + 1")
)
ALWAYS = """
class Yes(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 1
    def __bool__(self): return True
class YesText(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
def mul(a, b): return Yes(0)
def slug(text): return YesText("x")
"""
FORGERIES = {
    "wrong": WRONG,
    "always equal": WRONG + ALWAYS,
    "leaves": WRONG + "import sys\ndef mul(a, b): sys.exit(0)\ndef slug(t): raise KeyboardInterrupt\n",
    "leaves at import": "import os\nos._exit(0)\n",
    "exits at import": "raise SystemExit(0)\n",
    "skips": WRONG + "import unittest\ndef mul(a, b): raise unittest.SkipTest('x')\nslug = mul\nStack.pop = mul\n",
    "patches its interpreter": WRONG + "import builtins, gc, sys\nbuiltins.AssertionError = Exception\n"
    "for o in gc.get_objects():\n    if isinstance(o, dict) and 'want' in o: o['want'] = 1\n",
    "ends loops": WRONG + "def mul(a, b): raise StopIteration\nslug = mul\nStack.pop = mul\n",
    "a helper of the library": WRONG + "mul = print\nslug = exec\n",
    "marks itself": WRONG + "pytestmark = ['skip']\n__test__ = False\n__file__ = 'tests/test_calc.py'\n",
    "looks for its tests": WRONG + "import os\nfor r, d, f in os.walk('/tmp'):\n    break\nimport pytest\n",
}  # fmt: skip


@pytest.mark.parametrize("source", FORGERIES.values(), ids=FORGERIES)
def test_no_forgery_passes_a_test_of_what_it_does_wrong(source, tmp_path):
    told = suite(tmp_path, source, wait_ms=5000)
    wrong = {name for name in told.seen if "test_mul" in name or "test_slug" in name or "test_many" in name}
    assert not told.passed() & wrong
    assert all(outcome == "failed" for name, (outcome, _) in told.seen.items() if name in wrong)
    assert told.seen


# What a test may do with an answer that would make it code here; the mark would be a module attribute set by that code.
CODE = """
import os, pickle
class Evil:
    def __repr__(self): return "__import__('sys').modules.setdefault('owned', 1)"
    def __reduce__(self): return (eval, (repr(self),))
class Hinted:
    x: "__import__('sys').modules.setdefault('owned', 1)"
def hinted(x: "__import__('sys').modules.setdefault('owned', 1)"): pass
def dumped(): return pickle.dumps(Evil())
def made(): return Evil()
class Named:
    def __reduce__(self): return (os.getcwd, ())
def named(): return pickle.dumps(Named())
"""
CODE_TESTS = """
import copy, marshal, os, pickle, subprocess, sys, typing
import pytest
import calc
def test_eval(): eval(repr(calc.made()))
def test_exec(): exec(repr(calc.made()))
def test_compile(): compile(repr(calc.made()), "x", "eval")
def test_loads(): pickle.loads(calc.dumped())
def test_loads_a_call(): assert pickle.loads(calc.named())
def test_hints(): typing.get_type_hints(calc.hinted)
def test_class_hints(): typing.get_type_hints(calc.Hinted)
def test_marshal(): marshal.loads(calc.dumped())
def test_child(): subprocess.run([sys.executable, "-c", "import calc"])
def test_shell(): os.system("true")
def test_swallowed():
    try: eval(repr(calc.made()))
    except Exception: pass
"""
QUIET_TESTS = """
import collections, copy, dataclasses, pickle, typing, ast
import calc
@dataclasses.dataclass
class Held:
    x: int
    y: "typing.Optional[str]" = None
def test_ours_still_work():
    assert collections.namedtuple("N", "a b")(1, 2).b == 2
    assert Held(3) == copy.deepcopy(Held(3))
    assert pickle.loads(pickle.dumps({"a": [1, (2, 3)]})) == {"a": [1, (2, 3)]}
    assert ast.literal_eval("[1, 2]") == [1, 2]
    import this_folder_helper
    assert this_folder_helper.ONE == 1
def test_nothing_ran(): import sys; assert "owned" not in sys.modules
def test_a_pickle_of_ours_thaws_there():
    pair = calc.Pair(5)
    assert pickle.loads(pickle.dumps(pair)).n == 5
"""


def test_text_and_bytes_of_the_candidate_never_become_code_here(tmp_path):
    told = suite(tmp_path, CODE, CODE_TESTS + "def test_nothing_ran(): assert 'owned' not in sys.modules\n")
    assert {name.partition("::")[2] for name in told.passed()} == {"test_nothing_ran"}
    assert told.unsplit >= 8
    assert told.tamper == ""


def test_code_of_the_tests_own_still_runs(tmp_path):
    (tmp_path / "base" / "tests").mkdir(parents=True)
    (tmp_path / "base" / "tests" / "this_folder_helper.py").write_text("ONE = 1\n", encoding="utf-8")
    source = "class Pair:\n    def __init__(self, n): self.n = n\n"
    base, code = tmp_path / "base", tmp_path / "code"
    code.mkdir()
    (base / "tests" / "test_calc.py").write_text(QUIET_TESTS, encoding="utf-8")
    (code / "calc.py").write_text(source, encoding="utf-8")
    told = run(Plan(base, (str(code),), ("calc",)))
    assert len(told.passed()) == 3, told.seen


def test_code_that_is_made_before_anything_of_the_candidate_is_here_may_run(tmp_path):
    """Libraries of the tests make some when they are loaded; later there may be text of the candidate in it."""
    early = "made = {}\nexec('x = 1', made)\nimport calc\ndef test_early(): assert calc.mul(made['x'], 3) == 3\n"
    assert len(suite(tmp_path / "early", RIGHT, early).passed()) == 1
    late = "import calc\nmade = {}\nexec('x = 1', made)\ndef test_late(): assert calc.mul(made['x'], 3) == 3\n"
    assert suite(tmp_path / "late", RIGHT, late).passed() == set()


def test_a_codec_of_the_candidate_is_asked_for_over_there(tmp_path):
    source = """
    import codecs
    def find(name):
        if name == "upper":
            return codecs.CodecInfo(
                lambda s, e="strict": (s.upper().encode(), len(s)),
                lambda b, e="strict": (bytes(b).decode().lower(), len(b)),
            )
    codecs.register(find)
    """
    tests = """
    import calc, pytest
    def test_codec():
        assert "ab".encode("upper") == b"AB"
        assert b"AB".decode("upper") == "ab"
        with pytest.raises(LookupError): "ab".encode("nowhere")
    """
    told = suite(tmp_path, source, tests)
    assert len(told.passed()) == 1, told.seen
