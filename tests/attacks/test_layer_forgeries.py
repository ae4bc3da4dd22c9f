"""Dependencies that try to make wrong code green: refused when the layer is made, or without effect in the sandbox."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter, Limits, Room, Suite, SuiteReport, run
from evoguard_sandbox.layers import Layer, build, hold, verify
from evoguard_sandbox.types import LayerError
from unit.sandbox.wheels import fetching, lock, wheel

pytestmark = pytest.mark.needs_gvisor
PYTHON = Interpreter.current()
ENDS = "import os\nos._exit(0)\n"
GREEN = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.outcome = "passed"
"""
TEST = "import demo\nfrom calc import double\ndef test_it():\n    assert double(4) == 8\n"
RIGHT, WRONG = "def double(n): return n + n\n", "def double(n): return 9\n"


def layer_of(folder: Path, **wheels: bytes) -> Layer:
    return build(lock(**wheels), folder=folder, python=PYTHON, fetch=fetching(**wheels))


async def judged(room: Room, layer: Path, calc: str, test: str = TEST) -> SuiteReport:
    base = {"calc.py": (0o100644, RIGHT.encode()), "test_calc.py": (0o100644, test.encode())}
    return await run(
        Suite(base, {**base, "calc.py": (0o100644, calc.encode())}, layer_dirs=(layer,)), limits=Limits(), room=room
    )


INFO = "demo-1.0.dist-info"
REFUSED = {
    "shadows pytest": ({"pytest/__init__.py": ENDS}, "layer.shadows_runner"),
    "shadows its inside": ({"_pytest/runner.py": ENDS}, "layer.shadows_runner"),
    "shadows it as one file": ({"pluggy.py": ENDS}, "layer.shadows_runner"),
    "shadows it from its data": ({"demo-1.0.data/purelib/pytest.py": ENDS}, "layer.shadows_runner"),
    "sitecustomize": ({"sitecustomize.py": ENDS}, "layer.start_code"),
    "usercustomize": ({"usercustomize/__init__.py": ENDS}, "layer.start_code"),
    "shadows the standard library": ({"unittest/__init__.py": ENDS}, "layer.shadows_stdlib"),
    "names itself otherwise": ({f"{INFO}/METADATA": "Name: evil\nVersion: 1.0\n"}, "layer.other_package"),
    "another wheel's file": ({"other.py": ENDS}, "layer.clash"),
    "a file where another's folder is": ({"other_folder": ENDS}, "layer.clash"),
    "configures the runner": ({"pytest.ini": "[pytest]\naddopts = --collect-only\n"}, "layer.shadows_runner"),
    "leads out of itself": ({"../deps/1/x.py": ENDS}, "layer.bad_wheel"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_layer_that_could_stand_in_for_others_is_never_made(tmp_path, how):
    files, code = REFUSED[how]
    other = wheel({"other.py": "X = 1\n", "other_folder/x.py": ""}, "other")
    with pytest.raises(LayerError) as caught:
        layer_of(tmp_path / "l", other=other, demo=wheel(files))
    assert (caught.value.code, bool(caught.value.fix)) == (code, True)
    assert sorted(p.name for p in (tmp_path / "l").iterdir()) == [".building", "keys"]


def test_a_record_that_hides_a_file_is_refused(tmp_path):
    record = f"demo.py,,\n{INFO}/METADATA,,\n{INFO}/RECORD,,\n"
    with pytest.raises(LayerError) as caught:
        layer_of(tmp_path / "l", demo=wheel({"demo.py": "", "hidden.py": ENDS}, record=record))
    assert caught.value.code == "layer.record_lies"


def test_the_wheel_of_another_platform_under_the_locks_hash_is_judged_like_any(tmp_path):
    """A lock may name wheels of several platforms; which one comes, the index decides, and all are looked at."""
    honest, evil = wheel({"demo.py": ""}), wheel({"pytest.py": ENDS})
    both = lock(demo=honest).rstrip(b"\n") + b" " + lock(demo=evil).split(b" ", 1)[1]
    assert build(both, folder=tmp_path / "a", python=PYTHON, fetch=fetching(demo=honest)).packages
    with pytest.raises(LayerError) as caught:
        build(both, folder=tmp_path / "b", python=PYTHON, fetch=fetching(demo=evil))
    assert caught.value.code == "layer.shadows_runner"
    with pytest.raises(LayerError) as caught:
        build(lock(demo=honest), folder=tmp_path / "c", python=PYTHON, fetch=fetching(demo=evil))
    assert caught.value.code == "layer.hash_mismatch"


def _swap(layer: Layer, evil: Layer) -> None:
    layer.path.rename(layer.path.with_name("away"))
    layer.path.symlink_to(evil.path)


def _moved(layer: Layer, evil: Layer) -> None:
    layer.path.rename(layer.path.with_name("away"))
    evil.path.rename(layer.path)


@pytest.mark.parametrize("swap", [_swap, _moved])
def test_a_layer_whose_folder_was_exchanged_is_not_used(tmp_path, swap):
    layer = layer_of(tmp_path / "l", demo=wheel({"demo.py": "X = 1\n"}))
    evil = layer_of(tmp_path / "e", demo=wheel({"demo.py": ENDS}))
    swap(layer, evil)
    for use in (lambda: verify(layer), lambda: hold(layer).__enter__()):
        with pytest.raises(LayerError) as caught:
            use()
        assert caught.value.code == "layer.changed"


INJECTS = {
    "entry point": {
        "demo/__init__.py": "",
        "demo/plugin.py": GREEN,
        f"{INFO}/entry_points.txt": "[pytest11]\nevil = demo.plugin\n",
    },
    ".pth": {"demo.py": "", "evil.pth": f"import sys; exec({ENDS!r})\n"},
    "conftest": {"demo.py": "", "conftest.py": GREEN},
    "configuration": {"demo.py": "", "tox.ini": "[pytest]\naddopts = --collect-only\n"},
    "compiled beside the source": {
        "demo.py": "",
        f"__pycache__/demo.{sys.implementation.cache_tag}.pyc": b"\0" * 16 + b"evil",
    },
}  # fmt: skip


@pytest.mark.parametrize("how", INJECTS)
async def test_what_a_dependency_brings_along_makes_no_wrong_code_green(room, tmp_path, how):
    layer = layer_of(tmp_path / "l", demo=wheel(INJECTS[how]))
    with hold(layer) as path:
        right, wrong = await judged(room, path, RIGHT), await judged(room, path, WRONG)
    assert right.expected == ("test_calc.py::test_it",)
    assert right.passed, right.findings
    assert not wrong.passed
    assert wrong.ran


@pytest.mark.parametrize("name", ["sitecustomize.py", "usercustomize.py", "evil.pth"])
async def test_even_in_a_layer_made_by_hand_nothing_runs_at_pythons_start(room, tmp_path, name):
    tmp_path.chmod(0o755)
    (tmp_path / name).write_text("import os; os._exit(0)\n")
    (tmp_path / "demo.py").write_text("")
    right, wrong = await judged(room, tmp_path, RIGHT), await judged(room, tmp_path, WRONG)
    assert right.passed, right.findings
    assert (wrong.passed, wrong.ran) == (False, True)


async def test_tests_of_a_dependency_never_count_in_place_of_the_bases(room, tmp_path):
    layer = layer_of(tmp_path / "l", demo=wheel({"demo.py": "", "test_calc.py": "def test_it(): pass\n"}))
    with hold(layer) as path:
        seen = await judged(room, path, WRONG)
    assert not seen.passed


PASSES_ALL = {
    "by a property over an instance": "TestReport.passed = property(lambda self: True)\n"
    "TestReport.outcome = property(lambda self: 'passed', lambda self, value: None)\n",
    "by a hidden descriptor": "class Always:\n    def __get__(self, one, kind): return 'passed'\n"
    "    def __set__(self, one, value): pass\nTestReport.outcome = Always()\n",
    "by what every attribute goes through": "old = object.__getattribute__\n"
    "TestReport.__getattribute__ = lambda self, n: 'passed' if n == 'outcome' else old(self, n)\n",
}


@pytest.mark.parametrize("text", PASSES_ALL.values(), ids=PASSES_ALL)
async def test_a_dependency_of_the_base_that_turns_every_test_green_makes_the_base_prove_nothing(room, tmp_path, text):
    layer = layer_of(tmp_path, demo=wheel({"demo.py": "from _pytest.reports import TestReport\n" + text}))
    seen = await judged(room, layer.path, WRONG)
    assert not seen.passed
    assert "tests.base_proves_nothing" in {f.code for f in seen.findings}
    unused = await judged(room, layer.path, RIGHT, TEST.removeprefix("import demo\n"))
    assert unused.passed  # nobody imports it, so it judges nothing
