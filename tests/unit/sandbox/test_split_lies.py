"""Objects that lie with state when they are compared: they are not believed, and what they decide is noted."""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import uuid

import pytest

from unit.sandbox.splitting import link_of, linked

from split_doubt import NEIGHBOURS, LonelyError, among  # isort: skip
from split_proxy import TamperError, UnsplitError  # isort: skip

# No right answer is anywhere in here: each goes by how often it was asked, or by what the question looks like.
LIARS = """
class Lie:
    __hash__ = None
    def __init__(self, *says): self.says, self.seen = list(says), []
    def _say(self, other):
        self.seen.append(other)
        return self.says[(len(self.seen) - 1) % len(self.says)]
    def __eq__(self, other): return self._say(other)
    def __lt__(self, other): return self._say(other)
    def __gt__(self, other): return self._say(other)
    def __contains__(self, other): return self._say(other)
    def asked(self): return [repr(other) for other in self.seen]
def first(n): return Lie(*[True] * n, *[False] * 200)
def every(n): return Lie(True, *[False] * (n - 1))
class Middle(Lie):
    def _say(self, other):
        self.seen.append(other)
        return len(self.seen) > 4 and other == sorted(self.seen)[len(self.seen) // 2]
class Repeated(Lie):
    def _say(self, other):
        self.seen.append(other)
        return self.seen.count(other) > 1
class Raiser(Lie):
    def _say(self, other):
        self.seen.append(other)
        if len(self.seen) > self.says[0]: raise ValueError("no more")
        return True
class Patchy:
    def __lt__(self, other): return other % 3 != 0
    def __gt__(self, other): return False
class Zero:
    def __sub__(self, other): return 0
    def __rsub__(self, other): return 0
    def __mod__(self, other): return 0
class Below(Lie):
    def __lt__(self, other): return True
    def __gt__(self, other): return False
class Moody:
    n = 0
    def __bool__(self): self.n += 1; return self.n % 2 == 1
    def __hash__(self): self.n += 1; return self.n
    def __len__(self): self.n += 1; return self.n
    def __iter__(self): self.n += 1; return iter(range(self.n))
class Rows(list):
    def __eq__(self, other): self[:] = other; return True
    def __contains__(self, item): self.append(item); return True
    __hash__ = None
class Table(dict):
    def __eq__(self, other): self.update(other); return True
    __hash__ = None
class Whole(int):
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    def __hash__(self): return 3
"""
TRIES = 60


def believed(link, attempt) -> bool:
    """Tell whether a test that asks this would pass and count as run apart from the code."""
    before = link.unsplit + link.leaned
    try:
        said = attempt()
    except (TamperError, UnsplitError, ValueError):
        return False
    return bool(said) and link.unsplit + link.leaned == before


def yes(attempt) -> bool:
    """Tell whether the comparison itself comes out true, whatever is noted of it."""
    try:
        return bool(attempt())
    except (TamperError, UnsplitError):
        return False


@pytest.mark.parametrize(
    "made", ["first(1)", "first(2)", "first(3)", "every(2)", "every(3)", "Middle()", "Repeated()", "Raiser(1)"]
)
@pytest.mark.parametrize(
    "attempt",
    [
        lambda lie: lie == 3,
        lambda lie: lie == "three",
        lambda lie: lie == [1, 2, 3],
        lambda lie: [lie, 1] == [3, 1],
        lambda lie: 3 in lie,
        lambda lie: lie in [3],
        lambda lie: (lie != 3) is False,
    ],
)
def test_an_object_that_counts_its_questions_is_never_believed(made, attempt):
    with linked(LIARS + f"def make(): return {made}\n") as cand:
        assert not any(believed(link_of(cand), lambda: attempt(cand.make())) for _ in range(5))


def test_who_says_yes_once_is_right_about_one_time_in_nine():
    with linked(LIARS) as cand:
        for count in (1, 2):
            right = sum(yes(lambda count=count: cand.first(count) == 3) for _ in range(TRIES))
            assert right <= (TRIES // 3 if count == 1 else 0)


@pytest.mark.parametrize("value", [3, -17, 1 << 70, 2.5, "three", "x", b"ab", [1, 2], ("a", 2), {"k": 1}, {4, 5}])
def test_each_question_is_asked_once_and_all_of_them_whatever_is_answered(value):
    with linked(LIARS) as cand:
        seen = []
        for says in (False, True):
            lie = cand.Lie(says)
            try:
                assert (lie == value) is False
            except UnsplitError:
                assert says
            seen.append(lie.asked())
        assert [len(asked) for asked in seen] == [NEIGHBOURS + 1] * 2
        assert len(set(seen[0])) == NEIGHBOURS + 1
        assert sorted(seen[0]) == sorted(seen[1]), "a second question about one value must not have new neighbours"


def test_an_error_of_a_comparison_is_no_yes_and_the_true_ones_is_the_tests_to_see():
    with linked(LIARS) as cand:
        link = link_of(cand)
        for attempt in (lambda x: x == 3, lambda x: x < 3, lambda x: 3 in x):
            with pytest.raises(ValueError, match="no more"):
                attempt(cand.Raiser(0))
        assert (link.leaned, link.tamper) == (0, "")


def test_the_true_value_stands_at_every_place_and_at_every_rank():
    places, ranks = set(), set()
    with linked(LIARS) as cand:
        for value in range(120):
            lie = cand.Lie(False)
            assert lie != value
            asked = [int(each) for each in lie.asked()[: NEIGHBOURS + 1]]
            places.add(asked.index(value))
            ranks.add(sorted(asked).index(value))
    assert places == ranks == set(range(NEIGHBOURS + 1))


@pytest.mark.parametrize(
    "value",
    [
        7, 0, -1, 1 << 64, 2.5, 0.1, 1e-9, 1e22, "a", "hello world", "1.0.3", "ß", b"\0", b"abc", [1], ["a", [2]],
        (1.5,), {"a": 1}, {"a": True}, {1, 2}, frozenset("ab"), decimal.Decimal("1.10"), fractions.Fraction(1, 3),
        datetime.date(2020, 2, 29), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(seconds=5),
        uuid.UUID(int=5), pathlib.PurePosixPath("a/b"),
    ],
    ids=repr,
)  # fmt: skip
def test_neighbours_are_of_one_kind_and_none_is_the_value(value):
    found = among(value)
    assert len(found) == NEIGHBOURS + 1
    assert found[0] == value
    assert {type(each) for each in found} == {type(value)}
    assert all(a != b for at, a in enumerate(found) for b in found[:at])


@pytest.mark.parametrize("value", [True, None, "", b"", [], (), {}, float("nan"), float("inf"), [True], object(), int])
def test_what_has_no_neighbours_is_said_to_have_none(value):
    with pytest.raises(LonelyError):
        among(value)


@pytest.mark.parametrize("value", [True, None, "", [], {}])
def test_a_yes_to_what_cannot_be_hidden_is_refused_and_a_no_is_not(value):
    with linked(LIARS) as cand:
        with pytest.raises(UnsplitError):
            assert cand.Lie(True) == value
        assert cand.Lie(False) != value


def test_an_order_without_a_bound_is_refused_and_a_fixed_one_leans():
    with linked(LIARS) as cand:
        link = link_of(cand)
        assert not any(believed(link, lambda: cand.first(2) < 5) for _ in range(20))
        with pytest.raises(TamperError):
            assert cand.Lie(True) < 5
    with linked(LIARS) as cand, pytest.raises(UnsplitError, match="no order"):
        assert [cand.Patchy() < value for value in range(1, 60, 3)]
    with linked(LIARS) as cand:
        assert cand.Below() < 5
        assert (link_of(cand).leaned, link_of(cand).unsplit) == (1, 1)


@pytest.mark.parametrize("attempt", [lambda x: abs(x - 3.0) < 1e-9, lambda x: 3 - x == 0, lambda x: x % 7 == 0])
def test_an_operation_that_hears_the_expected_value_decides_nothing(attempt):
    with linked(LIARS) as cand:
        assert not believed(link_of(cand), lambda: attempt(cand.Zero()))


def test_truth_and_hash_that_do_not_last_are_refused():
    with linked(LIARS) as cand:
        moody = cand.Moody()
        with pytest.raises(UnsplitError):
            assert moody
        assert hash(moody) == hash(moody)
        assert len({moody, moody}) == 1
        assert list(moody) != [1, 2, 3]


@pytest.mark.parametrize(
    "attempt",
    [
        lambda cand: cand.Rows([1]) == [1, 2],
        lambda cand: 5 in cand.Rows([1]),
        lambda cand: cand.Table(a=1) == {"b": 2},
        lambda cand: cand.Whole(7) == 3,
        lambda cand: cand.Whole(7) < 3,
    ],
)
def test_data_is_fetched_before_the_expected_value_is_told(attempt):
    with linked(LIARS) as cand:
        assert not believed(link_of(cand), lambda: attempt(cand))


def test_what_data_decides_is_believed_and_leans_on_nothing():
    with linked(LIARS) as cand:
        link = link_of(cand)
        assert believed(link, lambda: cand.Rows([1, 2]) == [1, 2])
        assert believed(link, lambda: 1 in cand.Rows([1, 2]))
        assert believed(link, lambda: cand.Table(a=1) == {"a": 1})
        assert believed(link, lambda: cand.Whole(7) == 7)
        assert believed(link, lambda: cand.Whole(7) < 8)


HONEST = """
import functools
@functools.total_ordering
class Num:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return self.n == getattr(other, "n", other)
    def __lt__(self, other): return self.n < getattr(other, "n", other)
    def __hash__(self): return hash(self.n)
    def __add__(self, other): return self.n + other
class Whole(int):
    def __add__(self, other): return int(self) + other
class Near(Num):
    def __eq__(self, other): return abs(self.n - getattr(other, "n", other)) <= 5
    __hash__ = None
class NoCase(str):
    def __eq__(self, other): return self.lower() == other.lower()
    def __hash__(self): return hash(self.lower())
class Least:
    def __lt__(self, other): return True
    def __le__(self, other): return True
    def __gt__(self, other): return False
    def __ge__(self, other): return False
    def __eq__(self, other): return isinstance(other, Least)
    def __ne__(self, other): return not isinstance(other, Least)
    __hash__ = None
class From:
    def __init__(self, n): self.n = n
    def __contains__(self, item): return item >= self.n
class Anything:
    def __eq__(self, other): return True
    __hash__ = None
"""


def test_an_honest_comparison_is_right_and_noted():
    with linked(HONEST) as cand:
        link = link_of(cand)
        for attempt in (
            lambda: cand.Num(3) == 3,
            lambda: cand.Num(3) == cand.Num(3),
            lambda: cand.Num(3) < 4,
            lambda: cand.Num(3) >= cand.Num(2),
            lambda: cand.Num(4) <= 4.5,
            lambda: cand.Num(4) + 1 == 5,
        ):
            before = link.leaned
            assert attempt()
            assert link.leaned > before
        before = link.leaned
        assert cand.Num(3) != 4
        assert cand.Whole(3) + 4 == 7
        assert link.leaned == before
        before = link.unsplit
        assert cand.Num(3) == cand.Num(3)
        assert (link.unsplit, link.tamper) == (before, ""), "nobody told the code what is expected"


def test_objects_of_the_code_compare_with_each_other_and_that_is_noted_where_it_decides():
    with linked(HONEST) as cand:
        link = link_of(cand)
        for decides, attempt in (
            (True, lambda: cand.Least() < cand.Num(3)),
            (True, lambda: not cand.Least() > cand.Num(3)),
            (True, lambda: cand.Least() == cand.Least()),
            (True, lambda: not cand.Least() != cand.Least()),  # noqa: SIM202 (the method for it is another)
            (False, lambda: cand.Least() != cand.Num(3)),
            (False, lambda: not cand.Least() == cand.Num(3)),  # noqa: SIM201
        ):
            before = link.leaned
            assert attempt()
            assert (link.leaned > before) is decides
        assert (link.unsplit, link.tamper) == (0, "")


def test_an_honest_tolerance_is_refused_and_never_accused():
    for attempt in (
        lambda cand: cand.Near(20) == 20,
        lambda cand: cand.From(3) and 5 in cand.From(3),
        lambda cand: cand.Anything() == 5,
        lambda cand: cand.Anything() == "five",
    ):
        for _ in range(5):
            with linked(HONEST) as cand:
                with pytest.raises(UnsplitError):
                    attempt(cand)
                assert link_of(cand).tamper == ""


def test_a_value_that_ignores_case_is_compared_by_what_it_is():
    with linked(HONEST) as cand:
        link = link_of(cand)
        assert believed(link, lambda: cand.NoCase("ab") == "ab")
        assert not believed(link, lambda: cand.NoCase("ab") == "AB")
        assert link.tamper == ""
