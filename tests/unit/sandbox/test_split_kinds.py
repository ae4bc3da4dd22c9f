"""What an object of the code's can do, and what the base's answers allow."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from evoguard_sandbox.guest.split_kinds import CALLED, DECIDES, FOREIGN, PLAIN
from unit.sandbox.splitting import link_of, linked, split_kinds, split_link

FUNCTION = ["__call__", "__get__", "__repr__"]


@pytest.mark.parametrize(
    ("special", "methods", "over", "valued", "level"),
    [
        (FUNCTION, [], [], False, CALLED),
        (FUNCTION, ["cache_info"], [], False, CALLED),
        (["__iter__", "__next__"], ["send", "throw", "close"], [], False, PLAIN),
        (["__iter__", "__next__"], ["difference"], [], False, DECIDES),
        (["__iter__"], [], [], False, DECIDES),
        (["__eq__", "__call__"], [], [], False, DECIDES),
        ([], [], [], False, DECIDES),
        (["__abs__"], [], [], False, DECIDES),
        (["__repr__", "__str__"], [], [], True, PLAIN),
        (["__repr__"], ["_asdict"], [], True, PLAIN),
        (["__eq__"], [], [], True, DECIDES),
        (["__repr__"], ["startswith"], ["startswith"], True, DECIDES),
    ],
)
def test_the_level_of_a_class(special, methods, over, valued, level):
    assert split_kinds.level(special, methods, over, valued=valued) == level


def test_an_answer_may_be_what_it_was_on_the_base_or_less():
    base = split_kinds.Kinds()
    for key, level in (("call m.f", PLAIN), ("call m.g", DECIDES), ("call m.g", PLAIN), ("get m.f", CALLED)):
        assert base.allows([key], level)
    candidate = split_kinds.Kinds()
    candidate.known = base.seen
    assert candidate.known == {"call m.f": PLAIN, "call m.g": DECIDES, "get m.f": CALLED}
    assert [candidate.allows(["call m.f"], level) for level in (PLAIN, CALLED, DECIDES)] == [True, False, False]
    assert [candidate.allows(["call m.g"], level) for level in (PLAIN, CALLED, DECIDES)] == [True, True, True]
    assert candidate.allows(["get m.new"], DECIDES)  # its name came from the code


def test_something_of_two_names_may_be_no_more_than_either_was():
    kinds = split_kinds.Kinds()
    kinds.known = {"call m.f": PLAIN, "call m.g": DECIDES}
    kinds.name(5, "m.g", is_class=False)
    kinds.name(5, "m.f", is_class=False)
    keys = kinds.keys("call", "", 5, is_class=False)
    assert keys == ["call m.f", "call m.g"]
    assert not kinds.allows(keys, DECIDES)
    assert kinds.keys("call", "", 5, is_class=True) == ["call "]


def test_what_an_object_gave_under_a_name_may_be_no_more_than_its_method_gave():
    kinds = split_kinds.Kinds()
    kinds.known = {"meth total": PLAIN}
    kinds.got[False, 9] = "total"
    assert kinds.keys("call", "", 9, is_class=False) == ["meth total"]
    kinds.name(9, "m.f", is_class=False)
    keys = kinds.keys("call", "", 9, is_class=False)
    assert keys == ["call m.f", "meth total"]
    assert not kinds.allows(keys, DECIDES)


def test_modules_and_what_was_lent_come_only_where_the_same_test_got_them_on_the_base():
    base, candidate = split_kinds.Kinds(), split_kinds.Kinds()
    base.turn("one")
    assert base.allows(["get m.sub"], FOREIGN)
    assert base.lends(FOREIGN)
    candidate.known = base.seen
    answers = {}
    for test in ("one", "two"):
        candidate.turn(test)
        answers[test] = [candidate.allows(["get m.sub"], FOREIGN), candidate.lends(FOREIGN), candidate.lends(DECIDES)]
    assert answers == {"one": [True] * 3, "two": [False, False, True]}
    candidate.turn("one")
    assert not candidate.allows(["never asked"], FOREIGN)


def test_a_class_that_a_test_meets_first_accuses_nobody():
    source = "import collections\ndef text(): return collections.UserString('a')\n"
    with linked(source) as cand:
        link = link_of(cand)
        link.kinds.known = {"call cand.text": DECIDES}
        link.kinds.turn("t")
        assert str(cand.text()) == "a"
        assert (link.tamper, link.unsplit) == ("", 0)


def test_what_was_learnt_is_told_once_and_bounded(monkeypatch):
    kinds = split_kinds.Kinds()
    kinds.allows(["a"], PLAIN)
    kinds.allows(["a"], DECIDES)
    assert kinds.take() == {"a": DECIDES}
    kinds.allows(["a"], CALLED)
    assert kinds.take() == {}
    monkeypatch.setattr(split_kinds, "MOST_KEYS", 3)
    for n in range(10):
        kinds.allows([f"b{n}"], PLAIN)
    assert len(kinds.seen) == 3


def asked(kinds, test: str, *questions) -> list[bool]:
    kinds.turn(test)
    return [kinds.may(kinds.told(op, name, number, is_class=False)) for op, name, number in questions]


def test_a_test_may_tell_the_code_what_it_told_it_on_the_base_and_nothing_else():
    base, candidate = split_kinds.Kinds(), split_kinds.Kinds()
    base.name(7, "m.f", is_class=False)
    assert all(asked(base, "t::one", ("meth", "area", None), ("du", "__eq__", None), ("call", "", 7)))
    candidate.known = base.seen
    candidate.name(7, "m.f", is_class=False)
    assert asked(candidate, "t::one", ("meth", "area", None), ("du", "__eq__", None), ("call", "", 7)) == [True] * 3
    assert asked(candidate, "t::two", ("meth", "area", None), ("du", "__eq__", None)) == [False, False]
    assert asked(candidate, "t::one", ("meth", "other", None), ("du", "__lt__", None), ("call", "", 8)) == [False] * 3


def test_a_method_and_what_can_be_called_under_its_name_are_one():
    base, candidate = split_kinds.Kinds(), split_kinds.Kinds()
    asked(base, "t", ("meth", "area", None))
    candidate.known = base.seen
    candidate.got[False, 9] = "area"
    assert asked(candidate, "t", ("call", "", 9)) == [True]


def test_what_the_interpreter_hands_over_tells_nothing():
    candidate = split_kinds.Kinds()
    candidate.known = {}
    assert asked(candidate, "t", ("du", "__format__", None), ("du", "__exit__", None)) == [True, True]
    assert asked(candidate, "t", ("du", "__getitem__", None)) == [False]


def test_what_is_asked_around_the_tests_belongs_to_none_of_them():
    base, candidate = split_kinds.Kinds(), split_kinds.Kinds()
    asked(base, "", ("meth", "area", None))
    candidate.known = base.seen
    assert asked(candidate, "", ("meth", "area", None)) == [True]
    assert asked(candidate, "t", ("meth", "area", None)) == [False]


ANSWERS = """
class Thing:
    def __call__(self): return 1
    def __iter__(self): return iter([1, 2])
    def __eq__(self, other): return True
    __hash__ = None
class Row(list):
    def __eq__(self, other): return True
    def index(self, item): return 0
def thing(): return Thing()
def row(): return Row([1, 2])
def rows(): return Row([Thing()])
"""
USES = [
    lambda x: x == 1, lambda x: x != 1, lambda x: 1 in [x], bool, list, tuple, lambda x: x.name,
    lambda x: isinstance(x, Iterable), lambda x: isinstance(x, int), lambda x: hasattr(x, "__iter__"),
    lambda x: x - 1, lambda x: 1 - x, lambda x: x.__class__, str, repr, hash, len,
]  # fmt: skip


@pytest.mark.parametrize("name", ["thing", "rows"])
def test_of_an_answer_that_is_more_than_the_bases_nothing_can_be_learnt(name):
    with linked(ANSWERS) as code:
        link = link_of(code)
        link.kinds.known = {f"call cand.{name}": PLAIN, f"get cand.{name}": CALLED}
        more = getattr(code, name)()
        assert (link.unsplit, callable(more)) == (0, name == "thing")
        for times, use in enumerate(USES, 1):
            with pytest.raises(split_link.proxy.UnsplitError):
                use(more)
            assert link.unsplit == times


def test_a_list_of_its_own_class_comes_as_what_it_holds():
    with linked(ANSWERS) as code:
        link_of(code).kinds.known = {"call cand.row": PLAIN, "get cand.row": CALLED}
        held = code.row()
        assert type(held) is list
        assert held == [1, 2]
        assert held.index(2) == 1
        assert link_of(code).unsplit == 0


LENDS = """
kept = []
def apply(function, x):
    kept.append(function)
    return function(x)
def later(x): return kept[0](x)
"""


def test_what_one_test_lent_is_used_in_another_only_where_the_bases_run_did_so():
    with linked(LENDS) as code:
        kinds = link_of(code).kinds
        kinds.turn("a")
        assert (code.apply(lambda x: 2 * x, 3), code.later(4)) == (6, 8)
        kinds.turn("b")
        before = dict(kinds.seen)
        assert code.later(5) == 10
        kinds.known = dict(kinds.seen)
        assert code.later(6) == 12
        kinds.known = before
        with pytest.raises(split_link.proxy.UnsplitError, match="lent"):
            code.later(7)
