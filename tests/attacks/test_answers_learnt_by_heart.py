"""Code that is right on what its tests ask and wrong elsewhere: the same varied calls on base and candidate show it.

Nothing here is a reason for a no; what code does against being compared must come out as a finding, never as silence.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from evoguard_sandbox import Limits, Room
from evoguard_sandbox.reviewing import differential
from evoguard_sandbox.trees import Entry, Tree, matcher
from evoguard_sandbox.types import DEFAULT_TEST_PATHS, Finding

pytestmark = pytest.mark.needs_gvisor
REPO = Path(__file__).parents[2]
TESTS = """
import pytest
from pkg.calc import Box, area, label
@pytest.mark.parametrize("a, b, want", [(1, 2, 2), (3, 4, 12), (5, 6, 30)])
def test_area(a, b, want): assert area(a, b) == want
def test_label(): assert label("ab", n=2) == "abab"
def test_box(): assert Box(2, 3).grow(2) == 24
"""
CODE = """
class Box:
    def __init__(self, a, b): self.a, self.b = a, b
    def grow(self, n): return self.a * self.b * n * n
def area(a, b):
    return a * b
def label(x, n):
    return x * n
"""
EVERYWHERE = """
import os
for fd in range(64):
    try: os.write(fd, b'[0, "value", "1"]\\n')
    except OSError: pass
"""
SLEEPERS = """
import os, time
try:
    while 1:
        if os.fork() == 0: time.sleep(60)
except OSError: pass
"""
"""Every answer is the base's; that the limit of processes was reached is all there is to see."""


def tool(name: str) -> Path:
    return Path(
        subprocess.run([REPO / "deploy/tools" / name], capture_output=True, text=True, check=True).stdout.strip()
    )


def a_tree(code: str) -> Tree:
    texts = {"pkg/__init__.py": "", "pkg/calc.py": code, "tests/test_calc.py": TESTS}
    return {path: Entry("file", text.encode()) for path, text in texts.items()}


async def compared(room: Room, candidate: str) -> tuple[Finding, ...]:
    trusted = matcher(DEFAULT_TEST_PATHS)
    seen = await differential.compare(room, None, Limits(), a_tree(CODE), a_tree(candidate), trusted=trusted)
    assert (seen.calls > 10 and seen.functions > 1) or not seen.findings
    return seen.findings


async def test_a_branch_at_a_value_that_the_change_writes_is_always_found(room: Room):
    for _ in range(3):
        found = await compared(room, CODE.replace("return a * b\n", "return a * b if b < 7001 else 0\n"))
        assert [(f.code, f.term) for f in found] == [("review.differs", "pkg.calc.area")]


async def test_answers_learnt_by_heart_are_listed(room: Room):
    heart = "    return {(1, 2): 2, (3, 4): 12, (5, 6): 30}.get((a, b), 0)\n"
    found = await compared(room, CODE.replace("    return a * b\n", heart))
    assert [(f.code, f.term, f.path) for f in found] == [("review.differs", "pkg.calc.area", "pkg/calc.py")]
    assert "varied calls differ)" in found[0].msg


@pytest.mark.parametrize(
    "candidate",
    [
        CODE.replace("return a * b\n", "return b * a\n"),
        CODE.replace("return x * n", "return ''.join(x for _ in range(n))"),
        CODE + "\ndef more(): return 1\n",
        "import sys\nprint('hello'); print('there', file=sys.stderr)\n" + CODE,
    ],
    ids=["turned", "another way", "new code", "prints"],
)
async def test_an_honest_change_of_form_tells_nothing(room: Room, candidate: str):
    if "join" in candidate:  # `x * n` takes more types than the other way does; that is a difference, and is told
        assert {f.term for f in await compared(room, candidate)} <= {"pkg.calc.label"}
    else:
        assert await compared(room, candidate) == ()


async def test_code_that_did_not_change_is_not_run(room: Room):
    assert await compared(room, CODE) == ()


@pytest.mark.parametrize(
    "candidate",
    [
        CODE + EVERYWHERE,
        CODE + "\nwhile 1: pass\n",
        CODE + "\nimport os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n",
        CODE + "\nimport os\ntry:\n    while 1: os.fork()\nexcept OSError: pass\n",
        CODE + SLEEPERS,
        CODE + "\nimport os\nos._exit(0)\n",
        CODE.replace("    return a * b\n", "    while 1: pass\n"),
        CODE.replace("    return a * b\n", "    import os; os._exit(0)\n"),
        f"SAID = {EVERYWHERE!r}\n" + CODE.replace("    return a * b\n", "    exec(SAID)\n    return a * b\n"),
        CODE.replace("    return a * b\n", "    bytearray(1 << 34)\n    return a * b\n"),
        CODE.replace("    return a * b\n", "    raise SystemExit(0)\n"),
        "def (:\n",
    ],
    ids=["forges at import", "hangs at import", "kills", "forks", "sleepers", "ends at import", "hangs", "ends",
         "forges", "memory", "exits", "no Python"],
)  # fmt: skip
async def test_code_that_will_not_be_compared_is_told(room: Room, candidate: str):
    found = await compared(room, candidate)
    assert {f.code for f in found} <= {"review.differs", "review.not_compared"}
    assert found
