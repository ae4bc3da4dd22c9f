"""Tests that fail in some order: never the candidate's fault, where the base fails them in that order as well."""

from __future__ import annotations

import random

import pytest

from evoguard_sandbox import Limits, Suite, run
from evoguard_sandbox import suite as suites
from evoguard_sandbox.judging import runs

pytestmark = pytest.mark.needs_gvisor
CODE = "def two():\n    return 2\n"
NAMES = ["test_a", "test_b", "test_c", "test_d", "test_e"]
TESTS = "from calc import two\nseen = []\n" + "".join(
    f"def {name}():\n    seen.append('{name}')\n    assert two() == 2\n" for name in NAMES[:-1]
)
# It cannot bear to be the first of all.
TESTS += "def test_e():\n    assert seen\n    assert two() == 2\n"


def seed_with(first: str) -> int:
    """Return a seed by which the guest's runner puts a test first."""
    for seed in range(1000):
        order = list(NAMES)
        random.Random(seed).shuffle(order)  # noqa: S311
        if order[0] == first:
            return seed
    raise AssertionError("no such seed")


def files(code: str) -> dict[str, tuple[int, bytes]]:
    return {"src/calc.py": (0o100644, code.encode()), "tests/test_calc.py": (0o100644, TESTS.encode())}


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base's own runs are in an order that it bears, the candidate's in one that it does not."""
    monkeypatch.setattr(runs, "drawn_seed", lambda: seed_with("test_a"))
    monkeypatch.setattr(suites, "drawn_seed", lambda: seed_with("test_e"))


@pytest.mark.usefixtures("unlucky")
async def test_an_honest_change_is_not_refused_for_the_order(room):
    seen = await run(Suite(files(CODE), files(CODE + "#\n")), limits=Limits(wall_s=60), room=room)
    assert (seen.verdict, seen.findings, len(seen.tests)) == ("pass", (), 5)


@pytest.mark.usefixtures("unlucky")
async def test_a_wrong_change_is_refused_all_the_same(room):
    only_it = "import sys\ndef two():\n    return 1 if sys._getframe(1).f_code.co_name == 'test_e' else 2\n"
    for wrong in (CODE.replace("2", "3"), only_it):
        seen = await run(Suite(files(CODE), files(wrong)), limits=Limits(wall_s=60), room=room)
        assert not seen.passed
        assert "tests.failed" in {f.code for f in seen.findings}
