"""Tests of other languages on real gVisor: Node's own runner, and a runner of ours for the attacks on any of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard_sandbox import Room, SuiteReport
from evoguard_sandbox.foreign import LIMITS, WEAKER, ForeignSuite, run_foreign

pytestmark = pytest.mark.needs_gvisor
REPO = Path(__file__).parents[2]
Texts = dict[str, str]
NODE = shutil.which("node", path="/usr/bin")
node = pytest.mark.skipif(NODE is None, reason="no Node under /usr/bin")

CALC = "exports.add = (a, b) => a + b;\n"
TEST = """const { test, describe, it } = require('node:test');
const assert = require('node:assert');
const { add } = require('../calc.js');
test('adds', () => assert.equal(add(1, 2), 3));
test('waits', { skip: 'not yet' }, () => {});
describe('group', () => { it('adds more', () => assert.equal(add(2, 2), 4)); });
"""
JS = {"calc.js": CALC, "test/calc.test.js": TEST}
TAP = ("/usr/bin/node", "--test", "--test-reporter=tap", "test/")
JUNIT = ("/usr/bin/node", "--test", "--test-reporter=junit", "--test-reporter-destination=out/report.xml", "test/")

# A runner of one process, as many are: it imports the code, then writes what it saw.
RUNNER = """import sys
sys.path.insert(0, '.')
import code_under_test as code
right = code.double(4) == 8
with open('out/report.tap', 'w') as file:
    file.write(f"1..1\\n{'ok' if right else 'not ok'} 1 - doubles\\n")
sys.exit(0 if right else 1)
"""
PY = {"code_under_test.py": "def double(n): return n + n\n", "tests/run.py": RUNNER, "out/keep": ""}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    found = [
        subprocess.run([REPO / "deploy/tools" / script], capture_output=True, text=True, check=True).stdout.strip()
        for script in ("get-runsc.sh", "runner-layer.sh")
    ]
    made = Room.open(
        tmp_path_factory.mktemp("room"), Path(found[0]), Path(found[1]), programs=(Path(NODE),) if NODE else ()
    )
    yield made
    made.close()


def files(texts: Texts) -> dict[str, tuple[int, bytes]]:
    return {path: (0o100644, text.encode()) for path, text in texts.items()}


async def js(room: Room, changed: Texts, argv: tuple[str, ...] = TAP) -> SuiteReport:
    path = "out/report.xml" if argv is JUNIT else ""
    base = {**JS, "out/keep": ""}
    suite = ForeignSuite(files(base), files({**base, **changed}), argv, "junit" if path else "tap", path)
    return await run_foreign(suite, room=room)


async def py(room: Room, changed: Texts, *, base: Texts = PY, take_bytes: int = LIMITS.take_bytes) -> SuiteReport:
    suite = ForeignSuite(
        files(base), files({**base, **changed}), ("python", "-I", "-B", "tests/run.py"), "tap", "out/report.tap"
    )
    return await run_foreign(suite, limits=replace(LIMITS, wall_s=60, take_bytes=take_bytes), room=room)


def codes(report: SuiteReport) -> set[str]:
    return {finding.code for finding in report.findings}


@node
@pytest.mark.parametrize("argv", [TAP, JUNIT], ids=["tap", "junit"])
async def test_nodes_own_runner_passes_a_right_change_and_says_how_weak_that_is(room, argv):
    seen = await js(room, {"calc.js": "exports.add = (a, b) => b + a;\n"}, argv)
    assert (seen.passed, seen.verdict, seen.outcome, codes(seen)) == (True, "pass", "finished", set())
    assert (seen.assurance, seen.notes) == ("visible-only", (WEAKER,))
    names = {test.id.rsplit("::", 1)[-1]: test.outcome for test in seen.tests}
    assert {"adds": "passed", "waits": "skipped", "adds more": "passed"}.items() <= names.items()
    assert tuple(test.id for test in seen.tests) == seen.expected
    assert seen.kernel.startswith("Linux version 4.")
    assert seen.behaviour.status == "recorded"


@node
@pytest.mark.parametrize("argv", [TAP, JUNIT], ids=["tap", "junit"])
async def test_a_wrong_change_fails_by_the_names_of_its_tests(room, argv):
    seen = await js(room, {"calc.js": "exports.add = (a, b) => 3;\n"}, argv)
    assert (seen.passed, seen.verdict, codes(seen)) == (False, "fail", {"tests.failed"})
    assert any("adds more: failed" in finding.msg for finding in seen.findings)


WRONG = "exports.add = () => 0;\n"


@node
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"calc.js": WRONG, "test/calc.test.js": ""}, "tests.base_test_changed"),
        ({"calc.js": WRONG, "test/calc.test.js": ""}, "tests.failed"),
        ({"calc.js": WRONG + "process.exit(0);\n"}, "tests.vanished"),
        ({"calc.js": WRONG + "setImmediate(() => process.exit(0));\n"}, "tests.failed"),
        ({"calc.js": WRONG + "process.kill(process.ppid, 'SIGKILL');\n"}, "tests.ended_early"),
        ({"calc.js": WRONG + "console.log('1..1\\nok 1 - adds');\n"}, "tests.failed"),
        ({"calc.js": "throw new Error('x');\n"}, "tests.failed"),
    ],
    ids=["edits the tests", "edits them in vain", "leaves", "leaves later", "kills the runner", "prints TAP", "throws"],
)
async def test_a_wrong_change_that_cheats_does_not_pass(room, changed, code):
    seen = await js(room, changed)
    assert not seen.passed
    assert code in codes(seen)


@node
@pytest.mark.parametrize(("body", "passed"), [("", True), ("throw new Error('red');", False)])
async def test_new_tests_run_too_and_can_only_add_failures(room, body, passed):
    added = f"const {{ test }} = require('node:test');\ntest('mine', () => {{ {body} }});\n"
    seen = await js(room, {"test/mine.test.js": added})
    assert (seen.passed, [test.id for test in seen.new_tests]) == (passed, ["mine"])
    assert not any("mine" in name for name in seen.expected)


STALE = {"out/report.tap": "1..1\nok 1 - doubles\n"}
LEAVES = "import os\nos._exit(0)\n"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"code_under_test.py": LEAVES}, "tamper"),
        ({"code_under_test.py": LEAVES, **STALE}, "tamper"),
        ({"code_under_test.py": LEAVES, "out/report.tap/x": ""}, "tamper"),
        ({"code_under_test.py": "import os\nos.symlink('/etc/passwd', 'out/report.tap')\n" + LEAVES}, "tamper"),
        ({"code_under_test.py": "import os\nos.mkfifo('out/report.tap')\n" + LEAVES}, "tamper"),
        ({"code_under_test.py": "def double(n): return 9\n"}, "fail"),
    ],
    ids=["leaves", "brings a report", "stands in its way", "links it", "makes a pipe of it", "is wrong"],
)
async def test_a_run_that_made_no_report_of_its_own_does_not_pass(room, changed, word):
    seen = await py(room, changed)
    assert (seen.passed, seen.verdict) == (False, word)


REWRITE = """import os
for act in (lambda: open('tests/late.py', 'w').close(), lambda: os.unlink('tests/late.py'),
            lambda: os.rename('tests', 'gone'), lambda: os.chmod('tests/late.py', 0o666)):
    try: act()
    except OSError: pass
def double(n): return 9
"""
LATE = {
    **PY,
    "tests/run.py": RUNNER.replace("right = code.double(4) == 8", "right = True\nexec(open('tests/late.py').read())"),
    "tests/late.py": "right = code.double(4) == 8\n",
}


async def test_tests_that_are_read_after_the_code_ran_are_still_the_bases(room):
    assert (await py(room, {}, base=LATE)).passed
    assert codes(await py(room, {"code_under_test.py": REWRITE}, base=LATE)) == {"tests.failed"}


async def test_a_right_change_passes_with_a_report_from_a_file(room):
    seen = await py(room, {"code_under_test.py": "def double(n): return 2 * n\n", **STALE})
    assert (seen.passed, codes(seen), seen.expected) == (True, set(), ("doubles",))


async def test_code_that_knows_the_format_can_forge_it_which_is_why_the_report_says_that_it_is_weak(room):
    forger = "open('out/report.tap', 'w').write('1..1\\nok 1 - doubles\\n')\n" + LEAVES
    seen = await py(room, {"code_under_test.py": forger})
    assert seen.passed
    assert (seen.assurance, seen.notes, seen.unproven) == ("visible-only", (WEAKER,), 1)


async def test_a_report_without_end_is_cut_by_the_bounds(room):
    flood = "import os\nwith open('out/report.tap', 'w') as f:\n    f.write('ok 1\\n' * 500_000)\n" + LEAVES
    seen = await py(room, {"code_under_test.py": flood}, take_bytes=1 << 20)
    assert not seen.passed
    assert any("more than the bound" in finding.msg for finding in seen.findings)


@node
async def test_a_flood_on_stdout_is_named(room):
    seen = await js(room, {"calc.js": CALC + "for (let n = 0; n < 9e4; n++) console.log('x'.repeat(999));\n"})
    assert not seen.passed
    assert "sandbox.limit_output" in codes(seen)


@pytest.mark.parametrize(
    "base",
    [
        {**PY, "code_under_test.py": "def double(n): return 0\n"},
        {**PY, "tests/run.py": RUNNER.replace("1..1", "1..2")},
        {**PY, "tests/run.py": "raise SystemExit(0)\n"},
    ],
    ids=["red", "bad report", "no report"],
)
async def test_a_base_that_is_not_green_proves_nothing_and_the_candidate_is_not_run(room, base):
    seen = await py(room, {}, base=base)
    assert (seen.passed, seen.verdict, codes(seen), seen.tests) == (False, "fail", {"tests.base_not_green"}, ())


async def test_a_command_that_is_not_there_is_a_no(room):
    suite = ForeignSuite(files(PY), files(PY), ("/usr/bin/no-such-runner",), "tap")
    seen = await run_foreign(suite, room=room)
    assert (seen.passed, codes(seen)) == (False, {"tests.base_not_green"})


async def test_a_hostile_tree_is_refused_before_anything_runs(room):
    suite = ForeignSuite(files(PY), {"../x": (0o100644, b"")}, TAP, "tap")
    seen = await run_foreign(suite, room=room)
    assert (seen.passed, seen.ran, codes(seen)) == (False, False, {"input.bad_tree"})
