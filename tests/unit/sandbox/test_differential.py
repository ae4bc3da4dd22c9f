"""Which calls are derived from tests and varied, how answers are read as claims, and what is told of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from evoguard_sandbox.reviewing.differential import DIFFERS, NOT_COMPARED, Answers, differences, read
from evoguard_sandbox.reviewing.differential_calls import Call, calls_of, other, varied
from evoguard_sandbox.trees import Entry, matcher
from evoguard_sandbox.types import DEFAULT_TEST_PATHS, Behaviour, JobReport, Outcome

trusted = matcher(DEFAULT_TEST_PATHS)
GUEST = Path(__file__).parents[3] / "sandbox/evoguard_sandbox/guest/differential.py"
F = Call("pkg.calc", "f", (3,))


def dice() -> random.Random:
    return random.Random(1)  # noqa: S311  (cases, not secrets)


def calls(text: str) -> list[str]:
    tree = {"tests/test_a.py": Entry("file", text.encode()), "pkg/calc.py": Entry("file", b"")}
    return [call.text() for call in calls_of(tree, trusted, ["pkg"])]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("from pkg.calc import f\ndef test(): assert f(1, b=[2]) == 3\n", ["pkg.calc.f(1, b=[2])"]),
        ("from pkg.calc import f as g\ndef test(): g('x')\n", ["pkg.calc.f('x')"]),
        ("import pkg.calc\ndef test(): pkg.calc.f(1)\n", ["pkg.calc.f(1)"]),
        ("import pkg.calc as c\ndef test(): c.f(1)\n", ["pkg.calc.f(1)"]),
        ("from pkg import calc\ndef test(): calc.f(1)\n", ["pkg.calc.f(1)"]),
        ("from pkg import C\ndef test(): C(1).m(2).n(3)\n", ["pkg.C(1).m(2).n(3)", "pkg.C(1).m(2)", "pkg.C(1)"]),
        ("from pkg import f\nN = 7\ndef test():\n    a = (1,)\n    f(N, a)\n", ["pkg.f(7, (1,))"]),
        ("from pkg import f\ndef test():\n    a = 1\n    a = 2\n    f(a)\n", []),
        ("from pkg import f\ndef test(tmp_path): f(tmp_path); f(*x); f(**y); f(f)\n", []),
        ("from other import f\ndef test(): f(1)\n", []),
        (
            "import pytest\nfrom pkg import f\n@pytest.mark.parametrize('a, b', [(1, 2), pytest.param(3, 4, id='x')])\n"
            "@pytest.mark.parametrize('c', [5, 6])\ndef test(a, b, c): f(a, c)\n",
            ["pkg.f(1, 5)", "pkg.f(3, 5)", "pkg.f(1, 6)", "pkg.f(3, 6)"],
        ),
        (
            "import pytest\nfrom pkg import f\n@pytest.mark.parametrize(['a'], [(1,)])\ndef test(a): f(a)\n",
            ["pkg.f(1)"],
        ),
        ("import pytest\nfrom pkg import f\n@pytest.mark.parametrize('a', made())\ndef test(a): f(a)\n", []),
        ("from pkg import f\ndef test():\n    with raises(ValueError): f(-1)\n", ["pkg.f(-1)"]),
        ("def f(:\n", []),
    ],
)
def test_the_calls_that_tests_make_with_plain_values_are_found(text, wanted):
    assert sorted(calls(text)) == sorted(wanted)


def test_text_that_is_no_test_gives_no_calls():
    tree = {"pkg/calc.py": Entry("file", b"from pkg.calc import f\ndef g(): f(1)\n")}
    assert calls_of(tree, trusted, ["pkg"]) == []


def test_varied_calls_are_bounded_each_one_once_and_hold_the_known_ones_too():
    known = [Call("m", "f", (n, "a", [n])) for n in range(10)]
    made = varied(known, dice(), 60)
    texts = [call.text() for call in made]
    assert len(texts) == len(set(texts)) == 60
    assert 5 <= len(set(texts) & {call.text() for call in known}) < 30


def test_every_function_has_its_share():
    known = [Call("m", f"f{n}", (n,)) for n in range(40)] + [Call("m", "busy", (n,)) for n in range(500)]
    made = varied(known, dice(), 200)
    assert len(made) == 200
    assert {call.name for call in made} == {*(f"f{n}" for n in range(40)), "busy"}
    assert sum(call.name == "busy" for call in made) < 150


def test_calls_without_arguments_are_made_as_they_are():
    assert varied([Call("m", "f")], dice(), 10) == [Call("m", "f")]


@pytest.mark.parametrize(
    "value", [True, 3, -1, 2.5, "word", "", b"ab", [1, "a"], [], (1, 2), {1, 2}, {"a": 1}, {}, None, frozenset({1})]
)
def test_another_value_is_one_that_a_literal_can_write_and_seldom_the_same(value):
    draw = dice()
    made = [other(value, draw) for _ in range(40)]
    assert any(repr(one) != repr(value) for one in made) or value in ({}, None)
    if value is not None:
        assert all(type(one) is type(value) for one in made)


def test_values_that_no_literal_can_write_are_left_out():
    known = [Call("m", "f", (1e308,)), Call("m", "f", (float("inf"),)), Call("m", "f", (3,))]
    made = varied(known, dice(), 60)
    assert len(made) > 5
    assert not [call for call in made if "inf" in call.text()]


def a_report(stdout: bytes, outcome: Outcome = "finished", exit_status: int | None = 0) -> JobReport:
    seen = Behaviour("recorded")
    return JobReport(outcome, exit_status, stdout, b"", (), seen, "", "", "", 0)


GOOD = {"wrong": "", "results": [["value", "1"]]}


def test_a_list_of_answers_of_the_right_form_is_read():
    assert read(a_report(json.dumps(GOOD).encode()), 1).results == (("value", "1"),)


@pytest.mark.parametrize(
    ("stdout", "outcome", "exit_status"),
    [
        (json.dumps(GOOD).encode(), "finished", 1), (json.dumps(GOOD).encode(), "finished", -9),
        (json.dumps(GOOD).encode(), "wall", None), (json.dumps(GOOD).encode(), "pids", None),
        (b"", "finished", 0), (b"x\n" + json.dumps(GOOD).encode(), "finished", 0), (b"[]", "finished", 0),
        (json.dumps(GOOD).encode() * 2, "finished", 0), (b"\xff", "finished", 0), (b"[" * 100_000, "finished", 0),
        (json.dumps({**GOOD, "more": 1}).encode(), "finished", 0),
        (json.dumps({**GOOD, "results": []}).encode(), "finished", 0),
        (json.dumps({**GOOD, "results": [["value", 1]]}).encode(), "finished", 0),
        (json.dumps({**GOOD, "results": [["good", "1"]]}).encode(), "finished", 0),
        (json.dumps({**GOOD, "results": ["value"]}).encode(), "finished", 0),
        (json.dumps({**GOOD, "results": 1}).encode(), "finished", 0),
        (json.dumps({**GOOD, "wrong": "out of order"}).encode(), "finished", 0),
    ],
    ids=range(17),
)  # fmt: skip
def test_anything_else_is_no_answer_and_says_why(stdout: bytes, outcome: Outcome, exit_status: int | None):
    answers = read(a_report(stdout, outcome, exit_status), 1)
    assert answers.results == ()
    assert answers.why
    (told,) = differences([F], Answers((("value", "1"),)), Answers((("value", "1"),)), answers, {})
    assert told.code == NOT_COMPARED


def answered(*texts: str, kind: str = "value") -> Answers:
    return Answers(tuple((kind, text) for text in texts))


def test_what_differs_is_told_by_function_with_the_shortest_call():
    known = [Call("pkg.calc", "f", (n,)) for n in (1000, 3)] + [Call("pkg.calc", "g", ())]
    was, now = answered("1", "9", "0"), answered("2", "10", "0")
    (told,) = differences(known, was, was, now, {"src/pkg/calc.py": Entry("file", b"")})
    assert (told.code, told.path, told.term) == (DIFFERS, "src/pkg/calc.py", "pkg.calc.f")
    assert told.msg == "pkg.calc.f(3) was 9, is 10 (2 of 2 varied calls differ)"


def test_equal_answers_tell_nothing():
    assert differences([F], answered("1"), answered("1"), answered("1"), {}) == ()


def test_what_the_base_answers_otherwise_each_time_tells_nothing():
    known = [F, Call("pkg.calc", "now", ())]
    assert differences(known, answered("1", "5"), answered("1", "6"), answered("1", "7"), {}) == ()


def test_a_base_that_is_never_steady_is_told():
    (told,) = differences([F], answered("1"), answered("2"), answered("1"), {})
    assert told.code == NOT_COMPARED


def test_another_kind_of_answer_differs():
    (told,) = differences([F], answered("1"), answered("1"), Answers((("raised", "ValueError"),)), {})
    assert told.msg == "pkg.calc.f(3) was 1, raises ValueError (1 of 1 varied calls differ)"


def test_calls_that_were_not_made_are_told():
    known = [F, Call("pkg.calc", "f", (4,))]
    (told,) = differences(known, answered("1", "2"), answered("1", "2"), Answers((("value", "1"), ("unrun", ""))), {})
    assert (told.code, "1 of 2 calls" in told.msg) == (NOT_COMPARED, True)


def test_what_the_room_saw_on_the_candidate_alone_is_told_with_equal_answers():
    one = (("value", "1"),)
    base, again = Answers(one, met=frozenset({"tmp"})), Answers(one)
    seen = Answers(one, met=frozenset({"tmp", "the command reached the limit of processes and threads, 128"}))
    (told,) = differences([F], base, again, seen, {})
    assert (told.code, "on the candidate alone: the command reached" in told.msg) == (NOT_COMPARED, True)
    assert differences([F], base, again, base, {}) == ()


def test_findings_are_bounded_and_harmless_to_show():
    known = [Call("pkg", f"f{n}", ("\x1b[31m" * 200,)) for n in range(50)]
    found = differences(known, answered(*["1"] * 50), answered(*["1"] * 50), answered(*["\x1b" * 400] * 50), {})
    assert len(found) == 21
    assert all("\x1b" not in told.msg and len(told.msg) < 400 for told in found)


def by_guest(tmp_path: Path, code: str, *asked: Call) -> list[list[str]]:
    (tmp_path / "calc.py").write_text(code)
    (tmp_path / ".evoguard-calls").write_text(repr([call.plain() for call in asked]))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-I", "-S", GUEST], cwd=tmp_path, env=env, capture_output=True, check=True)
    doc = json.loads(done.stdout)
    assert doc["wrong"] == ""
    assert not (tmp_path / ".evoguard-calls").exists()
    return doc["results"]


SAME = """
import dataclasses, enum, datetime
class Own:
    def __init__(self): self.x = object()
class Name(str): pass
class Color(enum.Enum): RED = 1
@dataclasses.dataclass
class D: a: int
def make(n):
    return [{"b": 1, "a": {2, 1}}, (1,), Own(), Name("x"), Color.RED, D(3), datetime.date(2020, 1, 2), 10**5000,
            (i for i in range(3)), b"x", 1.5, None][n]
def add(items): items.append(1)
class Deep:
    def __init__(self, n): self.n = n
    def up(self, k): return self.n + k
async def later(): return 1
def deep():
    a = []
    for _ in range(100): a = [a]
    return a
"""


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (Call("calc", "make", (0,)), "value", "{'a': set(1, 2), 'b': 1}"),
        (Call("calc", "make", (1,)), "value", "(1,)"),
        (Call("calc", "make", (2,)), "value", "Own object"),
        (Call("calc", "make", (3,)), "value", "Name('x')"),
        (Call("calc", "make", (4,)), "value", "Color.RED"),
        (Call("calc", "make", (5,)), "value", "D(a=3)"),
        (Call("calc", "make", (6,)), "value", "datedatetime.date(2020, 1, 2)"),
        (Call("calc", "make", (8,)), "value", "generator(0, 1, 2)"),
        (Call("calc", "make", (99,)), "raised", "IndexError"),
        (Call("calc", "none", ()), "raised", "AttributeError"),
        (Call("absent", "none", ()), "raised", "ModuleNotFoundError"),
        (Call("calc", "add", ([],)), "value", "None, and its arguments became (([1],), {},)"),
        (Call("calc", "Deep", (2,), (), (("up", (3,)),)), "value", "5"),
        (Call("calc", "later", ()), "value", "coroutine object"),
    ],
)
def test_the_guest_writes_values_so_that_equal_ones_read_alike(tmp_path, call, kind, text):
    assert by_guest(tmp_path, SAME, call) == [[kind, text]]


def test_the_guest_bounds_what_it_writes(tmp_path):
    for kind, text in by_guest(tmp_path, SAME, Call("calc", "make", (7,)), Call("calc", "deep", ())):
        assert kind == "value"
        assert len(text) <= 600


def test_a_call_that_ends_its_process_costs_that_call_alone(tmp_path):
    code = "import os\ndef f(n):\n    if n == 2: os._exit(0)\n    return n\n"
    asked = [Call("calc", "f", (n,)) for n in (1, 2, 3)]
    assert by_guest(tmp_path, code, *asked) == [["value", "1"], ["died", ""], ["value", "3"]]
