"""A base whose false tests disturb others: its mutants still accuse a forger, and nothing goes unjudged for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard_sandbox import Limits, Room, Suite, run
from evoguard_sandbox.judging.runs import Runs
from evoguard_sandbox.judging.verdict import RULES, judge
from evoguard_sandbox.suite import evidence_of
from evoguard_sandbox.trees import read_tree

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
SHELF = "things = []\ndef put(x):\n    things.append(x)\n    return len(things)\ndef clear():\n    things.clear()\n"
COUNT = 12
"""So many that a draw which puts none after a false one is not to be expected in a lifetime."""
TESTS = "import shelf\n" + "".join(
    f"\ndef test_{n}():\n    assert shelf.put({n}) == 1\n    shelf.clear()\n" for n in range(COUNT)
)
BASE = {"src/shelf.py": SHELF, "tests/test_shelf.py": TESTS}
ALWAYS = "class Any(int):\n    __hash__ = int.__hash__\n    def __eq__(self, other): return True\n"
FORGED = ALWAYS + "def put(x): return Any(0)\ndef clear(): pass\n"
BROKEN = SHELF.replace("return len(things)", "return len(things) if x != 3 else 9")
OTHER = SHELF.replace("things = []", "things: list = []")


def files(texts: dict[str, str]) -> dict[str, tuple[int, bytes]]:
    return {path: (0o100644, text.encode()) for path, text in texts.items()}


async def seen_of(room: Room, shelf: str):
    base, candidate = files(BASE), files({**BASE, "src/shelf.py": shelf})
    runs = Runs(Suite(base, candidate), read_tree(base, LIMITS), LIMITS, room, None)
    return await evidence_of(runs, read_tree(candidate, LIMITS), {})


async def test_the_false_tests_are_kept_and_the_disturbed_ones_are_judged_by_a_run_without_them(room):
    seen = await seen_of(room, OTHER)
    assert seen.base.disturbed
    assert seen.base.unstable == frozenset()
    assert any(seen.base.halves)
    assert {t.outcome for t in seen.unmutated.tests} == {"passed"}
    assert judge(seen) == ()


async def test_a_forger_is_still_accused_by_them(room):
    seen = await seen_of(room, FORGED)
    others = tuple(rule for rule in RULES if rule.__name__ in ("mutants", "failed"))
    assert {f.code for f in judge(seen, others)} == {"tests.mutant_passed"}


async def test_what_is_disturbed_is_not_excused(room):
    report = await run(Suite(files(BASE), files({**BASE, "src/shelf.py": BROKEN})), limits=LIMITS, room=room)
    assert report.verdict == "fail"
    assert ("tests.failed", "tests/test_shelf.py::test_3") in [(f.code, f.term) for f in report.findings]


TOLERANT = """
class Near(int):
    __hash__ = int.__hash__
    def __eq__(self, other): return True
def near(): return Near(1)
"""
BOTH = "import shelf\n" + "".join(
    f"\ndef test_{n}():\n    assert shelf.put({n}) == 1\n    shelf.clear()\n"
    f"\ndef test_near_{n}():\n    if shelf.put({n}) != 1:\n        raise RuntimeError\n"
    f"    assert shelf.near() == {n}\n    shelf.clear()\n"
    for n in range(COUNT)
)
TIDY = SHELF.replace("    things.append(x)", "    things[:] = [x]")


async def test_who_leaves_nothing_behind_is_no_forger_for_it(room):
    base = files({"src/shelf.py": SHELF + TOLERANT, "tests/test_shelf.py": BOTH})
    honest = files({"src/shelf.py": TIDY + TOLERANT, "tests/test_shelf.py": BOTH})
    runs = Runs(Suite(base, honest), read_tree(base, LIMITS), LIMITS, room, None)
    seen = await evidence_of(runs, read_tree(honest, LIMITS), {})
    assert seen.base.disturbed
    assert any(seen.suspects)  # they failed on the base for others' sake, and pass here
    others = tuple(rule for rule in RULES if rule.__name__ != "split")  # what is equal to all is no proof there
    assert judge(seen, others) == ()
    # Without the base's own run of them alone he would be one.
    assert "tests.mutant_passed" in {f.code for f in judge(replace(seen, alone=(None, None)))}
