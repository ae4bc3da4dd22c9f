"""A test that never ends is named, whoever is to blame for it, and nobody is called a forger."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits, Suite, run

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


async def test_on_the_candidate(room):
    seen = await run(Suite(files(CODE), files("def one():\n    while True: pass\n")), limits=LIMITS, room=room)
    assert seen.verdict == "fail"
    told = [f.msg for f in seen.findings if f.code == "sandbox.limit_wall"]
    assert any("while tests/test_calc.py::test_" in msg for msg in told)
