"""What every back-end promises of a split run: tests in one sandbox, the code in another, a wire between them."""

from __future__ import annotations

import pytest

from contract.sandbox_suite import GOOD, SHORT, Kind, tree
from evoguard_sandbox import Room, Suite, run


def right_beside_the_tests(far: str) -> dict[str, tuple[int, bytes]]:
    """Return GOOD with code that does something else where there is no test runner."""
    calc = f"import os, sys\ndef one():\n    return 1\nif 'pytest' not in sys.modules:\n    {far}\n"
    return {**GOOD, **tree(calc=calc)}


APART = [
    ("one = lambda: 2", "fail", "tests.split_failed"),
    ("while 1: os.write(5, b'\\0\\0\\0\\2[]' * 9999)", "tamper", "tests.split_forged"),
]
"""What the code does where no test runner is, and what becomes of it: descriptor 5 leads to the tests' side."""


class ApartSuite:
    """Run by a class of each back-end, which has the fixtures `kind` and `room`."""

    async def test_tests_and_code_run_apart_and_large_values_cross_whole(self, kind: Kind, room: Room):
        echo = tree(
            calc="def back(data):\n    return data[::-1]\n",
            test_calc="from calc import back\nDATA = 'ab' * (3 << 20)\ndef test_all():\n    assert back(DATA) == "
            "'ba' * (3 << 20)\ndef test_often():\n    for n in range(200): assert back([n, 0]) == [0, n]\n",
        )
        seen = await run(Suite(echo, echo), limits=SHORT, room=room)
        assert (seen.findings, seen.verdict, seen.split, seen.assurance) == ((), "pass", 2, "split")
        assert kind.left_behind(room) == []

    @pytest.mark.parametrize(("far", "verdict", "code"), APART, ids=["another answer", "a flood"])
    async def test_code_that_is_right_beside_the_tests_only_is_found_apart(
        self, kind: Kind, room: Room, far: str, verdict: str, code: str
    ):
        seen = await run(Suite(GOOD, right_beside_the_tests(far)), limits=SHORT, room=room)
        assert (seen.passed, seen.verdict) == (False, verdict)
        assert code in {f.code for f in seen.findings}
        assert kind.left_behind(room) == []
