"""The first answer: which tests a change reaches, what counts as red, and that it is never anything but a no."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from evoguard_sandbox.judging import early, impact
from evoguard_sandbox.judging.evidence import Base
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.runs import Ask
from evoguard_sandbox.judging.together import Together
from evoguard_sandbox.trees import Entry, Tree
from evoguard_sandbox.types import TestResult

TEXTS = {
    "src/pkg/__init__.py": "",
    "src/pkg/low.py": "X = 1\n",
    "src/pkg/mid.py": "from . import low\n",
    "src/pkg/top.py": "from .mid import *\n",
    "src/pkg/alone.py": "import json\n",
    "tests/conftest.py": "",
    "tests/helper.py": "import pkg.low\n",
    "tests/test_top.py": "from pkg import top\n",
    "tests/test_alone.py": "import pkg.alone as a\n",
    "tests/test_helped.py": "def test():\n    from helper import low\n",
    "tests/sub/conftest.py": "from pkg import mid\n",
    "tests/sub/test_fixture.py": "",
    "tests/test_none.py": "",
}
KEPT = frozenset(path for path in TEXTS if path.startswith("tests/"))


def tree(**change: str | None) -> Tree:
    texts = {**TEXTS, **{path.replace("__", "/") + ".py": text for path, text in change.items()}}
    return {path: Entry("file", text.encode()) for path, text in texts.items() if text is not None}


BASE = tree()
LOW = ("tests/sub/test_fixture.py", "tests/test_helped.py", "tests/test_top.py")


@pytest.mark.parametrize(
    ("change", "reached"),
    [
        ({}, ()),
        ({"src__pkg__low": "X = 2\n"}, LOW),
        ({"src__pkg__low": None}, LOW),
        ({"src__pkg__mid": ""}, ("tests/sub/test_fixture.py", "tests/test_top.py")),
        ({"src__pkg__alone": ""}, ("tests/test_alone.py",)),
        ({"src__pkg__new": ""}, ()),
        ({"src__pkg__low": "def ((("}, LOW),
    ],
)
def test_a_change_reaches_the_tests_that_import_it_by_whatever_way(change, reached):
    assert impact.reached(BASE, tree(**change), KEPT) == reached


def test_what_changes_every_package_reaches_every_test_that_uses_it():
    found = impact.reached(BASE, {**BASE, "src/pkg/__init__.py": Entry("file", b"X = 1\n")}, KEPT)
    assert found == ("tests/sub/test_fixture.py", "tests/test_alone.py", "tests/test_helped.py", "tests/test_top.py")


@pytest.mark.parametrize(
    "laid",
    [
        {**BASE, "src/pkg/data.txt": Entry("file", b"x")},
        {**BASE, "src/pkg/low.py": Entry("link", b"mid.py")},
        {**BASE, "src/pkg/low.py": Entry("file", b""), "setup.cfg": Entry("file", b"")},
    ],
)
def test_what_is_no_python_file_reaches_nobody_knows_what(laid):
    assert impact.reached(BASE, laid, KEPT) is None


def test_a_base_that_cannot_be_read_gives_no_answer():
    broken = {**BASE, "tests/test_none.py": Entry("file", b"def (((")}
    assert impact.reached(broken, {**broken, "src/pkg/low.py": Entry("file", b"")}, KEPT) is None
    large = {**BASE, "src/pkg/large.py": Entry("file", b"#" * (impact.MOST_BYTES + 1))}
    assert impact.reached(large, {**large, "src/pkg/low.py": Entry("file", b"")}, KEPT) is None


IDS = [f"t{n}.py::t" for n in range(6)]
GREEN = RunFacts("finished", found=6, tests=tuple(TestResult(i, "passed", 1) for i in IDS), end_status=0, exit_status=0)
ONE = replace(GREEN, found=1, tests=GREEN.tests[:1])
RED = replace(ONE, tests=(TestResult(IDS[0], "failed", 1, "why"),), end_status=1, exit_status=1)
OTHER_RED = TestResult(IDS[1], "failed", 1, "why")
UNREAD = replace(ONE, found=0, tests=(), uncollected=(("t0.py", "SyntaxError"),), end_status=2, exit_status=2)


class Told:
    def __init__(self, *runs: RunFacts) -> None:
        self.base, self.told = {"t0.py": Entry("file", b"base")}, list(runs)

    async def on(self, ask: Ask) -> RunFacts:
        assert ask.at_once
        assert ask.targets == ["t0.py"]
        return self.told.pop(0)


async def answer(base: Base, *runs: RunFacts) -> early.Early | None:
    known = asyncio.get_running_loop().create_future()
    known.set_result(base)
    return await early.answer(Told(*runs), Ask({}, frozenset(), ["t0.py"]), known)  # type: ignore[arg-type]  # by its methods


@pytest.mark.parametrize(("run", "name"), [(RED, IDS[0]), (UNREAD, "t0.py")])
async def test_red_on_the_candidate_and_green_on_the_base_is_an_answer(run, name):
    found = await answer(Base(GREEN), run, run, ONE)
    assert found is not None
    assert [(f.code, f.term) for f in found.findings] == [("tests.failed", name)]
    assert (found.tests, found.of) == (1, 6)


@pytest.mark.parametrize(
    ("base", "run", "on_base"),
    [
        (Base(GREEN), ONE, ONE),  # green is no answer
        (Base(GREEN), replace(RED, outcome="void"), ONE),
        (Base(GREEN), replace(RED, outcome="wall"), ONE),
        (Base(GREEN), replace(RED, outcome="memory"), ONE),
        (Base(GREEN), replace(RED, forged="x"), ONE),  # a forger is for the full rules to name
        (Base(GREEN), replace(RED, patched="x"), ONE),
        (Base(GREEN), replace(RED, end_status=None), ONE),
        (Base(GREEN), RED, RED),  # alone it is red on the base, too
        (Base(GREEN), RED, replace(ONE, outcome="void")),
        (Base(GREEN, unstable=frozenset({IDS[0]})), RED, ONE),
        (Base(replace(GREEN, tests=GREEN.tests[1:])), RED, ONE),
        (Base(RunFacts()), RED, ONE),
        (Base(ONE), RED, ONE),  # not fewer than half
        (Base(GREEN), replace(UNREAD, uncollected=(("other.py", "x"),)), ONE),
    ],
)
async def test_anything_else_is_no_answer(base, run, on_base):
    assert await answer(base, run, run, on_base) is None


@pytest.mark.parametrize("second", [ONE, UNREAD, replace(RED, outcome="void"), replace(RED, tests=(OTHER_RED,))])
async def test_what_is_not_red_twice_in_the_same_way_is_no_answer(second):
    assert await answer(Base(GREEN), RED, second, ONE) is None


async def test_a_first_answer_ends_everything_else_and_waits_until_it_is_gone():
    gone = []

    async def full() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            gone.append("full")
        return "never"

    async def quick() -> early.Early:
        await asyncio.sleep(0)
        return early.Early(Base(GREEN), RED, (), 1, 6)

    assert isinstance(await early.race(quick(), full()), early.Early)
    assert gone == ["full"]


async def test_without_a_first_answer_the_full_one_counts_and_its_error_is_told():
    async def none() -> None:
        return None

    async def broken() -> None:
        raise RuntimeError("room")

    async def full() -> str:
        await asyncio.sleep(0.01)
        return "full"

    async def never() -> None:
        await asyncio.Event().wait()

    assert await early.race(none(), full()) == "full"
    assert await early.race(never(), full()) == "full"
    assert await early.race(broken(), full()) == "full"
    with pytest.raises(RuntimeError, match="room"):
        await early.race(never(), broken())


async def test_who_stops_waiting_leaves_neither_running():
    gone = []

    async def long(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.append(name)

    task = asyncio.create_task(early.race(long("quick"), long("full")))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(gone) == ["full", "quick"]


@pytest.mark.parametrize("how", ["cancelled", "error", "body"])
async def test_what_goes_on_together_is_over_together(how):
    gone, under_way = [], asyncio.Barrier(3)

    async def slow(name: str) -> None:
        try:
            await under_way.wait()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01 if name == "second" else 0)  # as a sandbox takes its time to be gone
            gone.append(name)

    async def broken() -> None:
        await under_way.wait()
        raise RuntimeError("room")

    async def all_of_them() -> None:
        async with Together() as group:
            group.start(slow("first"))
            group.start(slow("second"))
            if how == "error":
                group.start(broken())
            if how == "body":
                await broken()

    task = asyncio.create_task(all_of_them())
    if how == "cancelled":
        await under_way.wait()
        task.cancel()
    with pytest.raises(asyncio.CancelledError if how == "cancelled" else RuntimeError):
        await task
    assert sorted(gone) == ["first", "second"]


async def test_what_goes_on_together_gives_each_its_result():
    async def value(n: int) -> int:
        return n

    async with Together() as group:
        tasks = [group.start(value(n)) for n in range(3)]
    assert [task.result() for task in tasks] == [0, 1, 2]
