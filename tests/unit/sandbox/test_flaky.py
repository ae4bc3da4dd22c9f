"""Which of the base's tests are steady: only runs of the base say so, and the first way that is steady counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from evoguard_sandbox.judging import flaky
from evoguard_sandbox.judging.evidence import Base, allowed
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.mutants import sites
from evoguard_sandbox.judging.runs import Ask
from evoguard_sandbox.trees import Entry
from evoguard_sandbox.types import TestResult

SOURCE = b"def test_a():\n    assert 1 == 1\n\ndef test_b():\n    assert 2 == 2\n\ndef test_c():\n    assert 3 == 3\n"
A, B, C = (f"t.py::test_{name}" for name in "abc")
FIRST, SECOND = (
    {"t.py": [site for site in sites("t.py", SOURCE) if site.test in names]}
    for names in (("test_a",), ("test_b", "test_c"))
)
HALVES = (FIRST, SECOND)


def a_run(red: set[str], absent: frozenset[str] = frozenset()) -> RunFacts:
    tests = tuple(TestResult(i, "failed" if i in red else "passed", 1) for i in (A, B, C) if i not in absent)
    status = int(bool(red))
    return RunFacts("finished", found=3, tests=tests, end_status=status, exit_status=status)


class Told:
    """Stands in for the runs of one base: `answer` says how each comes out, by its number and what is asked."""

    def __init__(self, answer: Callable[[int, Ask, set[str]], RunFacts]) -> None:
        self.base, self.answer, self.asks = {"t.py": Entry("file", SOURCE)}, answer, list[Ask]()

    async def on(self, ask: Ask) -> RunFacts:
        self.asks.append(ask)
        return self.answer(len(self.asks), ask, mutated(ask))


def mutated(ask: Ask) -> set[str]:
    now, was = (data.splitlines() for data in (ask.tree["t.py"].data, SOURCE))
    return {name for name, line in ((A, 1), (B, 4), (C, 7)) if now[line] != was[line]}


async def steady(answer: Callable[[int, Ask, set[str]], RunFacts], first: Base | None = None) -> tuple[Base, Told]:
    runs = Told(answer)
    return await flaky.steady(runs, frozenset({"t.py"}), first or Base(a_run(set())), HALVES), runs  # type: ignore[arg-type]  # by its methods


async def test_a_steady_base_is_run_shuffled_with_all_its_mutants():
    found, runs = await steady(lambda n, ask, false: a_run(false))
    assert (found.shuffled, found.unstable, len(runs.asks)) == (True, frozenset(), 2)
    assert found.biting == ({A}, {B, C})


async def test_tests_that_need_their_order_are_kept_in_it_and_are_not_unsteady():
    found, runs = await steady(lambda n, ask, false: a_run(false | ({C} if ask.shuffled else set())))
    assert (found.shuffled, found.unstable) == (False, frozenset())
    assert found.biting == ({A}, {B, C})
    assert len(runs.asks) == 5  # twice shuffled, twice in order, and once more to see that this was no luck


async def test_luck_in_order_is_seen_by_the_run_more():
    found, _ = await steady(lambda n, ask, false: a_run(false | ({C} if n in (1, 5) else set())))
    assert found.unstable == {C}
    assert found.biting == ({A}, {B})


async def test_mutants_that_disturb_others_are_kept_to_accuse_and_what_they_disturb_is_not_unsteady():
    found, runs = await steady(lambda n, ask, false: a_run(false | ({C} if A in false else set())))
    assert (found.halves, found.unstable, found.disturbed) == (HALVES, frozenset(), {C})
    assert (found.shuffled, found.biting) == (False, ({A}, {B, C}))
    assert len(runs.asks) == 7


async def test_mutants_that_end_the_run_are_left_out():
    found, _ = await steady(
        lambda n, ask, false: replace(a_run(false), end_status=None) if A in false else a_run(false)
    )
    assert (found.halves, found.unstable, found.disturbed) == (({}, {}), frozenset(), frozenset())


async def test_what_flickers_beside_mutants_that_disturb_others_judges_nothing():
    def answer(n: int, ask: Ask, false: set[str]) -> RunFacts:
        return a_run(false | ({C} if A in false else set()) | ({B} if n % 2 and A not in false else set()))

    found, _ = await steady(answer)
    assert (found.halves, found.disturbed, found.unstable) == (HALVES, {C}, {B})
    assert found.biting == ({A}, {C})


async def test_a_test_that_flickers_by_itself_judges_nothing_and_the_others_keep_order_and_mutants():
    found, _ = await steady(lambda n, ask, false: a_run(false | ({C} if n % 2 else set())))
    assert (found.shuffled, found.halves, found.unstable) == (True, HALVES, {C})
    assert found.biting == ({A}, {B})


async def test_a_test_that_is_not_always_there_is_unsteady():
    found, _ = await steady(lambda n, ask, false: a_run(false, frozenset({C} if n % 2 else ())))
    assert found.unstable == {C}


async def test_a_room_that_fails_while_steadiness_is_measured_is_told():
    found, _ = await steady(lambda n, ask, false: RunFacts(why="gone") if n == 2 else a_run(false))
    assert found.plain.outcome == "void"
    found, _ = await steady(
        lambda n, ask, false: RunFacts() if n == 5 else a_run(false | ({C} if ask.shuffled else set()))
    )
    assert found.plain.outcome == "void"


@pytest.mark.parametrize(
    ("second", "unstable", "asked"),
    [(set(), {A}, 2), ({A}, set(), 2), ({B}, {A, B}, 2)],
)
async def test_a_red_test_of_the_base_gets_one_run_more(second, unstable, asked):
    runs = Told(lambda n, ask, false: a_run({A} if n == 1 else second))
    found = await flaky.plain(runs, frozenset())  # type: ignore[arg-type]  # by its methods
    assert (found.unstable, len(runs.asks)) == (unstable, asked)


async def test_a_green_base_is_not_run_again_and_neither_is_one_that_is_red_throughout():
    for red, count in ((set(), 1), ({A, B, C}, 2)):
        runs = Told(lambda n, ask, false, red=red: a_run(red))
        found = await flaky.plain(runs, frozenset())  # type: ignore[arg-type]  # by its methods
        assert (found.unstable, len(runs.asks)) == (frozenset(), count)


def test_three_or_one_in_twenty_may_be_unsteady():
    assert [allowed(n) for n in (0, 1, 60, 79, 80, 1000)] == [3, 3, 3, 3, 4, 50]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_one_test_alone_is_as_false_as_it_was_among_the_others(newline):
    source = b"# \xc3\xa9\ndef test_a():\n    assert [\n        1,\n    ] == [1]\n".replace(b"\n", newline) + SOURCE
    chosen = {"t.py": list({site.test: site for site in sites("t.py", source)}.values())}
    tree = {"t.py": Entry("file", source), "u.py": Entry("file", b"")}
    false = flaky.mutate(tree, chosen)
    alone = flaky.only_false(tree, false, chosen, {"t.py::test_b"})
    was, now, both = (files["t.py"].data.splitlines() for files in (tree, alone, false))
    (spot,) = [site.start[0] - 1 for site in chosen["t.py"] if site.test == "test_b"]
    assert [n for n, line in enumerate(now) if line != was[n]] == [spot]
    assert now[spot] == both[spot]
    assert flaky.only_false(tree, false, chosen, set())["t.py"].data == source
    assert flaky.only_false(tree, false, chosen, {f"t.py::test_{name}" for name in "abc"})["t.py"] == false["t.py"]
