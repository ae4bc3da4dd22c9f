"""An honest candidate in a real second interpreter behaves as it does in one process."""

from __future__ import annotations

import copy
import io
import json
import operator
import pickle
import unittest
import warnings
from collections.abc import Mapping

import pytest

from unit.sandbox.splitting import link_of, linked

from split_proxy import UnsplitError  # isort: skip

HONEST = """
import collections, collections.abc, dataclasses, enum, warnings
class Oops(ValueError):
    def __init__(self, text, code=7):
        super().__init__(text)
        self.code = code
class Noted(UserWarning): pass
class Point(collections.namedtuple("Point", "x y")): pass
@dataclasses.dataclass(order=True)
class Pair:
    left: int
    right: str = "r"
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Level(enum.IntEnum):
    LOW = 1
class Name(str):
    def shout(self): return self.upper() + "!"
class Bag(dict):
    def extra(self): return len(self) + 100
class Rows(list): pass
class View(collections.abc.Mapping):
    def __init__(self, held): self.held = held
    def __getitem__(self, key): return self.held[key]
    def __iter__(self): return iter(self.held)
    def __len__(self): return len(self.held)
class Ctx:
    log = []
    def __enter__(self): self.log.append("in"); return self
    def __exit__(self, kind, error, trace): self.log.append(kind and kind.__name__); return True
class Num:
    def __init__(self, n): self.n = n
    def __add__(self, other): return Num(self.n + int(other))
    def __radd__(self, other): return Num(other - self.n)
    def __index__(self): return self.n
    def __int__(self): return self.n
    def __eq__(self, other): return self.n == other if isinstance(other, int) else NotImplemented
    def __lt__(self, other): return self.n < int(other)
    def __gt__(self, other): return self.n > int(other)
    def __hash__(self): return hash(self.n)
    def __repr__(self): return f"<{self.n}>"
    def __format__(self, spec): return spec + str(self.n)
    def __call__(self, *args, **kw): return [args, kw]
    def __getitem__(self, at): return range(self.n)[at]
    def __len__(self): return self.n
def fail(text): raise Oops(text, code=9)
def grow(items): items.append(len(items)); return items
def setit(d): d["new"] = [1]
def same(x): return x
def each(f, xs): return [f(x) for x in xs]
def count(n):
    yield from range(n)
def warn(): warnings.warn("old", Noted); return 1
def write(f): f.write("a"); f.write("b"); return f.tell()
def total(xs): return sum(xs)
def guarded(f):
    try: f()
    except Exception as e: return type(e).__name__
def swallow(f):
    try: f()
    except BaseException: return "swallowed"
def again(f): return f()
def digest(make): return make(b"x").hexdigest()
def attribute(x): return x.size
"""


@pytest.fixture(scope="module")
def cand():
    with linked(HONEST) as module:
        yield module


def test_errors_are_of_their_class_with_text_arguments_and_attributes(cand):
    with pytest.raises(cand.Oops, match="bad") as told:
        cand.fail("bad")
    assert isinstance(told.value, ValueError)
    assert (told.value.args, told.value.code) == (("bad",), 9)
    made = cand.Oops("x", code=3)
    assert (str(made), made.code, type(made)) == ("x", 3, cand.Oops)


def test_arguments_that_were_changed_are_changed_here_and_stay_themselves(cand):
    items, table = ["a"], {}
    assert cand.grow(items) is items
    assert items == ["a", 1]
    cand.setit(table)
    assert table == {"new": [1]}


def test_values_of_the_candidates_own_kinds_are_of_those_kinds(cand):
    point, name, level = cand.Point(1, 2), cand.Name("ab"), cand.Level.LOW
    assert (point, point.y, isinstance(point, tuple)) == ((1, 2), 2, True)
    assert (name, name.shout(), len(name), type(name)) == ("ab", "AB!", 2, cand.Name)
    assert (level, level.name, level is cand.Level.LOW) == (1, "LOW", True)
    assert cand.Color.RED is cand.Color["RED"] is cand.Color(1)
    assert [color.value for color in cand.Color] == [1, 2]
    assert cand.Pair(1) == cand.Pair(1)
    assert cand.Pair(1) < cand.Pair(2)
    assert cand.Pair(1) != cand.Pair(1, "s")


def test_containers_of_the_candidate_do_what_theirs_do(cand):
    bag, rows = cand.Bag(a=1), cand.Rows([1, 2])
    bag.update(b=2)
    assert isinstance(bag, dict)
    assert (sorted(bag.items()), bag.extra(), "b" in bag, bag.get("z", 5)) == ([("a", 1), ("b", 2)], 102, True, 5)
    assert bag == {"a": 1, "b": 2}
    assert dict(bag) == {"a": 1, "b": 2}
    rows.append(3)
    rows[0] = 9
    assert (list(rows), len(rows), rows[1:], isinstance(rows, list)) == ([9, 2, 3], 3, [2, 3], True)
    view = cand.View({"k": 1})
    assert isinstance(view, Mapping)
    assert (view["k"], list(view.keys()), view.get("q")) == (1, ["k"], None)


def test_what_reads_a_container_past_its_methods_does_not_find_it_empty(cand):
    assert json.dumps(cand.Bag(a=1)) == '{"a": 1}'
    assert "".join(cand.Rows(["a"])) == "a"
    joined = operator.add([0], cand.Rows(["a"]))
    assert joined != [0]
    with pytest.raises(UnsplitError):
        assert joined == [0, "a"]


def test_operators_conversions_and_calls(cand):
    num = cand.Num(3)
    assert int(num + 2) == 5
    assert int(10 + num) == 7
    assert (operator.index(num), repr(num), f"{num:>>}", len(num)) == (3, "<3>", ">>3", 3)
    assert num == 3
    assert num != 4
    assert num < 4
    assert not num > 3
    assert {3: "x"}[num] == "x"
    assert num(1, a=2) == [(1,), {"a": 2}]
    assert list(num) == [0, 1, 2]
    assert callable(num)
    assert not callable(cand.Pair(1))
    assert sorted([cand.Num(2), cand.Num(1)])[0] == 1


def test_callbacks_generators_files_and_library_names_go_over(cand):
    assert cand.each(lambda x: x * 2, [1, 2]) == [2, 4]
    assert list(cand.count(3)) == [0, 1, 2]
    assert cand.total(x for x in (1, 2, 3)) == 6
    file = io.StringIO()
    assert cand.write(file) == 2
    assert file.getvalue() == "ab"
    import hashlib

    assert cand.digest(hashlib.sha256) == hashlib.sha256(b"x").hexdigest()
    assert cand.same(str) is str
    assert cand.same(cand.Color.RED) is cand.Color.RED

    class Sized:
        size = 4

    sized = Sized()
    assert cand.attribute(sized) == 4
    assert cand.same(sized) is sized


def test_an_error_of_a_callback_comes_back_as_itself(cand):
    class MineError(KeyError):
        pass

    def boom():
        raise MineError("k")

    with pytest.raises(MineError):
        cand.again(boom)
    assert cand.guarded(boom) == "KeyError"


def test_a_failed_check_in_a_callback_cannot_be_swallowed(cand):
    def check():
        raise AssertionError("wrong")

    with pytest.raises(AssertionError, match="wrong"):
        cand.swallow(check)
    with pytest.raises(RuntimeError, match="SkipTest"):
        cand.again(lambda: (_ for _ in ()).throw(unittest.SkipTest("x")))


def test_a_context_manager_enters_and_leaves_but_suppresses_nothing(cand):
    with cand.Ctx() as inside:
        assert inside.log == ["in"]
    with pytest.raises(AssertionError), cand.Ctx():
        raise AssertionError
    assert cand.Ctx.log == ["in", None, "in", "AssertionError"]


def test_warnings_are_issued_again_with_their_class(cand):
    with pytest.warns(cand.Noted, match="old"):
        assert cand.warn() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(cand.Noted):
            cand.warn()


def test_copies_and_pickles_are_made_over_there(cand):
    pair = cand.Pair(1, "z")
    for made in (copy.copy(pair), copy.deepcopy(pair), copy.deepcopy([pair])[0]):
        assert made == pair
        assert made is not pair
    assert type(pickle.dumps(pair)) is bytes


def test_monkeypatching_reaches_the_code_under_test(cand, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cand, "same", lambda x: "patched")
        assert cand.same(1) == "patched"
    assert cand.same(1) == 1


def test_what_cannot_cross_is_neither_an_error_of_the_candidate_nor_quiet(cand):
    link = link_of(cand)
    before = link.unsplit

    class Child(cand.Pair):
        pass

    with pytest.raises(UnsplitError):
        Child(1).left  # noqa: B018 (that it raises is what is asked)
    with pytest.raises(UnsplitError):
        cand.same(pytest.param(1))
    with pytest.raises(UnsplitError):
        cand.same(type("Any", (), {"__eq__": lambda self, other: True})())
    assert link.unsplit == before + 3
    assert not link.tamper


def test_calls_with_plain_arguments_are_noted_for_later(cand):
    link = link_of(cand)
    link.log.clear()
    cand.total([1, 2])
    cand.each(len, ["a"])
    cand.Pair(4, "q")
    assert link.log == [("cand", "total", [["l", None, [1, 2]]]), ("cand", "Pair", [4, "q"])]


def test_objects_that_nobody_holds_any_more_are_let_go(cand):
    link = link_of(cand)
    for _ in range(50):
        cand.Num(1)
    cand.same(1)
    assert len(link.live) < 45
