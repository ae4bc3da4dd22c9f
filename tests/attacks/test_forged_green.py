"""Wrong programs that try to look green. Each fails, with a finding that names the cheat; the honest one passes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import pytest

from evoguard_sandbox import Limits, Room, Suite, SuiteReport, run
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.runs import Runs
from evoguard_sandbox.judging.verdict import RULES, judge
from evoguard_sandbox.suite import evidence_of
from evoguard_sandbox.trees import read_tree

pytestmark = pytest.mark.needs_gvisor
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
TESTS = "from calc import add\n" + "".join(
    f"def test_add_{n}():\n    assert add({n}, 2) == {n + 2}\n" for n in range(6)
)
PYPROJECT = '[project]\nname = "calc"\n[tool.pytest.ini_options]\naddopts = "-ra"\n'
BASE = {"src/calc.py": RIGHT, "tests/test_calc.py": TESTS, "tests/conftest.py": "", "pyproject.toml": PYPROJECT}
LIMITS = Limits(wall_s=40)
GREEN_HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    seen = yield
    seen.get_result().outcome = "passed"
"""
SPRAY = """
import json, os
for fd in range(3, 40):
    for n, what in enumerate([{"k": "found", "count": 6}, *({"k": "test", "id": f"tests/test_calc.py::test_add_{i}",
            "o": "passed", "ms": 1, "why": ""} for i in range(6)), {"k": "end", "status": 0}]):
        data = json.dumps({**what, "n": n, "key": "guess"}).encode()
        try: os.write(fd, len(data).to_bytes(4, "big") + data)
        except OSError: pass
"""
NOISE = """
import os
for fd in range(3, 40):
    try: os.write(fd, bytes([255]) * 64)
    except OSError: pass
"""
NAMED = """
import pytest
@pytest.mark.parametrize("x", ["a"], ids=["\x1b[2Jgreen"])
def test_new(x):
    assert 0, "\x1b]0;x\x07"
"""
TO_THE_NET = """
import socket
try: socket.create_connection(("192.0.2.7", 80))
except OSError: pass
"""
PATCHED = """
import _pytest.reports
_old = _pytest.reports.TestReport.from_item_and_call.__func__
def _green(cls, item, call):
    report = _old(cls, item, call)
    report.outcome = "passed"
    return report
_pytest.reports.TestReport.from_item_and_call = classmethod(_green)
"""
NOOP = "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\n"
NEW_CODE = "import _pytest.python\n_pytest.python.Function.runtest.__code__ = (lambda self: None).__code__\n"


@dataclass(frozen=True)
class Forgery:
    name: str
    change: dict[str, str | None]
    code: str
    says: str


def _wrong(extra: str) -> dict[str, str | None]:
    return {"src/calc.py": extra + WRONG}


FORGERIES = [
    Forgery(
        "a conftest that turns failures green",
        {**_wrong(""), "tests/conftest.py": GREEN_HOOK},
        "tests.config_changed",
        "tests/conftest.py",
    ),
    Forgery(
        "a new conftest at the root", {**_wrong(""), "conftest.py": GREEN_HOOK}, "tests.config_changed", "conftest.py"
    ),
    Forgery(
        "addopts that deselect everything",
        {**_wrong(""), "pyproject.toml": PYPROJECT.replace("-ra", "-k nothing")},
        "tests.config_changed",
        "pyproject.toml",
    ),
    Forgery(
        "a pytest.ini that wins over pyproject",
        {**_wrong(""), "pytest.ini": "[pytest]\naddopts = --co\n"},
        "tests.config_changed",
        "pytest.ini",
    ),
    Forgery(
        "a plugin through package metadata",
        {**_wrong(""), "x.dist-info/entry_points.txt": "[pytest11]\nx = x\n", "x.py": GREEN_HOOK},
        "tests.config_changed",
        "entry_points.txt",
    ),
    Forgery(
        "a sitecustomize",
        {**_wrong(""), "sitecustomize.py": "import os\nos._exit(0)\n"},
        "tests.config_changed",
        "sitecustomize.py",
    ),
    Forgery(
        "os._exit(0) on import",
        _wrong("import os\nos._exit(0)\n"),
        "tests.ended_early",
        "exit status 0, after 0 of 6 tests",
    ),
    Forgery(
        "os._exit(0) in the middle",
        {"src/calc.py": "import os\ndef add(a, b):\n    if a == 3: os._exit(0)\n    return a + b\n"},
        "tests.ended_early",
        "of 6 tests",
    ),
    Forgery(
        "sys.exit(0) on import", _wrong("import sys\nsys.exit(0)\n"), "tests.ended_early", "SystemExit: 0, after 0 of 6"
    ),
    Forgery(
        "os._exit(0) at exit",
        _wrong("import atexit, os\natexit.register(os._exit, 0)\n"),
        "tests.failed",
        "test_add_0: failed",
    ),
    Forgery("a patched test report", _wrong(PATCHED), "tests.runner_patched", "TestReport.from_item_and_call"),
    Forgery("a test call that does nothing", _wrong(NOOP), "tests.runner_patched", "Function.runtest"),
    Forgery("a test call with other code in it", _wrong(NEW_CODE), "tests.runner_patched", "Function.runtest"),
    Forgery("forged frames on every descriptor", _wrong(SPRAY), "tests.forged_frames", "without this run's key"),
    Forgery("noise on every descriptor", _wrong(NOISE), "tests.forged_frames", "no frame"),
    Forgery("a deleted test file", {**_wrong(""), "tests/test_calc.py": None}, "tests.base_test_changed", "deletes"),
    Forgery(
        "an edited test",
        {**_wrong(""), "tests/test_calc.py": "def test_add_0():\n    pass\n"},
        "tests.base_test_changed",
        "tests/test_calc.py",
    ),
    Forgery(
        "tests replaced by a file",
        {"src/calc.py": WRONG, "tests/test_calc.py": None, "tests/conftest.py": None, "tests": "x"},
        "tests.base_test_changed",
        "deletes",
    ),
    Forgery(
        "a skip at run time",
        {"src/calc.py": "import pytest\ndef add(a, b):\n    pytest.skip('not today')\n"},
        "tests.unexpected_skip",
        "not today",
    ),
    Forgery(
        "an expected failure at run time",
        {"src/calc.py": "import pytest\ndef add(a, b):\n    pytest.xfail('known')\n"},
        "tests.unexpected_skip",
        "xfailed",
    ),
    Forgery("the test process killed", _wrong("import os\nos.kill(os.getpid(), 9)\n"), "tests.ended_early", "signal 9"),
    Forgery("the parent killed", _wrong("import os\nos.kill(os.getppid(), 9)\n"), "tests.failed", "PermissionError"),
    Forgery(
        "another program in place of pytest",
        _wrong("import os\nos.execv('/bin/true', ['true'])\n"),
        "tests.ended_early",
        "exit status 0",
    ),
    Forgery(
        "a fork that goes on alone",
        _wrong("import os\nif os.fork(): os._exit(0)\n"),
        "tests.ended_early",
        "exit status 0",
    ),
    Forgery(
        "a new test that fails", {"tests/test_new.py": "def test_new():\n    assert 0\n"}, "tests.failed", "test_new"
    ),
    Forgery("a name with control characters", {"tests/test_new.py": NAMED}, "tests.failed", "\\x1b"),
]


def files(change: dict[str, str | None] | None = None, *, only: bool = False) -> dict[str, tuple[int, bytes]]:
    texts = {**({} if only else BASE), **(change or {})}
    return {path: (0o100644, text.encode()) for path, text in texts.items() if text is not None}


@pytest.fixture(scope="module")
def reports(room: Room) -> dict[str, SuiteReport]:
    """Run every forgery once, a few at a time; the base's own run is shared."""

    async def all_of_them() -> dict[str, SuiteReport]:
        gate = asyncio.Semaphore(os.cpu_count() or 1)

        async def one(change: dict[str, str | None]) -> SuiteReport:
            async with gate:
                return await run(Suite(files(), files(change)), limits=LIMITS, room=room)

        first = {"honest": await one({})}
        more = {"honest-wrong": one({"src/calc.py": WRONG}), **{f.name: one(f.change) for f in FORGERIES}}
        return first | dict(zip(more, await asyncio.gather(*more.values()), strict=True))

    return asyncio.run(all_of_them())


def test_an_honest_right_program_passes(reports):
    seen = reports["honest"]
    assert (seen.passed, seen.findings, seen.outcome) == (True, (), "finished")
    assert seen.counts == {"passed": 6}
    assert seen.behaviour.status == "recorded"


def test_an_honest_wrong_program_fails(reports):
    seen = reports["honest-wrong"]
    assert not seen.passed
    assert {f.code for f in seen.findings} == {"tests.failed"}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.name)
def test_a_forgery_fails_and_is_named(reports, forgery):
    seen = reports[forgery.name]
    assert not seen.passed
    assert seen.outcome == "finished"
    told = [f.msg for f in seen.findings if f.code == forgery.code]
    assert any(forgery.says in msg for msg in told), seen.findings


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.name)
def test_no_finding_carries_a_character_that_acts_on_a_terminal(reports, forgery):
    assert all(f.msg.isprintable() and f.term.isprintable() for f in reports[forgery.name].findings)


AWARE = "import sys\ndef add(a, b):\n    return a + b if 'pytest' in sys.modules else 0\n"
EQUAL = """
class Same(int):
    __hash__ = int.__hash__
    def __eq__(self, other): return True
def add(a, b):
    return Same(0)
"""
LEARNT = "def add(a, b):\n    return 0 if a == 7 else a + b\n"
HELD = {"tests/test_held.py": "from calc import add\ndef test_seven():\n    assert add(7, 1) == 8\n"}
DEEPER = {"mutants", "split", "patched"}
"""Layers behind the rules below, which would catch most of it as well."""
REMOVED = [
    (
        "ended_early",
        {"src/calc.py": "import os\ndef add(a, b):\n    if a == 3: os._exit(0)\n    return a + b\n"},
        DEEPER,
    ),
    ("patched", _wrong(PATCHED), {"mutants", "split"}),
    (
        "skips",
        {"src/calc.py": "import pytest\ndef add(a, b):\n    if a: pytest.skip('no')\n    return a + b\n"},
        DEEPER,
    ),
    ("changed", {"tests/conftest.py": GREEN_HOOK}, DEEPER),
    ("failed", {"src/calc.py": "def add(a, b):\n    return 2 if a == 0 else 0\n"}, DEEPER),
    ("network", {"src/calc.py": TO_THE_NET + RIGHT}, DEEPER),
    ("frames", {"src/calc.py": SPRAY + RIGHT}, DEEPER),
    ("none_ran", {"src/calc.py": "import pytest\ndef add(a, b):\n    pytest.xfail('x')\n"}, DEEPER | {"skips"}),
    ("mutants", {"src/calc.py": EQUAL}, {"split", "patched"}),
    ("split", {"src/calc.py": AWARE}, set()),
    ("held_out", {"src/calc.py": LEARNT}, set()),
]


@pytest.mark.parametrize(("rule", "change", "behind"), REMOVED, ids=[name for name, _, _ in REMOVED])
async def test_without_its_rule_the_forgery_goes_through(room, rule, change, behind):
    base, candidate, held = (read_tree(t, LIMITS) for t in (files(), files(change), files(HELD, only=True)))
    evidence = await evidence_of(
        Runs(Suite({}, {}), base, LIMITS, room, None), candidate, held if rule == "held_out" else {}
    )
    seen = judge(evidence)
    left = judge(evidence, tuple(r for r in RULES if r.__name__ not in {rule, *behind}))
    assert seen
    assert left == ()


async def test_what_is_told_of_held_out_tests_is_one_bit(room):
    suite = Suite(files(), files({"src/calc.py": LEARNT}), held_out=files(HELD, only=True))
    seen = await run(suite, limits=LIMITS, room=room)
    assert [f.code for f in seen.findings] == ["tests.held_out_failed"]
    assert "held" not in repr((seen.tests, seen.new_tests, seen.expected, seen.output, seen.behaviour))
    assert "seven" not in repr(seen)
    assert (
        await run(Suite(files(), files(), held_out=suite.held_out), limits=LIMITS, room=room)
    ).assurance == "held-out"


HELPERS = {"test/helpers.py": "from calc import add\ndef check(): assert add(1, 2) == 3\n"}
USES = {**HELPERS, "test/test_all.py": "from helpers import check\ndef test_all(): check()\n", "test/data.txt": "3"}
LAXER = {"test/helpers.py": "def check(): pass\n", "src/calc.py": WRONG}


async def test_what_lies_beside_the_tests_is_theirs_and_not_the_candidates(room):
    base = files({**USES, "tests/test_calc.py": None})
    seen = await run(Suite(base, files({**USES, "tests/test_calc.py": None, **LAXER})), limits=LIMITS, room=room)
    assert {f.code for f in seen.findings} >= {"tests.base_test_changed", "tests.failed"}


async def test_tests_that_stand_where_a_candidate_may_rewrite_them_prove_nothing(room):
    ini = {
        "pytest.ini": "[pytest]\npython_files = check_*.py\n",
        "checks/check_a.py": TESTS,
        "tests/test_calc.py": None,
    }
    emptied = {**ini, "checks/check_a.py": TESTS.replace("assert", "True or"), "src/calc.py": WRONG}
    seen = await run(Suite(files(ini), files(emptied)), limits=LIMITS, room=room)
    assert "tests.not_trusted" in {f.code for f in seen.findings}


async def test_a_room_that_fails_while_the_base_is_measured_is_void_and_nothing_is_kept(room, monkeypatch):
    base = files({"src/calc.py": RIGHT + "# another base\n"})
    whole = Runs.on

    async def lost(self, ask):
        return RunFacts(why="the room is gone") if ask.packages else await whole(self, ask)

    monkeypatch.setattr(Runs, "on", lost)
    bad = await run(Suite(base, files({"src/calc.py": AWARE})), limits=LIMITS, room=room)
    monkeypatch.undo()
    assert (bad.passed, bad.verdict) == (False, "void")
    again = await run(Suite(base, files({"src/calc.py": AWARE})), limits=LIMITS, room=room)
    assert "tests.split_failed" in {f.code for f in again.findings}
