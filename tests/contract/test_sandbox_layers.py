"""Layers in real gVisor: what a dependency brings along cannot stand in for the test runner, nor join it unasked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter, Limits, Room, Suite, SuiteReport, run
from evoguard_sandbox.layers import build, hold
from unit.sandbox.wheels import fetching, lock, wheel

pytestmark = pytest.mark.needs_gvisor
ENDS = "import os\nos._exit(0)\n"


async def suite(room: Room, layer: Path, test: str) -> SuiteReport:
    files = {"calc.py": (0o100644, b"VALUE = 1\n"), "test_calc.py": (0o100644, test.encode())}
    return await run(Suite(files, files, layer_dirs=(layer,)), limits=Limits(), room=room)


async def test_a_pytest_plugin_of_a_dependency_is_there_but_is_not_loaded(room, tmp_path):
    demo = wheel({
        "demo/__init__.py": "NAME = 'demo'\n",
        "demo/plugin.py": ENDS,
        "demo-1.0.dist-info/entry_points.txt": "[pytest11]\ndemo = demo.plugin\n",
    })  # fmt: skip
    layer = build(lock(demo=demo), folder=tmp_path / "l", python=Interpreter.current(), fetch=fetching(demo=demo))
    test = (
        "import sys, importlib.metadata, demo\n"
        "def test_it():\n"
        "    (found,) = importlib.metadata.entry_points(group='pytest11', name='demo')\n"
        "    assert found.value == 'demo.plugin'\n"
        "    assert 'demo.plugin' not in sys.modules and demo.NAME == 'demo'\n"
        f"    assert demo.__cached__ == '/opt/deps/0/demo/__pycache__/__init__.{sys.implementation.cache_tag}.pyc'\n"
    )
    with hold(layer) as path:
        seen = await suite(room, path, test)
    assert seen.passed, seen.findings
    assert seen.expected == ("test_calc.py::test_it",)


@pytest.mark.parametrize("name", ["pytest", "_pytest", "pluggy", "iniconfig", "packaging"])
async def test_even_a_layer_made_by_hand_cannot_stand_in_the_runners_place(room, tmp_path, name):
    tmp_path.chmod(0o755)
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(ENDS)
    test = f"import {name}\ndef test_it(): assert {name}.__file__.startswith('/opt/layer/')\n"
    seen = await suite(room, tmp_path, test)
    assert seen.passed, seen.findings
