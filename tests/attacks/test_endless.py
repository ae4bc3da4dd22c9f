"""A test that never ends is named, whoever is to blame for it, and nobody is called a forger."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits, Suite, run
from evoguard_sandbox.judging import runs
from evoguard_sandbox.judging.evidence import Base
from evoguard_sandbox.judging.facts import RunFacts

pytestmark = pytest.mark.needs_gvisor
CODE = "def one():\n    return 1\n"
TESTS = "import calc\ndef test_a():\n    assert calc.one() == 1\ndef test_b():\n    assert calc.one() == 1\n"
LIMITS = Limits(wall_s=5)


def files(code: str, tests: str = TESTS) -> dict[str, tuple[int, bytes]]:
    return {"src/calc.py": (0o100644, code.encode()), "tests/test_calc.py": (0o100644, tests.encode())}


async def test_on_the_base(room):
    hangs = files(CODE, TESTS + "def test_c():\n    while True: pass\ndef test_d():\n    assert 1 == 1\n")
    seen = await run(Suite(hangs, hangs), limits=LIMITS, room=room)
    assert seen.verdict == "fail"
    (base,) = (f for f in seen.findings if "on the base" in f.msg)
    assert base.code == "sandbox.limit_wall"
    assert "while tests/test_calc.py::test_c was running" in base.msg


async def test_the_bases_own_time_is_the_measure_for_a_candidate(room, monkeypatch):
    monkeypatch.setattr(runs, "LEAST_S", 4.0)
    waits = files("import time\ndef one():\n    time.sleep(10_000)\n")
    seen = await run(Suite(files(CODE), waits), limits=Limits(wall_s=3_000), room=room)
    told = [f.msg for f in seen.findings if f.code == "sandbox.limit_wall"]
    assert (seen.verdict, len(told) > 0) == ("fail", True)
    assert not any("3000 s" in msg for msg in told)


def test_a_busy_machine_is_borne_with(room):
    made, slow = runs.Runs(Suite({}, {}), {}, Limits(), room, None), Base(RunFacts(wall_ms=90_000))
    made.tell(slow)
    beside, apart = runs.Ask({}, frozenset()), runs.Ask({}, frozenset(), packages=("calc",))
    assert [made._patience(ask) for ask in (beside, apart)] == [900, 900]
    made.tell(Base(RunFacts(wall_ms=100)))
    assert [made._patience(ask) for ask in (beside, apart)] == [runs.LEAST_S, runs.APART_LEAST_S]
    assert made._patience(runs.Ask({}, frozenset(), wall_s=7)) == 7


async def test_on_the_candidate(room):
    seen = await run(Suite(files(CODE), files("def one():\n    while True: pass\n")), limits=LIMITS, room=room)
    assert seen.verdict == "fail"
    told = [f.msg for f in seen.findings if f.code == "sandbox.limit_wall"]
    assert any("while tests/test_calc.py::test_" in msg for msg in told)
