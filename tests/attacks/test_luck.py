"""A test that draws at random is lucky at times; that is nobody's forgery, and two runs of one seed draw the same."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits, Suite, run
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.trees import read_tree

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
CODE = "def double(n):\n    return 2 * n\n"
LUCKY = """import random
import calc
""" + "".join(
    f"def test_{n}():\n    if random.random() < 0.5:\n        return\n    assert calc.double({n}) == {2 * n}\n"
    for n in range(1, 17)
)
DRAWN = "import random\ndef test_drawn():\n    assert random.random() == 2, random.random()\n"


def files(code: str, tests: str) -> dict[str, tuple[int, bytes]]:
    return {"src/calc.py": (0o100644, code.encode()), "tests/test_calc.py": (0o100644, tests.encode())}


async def test_an_honest_change_is_no_forgery_though_its_false_tests_are_lucky(room):
    for n in range(4):
        suite = Suite(files(CODE, LUCKY), files(CODE + f"# {n}\n", LUCKY))
        report = await run(suite, limits=LIMITS, room=room)
        assert (report.verdict, report.findings) == ("pass", ()), report.findings


async def test_a_wrong_one_is_found_as_often_as_its_tests_look(room):
    wrong = files("def double(n):\n    return 2 * n + 1\n", LUCKY)
    report = await run(Suite(files(CODE, LUCKY), wrong), limits=LIMITS, room=room)
    assert report.verdict == "fail"


async def test_two_runs_of_one_seed_draw_the_same_and_others_do_not(room):
    tree = read_tree(files(CODE, DRAWN), LIMITS)
    runs = Runs(Suite({}, {}), {}, LIMITS, room, None)
    whys = []
    for seed in (7, 7, 8):
        facts = await runs.on(Ask(tree, frozenset(tree), seed=seed))
        whys.append([test.why.split("\\n")[0] for test in facts.tests])
    assert whys[0] == whys[1]
    assert whys[0] != whys[2]
