"""Ways round the verdict which review found, each tried for real: names taken, copies read, answers given early."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest

from evoguard_sandbox import Limits, Pool, Room, Suite, SuiteReport, run
from evoguard_sandbox import suite as whole
from evoguard_sandbox.judging import flaky
from evoguard_sandbox.judging.runs import Runs
from evoguard_sandbox.judging.verdict import RULES, judge
from evoguard_sandbox.suite import evidence_of
from evoguard_sandbox.trees import read_tree

pytestmark = pytest.mark.needs_gvisor
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
TESTS = (
    "from calc import add\n\ndef test_one():\n    assert add(1, 2) == 3\n\ndef test_two():\n    assert add(2, 2) == 4\n"
)
BASE = {"src/calc.py": RIGHT, "tests/test_calc.py": TESTS}
LIMITS = Limits(wall_s=60)


def files(*layers: dict[str, str | None]) -> dict[str, tuple[int, bytes]]:
    texts: dict[str, str | None] = {}
    for layer in layers:
        texts |= layer
    return {path: (0o100644, text.encode()) for path, text in texts.items() if text is not None}


def sandboxes(room: Room) -> list[str]:
    done = subprocess.run(room.command("list", "-format=json"), capture_output=True, check=True, env={})
    return [row["id"] for row in json.loads(done.stdout or b"null") or []]


def codes(report: SuiteReport) -> set[str]:
    return {finding.code for finding in report.findings}


NEAR = """
class Near(int):
    __hash__ = int.__hash__
    def __eq__(self, other): return abs(int(self) - int(other)) < 5
def add(a, b):
    return Near(a + b)
"""


def drawn(value: bytes):
    """Return a `mutate` that makes each expected value so much larger, in whichever half it stands."""

    def mutate(tree, picked):
        def false(path: str) -> bytes:
            lines = tree[path].data.splitlines(keepends=True)
            for site in picked[path]:
                at = site.start[0] - 1
                lines[at] = lines[at].replace(b"== ", b"== " + value + b" + ", 1)
            return b"".join(lines)

        return {**tree, **{path: replace(tree[path], data=false(path)) for path in picked}}

    return mutate


async def test_an_honest_class_with_a_tolerance_is_not_called_a_forger(room, monkeypatch):
    base = files(BASE, {"src/calc.py": NEAR})
    honest = files(BASE, {"src/calc.py": NEAR + "# another line\n"})
    monkeypatch.setattr(flaky, "mutate", drawn(b"1000"))
    monkeypatch.setattr(whole, "mutate", drawn(b"2"))  # within the tolerance, for the candidate alone
    runs = Runs(Suite({}, {}), read_tree(base, LIMITS), LIMITS, room, None)
    seen = await evidence_of(runs, read_tree(honest, LIMITS), {})
    assert seen.base.biting[0] | seen.base.biting[1] == {"tests/test_calc.py::test_one", "tests/test_calc.py::test_two"}
    assert seen.suspects == seen.base.biting
    others = tuple(rule for rule in RULES if rule.__name__ != "split")  # draws neighbours of its own
    assert judge(seen, others) == ()
    assert seen.unproven == 2
    # Without the base's own run of the same bytes he would be one.
    assert "tests.mutant_passed" in {f.code for f in judge(replace(seen, again=(None, None)))}


ALWAYS = NEAR.replace("abs(int(self) - int(other)) < 5", "True").replace("a + b", "0")


async def test_a_forger_is_still_one_when_the_base_has_run_the_same_bytes(room):
    base, forged = files(BASE), files(BASE, {"src/calc.py": ALWAYS})
    runs = Runs(Suite({}, {}), read_tree(base, LIMITS), LIMITS, room, None)
    seen = await evidence_of(runs, read_tree(forged, LIMITS), {})
    assert any(again is not None for again in seen.again)
    assert {"tests.mutant_passed"} <= {f.code for f in judge(seen)}


VERSIONED = {
    "pyproject.toml": '[project]\nname = "calc"\nversion = "3"\n',
    "src/calc.py": """
import pathlib, tomllib
HERE = pathlib.Path(__file__).parent.parent
VERSION = int(tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["version"])
def add(a, b):
    return a + b
""",
    "tests/test_version.py": "import calc\n\ndef test_version():\n    assert calc.VERSION == 3\n",
}


async def test_code_that_reads_its_own_configuration_runs_apart_with_the_bases_copy_of_it(room):
    base = files(BASE, VERSIONED)
    seen = await run(Suite(base, files(BASE, VERSIONED)), limits=LIMITS, room=room)
    assert (seen.verdict, seen.assurance, seen.split, seen.isolation) == ("pass", "split", 3, "gvisor")
    lying = {"pyproject.toml": VERSIONED["pyproject.toml"].replace('"3"', '"4"')}
    theirs = await run(Suite(base, files(BASE, VERSIONED, lying)), limits=LIMITS, room=room)
    assert (theirs.verdict, theirs.assurance) == ("pass", "split")


SEES = """
import os
def add(a, b):
    there = [p for top, _, names in os.walk("/room/tree") for p in names if p.startswith(("test_", "conftest"))]
    return a + b if there else 0
"""


async def test_the_codes_side_holds_no_test_and_no_conftest(room):
    base = files(BASE, VERSIONED, {"conftest.py": ""})
    change = {"src/calc.py": (VERSIONED["src/calc.py"] or "").replace("def add(a, b):\n    return a + b\n", SEES)}
    seen = await run(
        Suite(base, files(BASE, VERSIONED, {"conftest.py": ""}, change)),
        limits=LIMITS,
        room=room,
    )
    assert codes(seen) == {"tests.split_failed"}


PACKAGE = {
    "src/calc.py": None,
    "src/calc/__init__.py": "from calc.ab_test import add\n",
    "src/calc/ab_test.py": RIGHT,
}


async def test_a_new_source_file_that_is_called_like_a_test_is_code_and_runs_as_a_test_too(room):
    seen = await run(Suite(files(BASE), files(BASE, PACKAGE)), limits=LIMITS, room=room)
    assert (seen.verdict, seen.assurance) == ("pass", "split")
    red = {**PACKAGE, "src/calc/ab_test.py": RIGHT + "def test_red():\n    assert add(1, 1) == 3\n"}
    seen = await run(Suite(files(BASE), files(BASE, red)), limits=LIMITS, room=room)
    assert [(f.code, f.term) for f in seen.findings] == [("tests.failed", "src/calc/ab_test.py::test_red")]


HELPED = {
    "tests/helpers.py": "def check(seen, wanted):\n    assert seen == wanted\n",
    "tests/test_calc.py": "from calc import add\nfrom helpers import check\ndef test_one():\n    check(add(1, 2), 3)\n",
}
LAX = "def check(seen, wanted):\n    pass\n"


@pytest.mark.parametrize("path", ["helpers.py", "src/helpers.py", "src/helpers/__init__.py"])
async def test_a_module_that_stands_before_the_tests_helper_is_told(room, path):
    runs = Runs(Suite({}, {}), read_tree(files(BASE, HELPED), LIMITS), LIMITS, room, None)
    forged = files(BASE, HELPED, {"src/calc.py": WRONG, path: LAX})
    seen = await evidence_of(runs, read_tree(forged, LIMITS), {})
    assert "tests.shadowed" in {f.code for f in judge(seen)}
    left = tuple(rule for rule in RULES if rule.__name__ != "split")
    assert judge(replace(seen, changes=()), left) == ()  # nothing else would have seen it beside the code


async def test_a_helper_that_is_not_among_the_test_files_is_never_asked_of_the_code_in_a_split_run(room):
    texts = {
        **HELPED,
        "tests/__init__.py": "",
        "tests/test_calc.py": HELPED["tests/test_calc.py"].replace("from helpers", "from tests.helpers"),
    }
    patterns = ("tests/test_*.py",)
    base = files(BASE, texts)
    seen = await run(
        Suite(base, files(BASE, texts, {"src/calc.py": RIGHT + "\n"}), test_paths=patterns), limits=LIMITS, room=room
    )
    assert (seen.assurance, seen.split) == ("visible-only", 0)


async def test_a_dependency_that_brings_the_project_itself_does_not_stand_in_for_it(room, tmp_path):
    layer = tmp_path / "layer"  # pytest's own folder cannot be read by the guest's users
    layer.mkdir()
    (layer / "calc.py").write_text(RIGHT)
    (layer / "needed.py").write_text("def plus(a, b):\n    return a + b\n")
    code = "from needed import plus\ndef add(a, b):\n    return plus(a, b)\n"
    base = files(BASE, {"src/calc.py": code})
    good = await run(Suite(base, base, layer_dirs=(layer,)), limits=LIMITS, room=room)
    assert (good.verdict, good.assurance) == ("pass", "split")
    bad = await run(Suite(base, files(BASE, {"src/calc.py": WRONG}), layer_dirs=(layer,)), limits=LIMITS, room=room)
    assert codes(bad) == {"tests.failed"}


async def test_a_changed_lock_is_tried_with_its_own_dependencies_and_only_adds(room, tmp_path):
    for name, sign in (("old", "+"), ("new", "-")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "needed.py").write_text(f"def plus(a, b):\n    return a {sign} b\n")
    code = {"src/calc.py": "from needed import plus\ndef add(a, b):\n    return plus(a, b)\n"}
    old, new = (tmp_path / "old",), (tmp_path / "new",)
    tree = files(BASE, code)
    bad = await run(Suite(tree, tree, layer_dirs=old, candidate_layer_dirs=new), limits=LIMITS, room=room)
    assert codes(bad) == {"tests.failed"}
    assert all("with the candidate's own dependencies" in f.msg for f in bad.findings)
    assert {f.term.partition("::")[2] for f in bad.findings} == {"test_one", "test_two"}
    same = await run(Suite(tree, tree, layer_dirs=old, candidate_layer_dirs=old), limits=LIMITS, room=room)
    assert same.verdict == "pass"
    red = files(code, BASE, {"src/calc.py": WRONG})
    adds = await run(Suite(tree, red, layer_dirs=old, candidate_layer_dirs=old), limits=LIMITS, room=room)
    assert codes(adds) == {"tests.failed"}
    assert any("own dependencies" not in f.msg for f in adds.findings)


THREE = {f"src/m{n}.py": RIGHT for n in range(3)} | {
    f"tests/test_m{n}.py": TESTS.replace("calc", f"m{n}") for n in range(3)
}
# So that there is something to be earlier than.
THREE["tests/test_m2.py"] += "\ndef test_slow():\n    import time\n    time.sleep(4)\n"


async def test_a_red_test_that_the_change_reaches_is_an_early_no_and_leaves_no_sandbox(room):
    pool = Pool(room, most=4)
    red = Suite(files(THREE), files(THREE, {"src/m1.py": WRONG}), early=True)
    green = replace(red, candidate_files=files(THREE, {"src/m1.py": RIGHT + "\n"}))
    try:  # the base is not known the first time; then it is
        seen = [await run(suite, limits=LIMITS, room=room, pool=pool) for suite in (red, green, red, green)]
    finally:
        await pool.close()
    assert sandboxes(room) == []
    assert [report.verdict for report in seen] == ["fail", "pass", "fail", "pass"]
    for report in (seen[0], seen[2]):
        assert (report.passed, codes(report)) == (False, {"tests.failed"})
        assert report.notes == ("answered early from 2 of 7 tests; nothing else was looked at",)
        assert {f.path for f in report.findings} == {"tests/test_m1.py"}


async def test_when_an_early_answer_is_given_nothing_of_the_rest_is_left(room):
    base = files(THREE, {"src/m0.py": RIGHT + "# not known yet\n"})
    red = Suite(base, {**base, **files({"src/m1.py": WRONG})}, early=True)
    assert (await run(red, limits=LIMITS, room=room)).notes
    assert sandboxes(room) == []


async def test_a_forger_gets_no_early_answer_but_his_name(room):
    forged = {"src/m1.py": "import os\ndef add(a, b):\n    os._exit(0)\n"}
    seen = await run(Suite(files(THREE), files(THREE, forged), early=True), limits=LIMITS, room=room)
    assert seen.verdict == "tamper"
    assert sandboxes(room) == []
