"""Honest code that crashes or never ends, apart from its tests: red, and no forgery."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits, Suite, run

pytestmark = pytest.mark.needs_gvisor
CODE = "import ctypes\ndef one():\n    return 1\ndef two():\n    return 2\n"
TESTS = "import calc\ndef test_one():\n    assert calc.one() == 1\ndef test_two():\n    assert calc.two() == 2\n"


def files(code: str) -> dict[str, tuple[int, bytes]]:
    return {"src/calc.py": (0o100644, code.encode()), "tests/test_calc.py": (0o100644, TESTS.encode())}


@pytest.mark.parametrize("fault", ["ctypes.string_at(0)", "__import__('os').kill(__import__('os').getpid(), 9)"])
async def test_a_crash_is_a_failure(room, fault):
    seen = await run(Suite(files(CODE), files(CODE.replace("return 2", fault))), limits=Limits(wall_s=60), room=room)
    assert seen.verdict == "fail"
    assert "tests.split_forged" not in {f.code for f in seen.findings}


async def test_a_crash_apart_from_the_tests_alone_is_a_failure_of_every_test_that_asks(room):
    apart = "import sys\nif 'pytest' not in sys.modules:\n    import os\n    os._exit(0)\n"
    seen = await run(Suite(files(CODE), files(CODE + apart)), limits=Limits(wall_s=60), room=room)
    assert (seen.verdict, {f.code for f in seen.findings}) == ("fail", {"tests.split_failed"})
    assert {f.term for f in seen.findings} == {"tests/test_calc.py::test_one", "tests/test_calc.py::test_two"}
