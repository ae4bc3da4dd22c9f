"""A plugin of the base's that replaces parts of `unittest.mock`, as pytest-mock does: it may, and nobody else may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evoguard_sandbox import Limits, Room, Suite, SuiteReport, run
from evoguard_sandbox.judging.evidence import Base, Evidence, Held
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.verdict import judge
from evoguard_sandbox.types import TestResult

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
PLUGIN = """
import unittest.mock

originals = {}
def checked(method, *words, **more):
    __tracebackhide__ = True
    method(*words, **more)
def wrap_once(*words, **more):
    checked(originals["assert_called_once_with"], *words, **more)
def quiet(*words, **more):
    pass
def pytest_configure(config):
    originals["assert_called_once_with"] = unittest.mock.NonCallableMock.assert_called_once_with
    unittest.mock.NonCallableMock.assert_called_once_with = wrap_once
"""
RIGHT = "def tell(who):\n    who.hear('news')\n"
WRONG = "def tell(who):\n    who.hear('lies')\n"
TESTS = """
from unittest import mock
import bell

def test_tells():
    who = mock.Mock()
    bell.tell(who)
    who.hear.assert_called_once_with('news')
"""
HEAD = "import sys, unittest.mock, mockplug\nMock = unittest.mock.NonCallableMock\n"


def files(code: str) -> dict[str, tuple[int, bytes]]:
    return {"src/bell.py": (0o100644, code.encode()), "tests/test_bell.py": (0o100644, TESTS.encode())}


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layer")
    (folder / "mockplug.py").write_text(PLUGIN)
    (folder / "mockplug.py").chmod(0o644)  # an earlier test may have left a narrow umask
    folder.chmod(0o755)
    return folder


async def judged(room: Room, layer: Path, code: str) -> SuiteReport:
    suite = Suite(files(RIGHT), files(code), layer_dirs=(layer,), plugins=("mockplug",))
    return await run(suite, limits=LIMITS, room=room)


async def test_the_plugin_may_replace_what_it_replaces_on_the_base(room, layer):
    seen = await judged(room, layer, RIGHT + "# a comment\n")
    assert (seen.verdict, seen.findings) == ("pass", ())


async def test_a_module_of_the_projects_may_have_the_name_of_one_of_the_runners(room):
    tree = {
        "src/plugged.py": (0o100644, b"def two():\n    return 2\n"),
        "tests/test_plugged.py": (0o100644, b"import plugged\n\ndef test_two():\n    assert plugged.two() == 2\n"),
    }
    seen = await run(Suite(tree, tree), limits=LIMITS, room=room)
    assert (seen.verdict, seen.findings) == ("pass", ())


async def test_a_wrong_program_still_fails(room, layer):
    seen = await judged(room, layer, WRONG)
    assert (seen.verdict, {f.code for f in seen.findings}) == ("fail", {"tests.failed"})


@pytest.mark.parametrize(
    "trick",
    [
        "Mock.assert_called_once_with = lambda *words: None\n",
        "Mock.assert_called_once_with = mockplug.quiet\n",
        "Mock.assert_called_with = mockplug.quiet\nMock.assert_called_once_with = mockplug.quiet\n",
        "mockplug.checked = mockplug.quiet\n",
        "mockplug.originals['assert_called_once_with'] = mockplug.quiet\n",
        "mockplug.originals['assert_called_once_with'] = lambda *words: None\n",
        "mockplug.originals['assert_called_once_with'] = Mock.reset_mock\n",
        "Mock.reset_mock.__name__ = 'assert_called_once_with'\n"
        "mockplug.originals['assert_called_once_with'] = Mock.reset_mock\n",
        "mockplug.checked.__code__ = mockplug.quiet.__code__\n",
        "mockplug.wrap_once.__code__ = mockplug.quiet.__code__\n",
        "mockplug.wrap_once = Mock.assert_called_once_with = mockplug.quiet\n",
        "mockplug.originals['assert_called_once_with'] = print\n",
        "class Quiet:\n    def __init__(self, *words):\n        pass\n"
        "mockplug.originals['assert_called_once_with'] = Quiet\n",
        "mockplug.originals = type('T', (dict,), {'__getitem__': lambda self, key: lambda *words: None})()\n",
        "mockplug.originals = {'assert_called_once_with': Mock.assert_called_once_with}\n",
        "import gc, types\nmockplug.wrap_once.__code__ = mockplug.quiet.__code__\n"
        "manager = next(o for o in gc.get_objects() if type(o).__name__ == 'PytestPluginManager')\n"
        "manager.register(types.ModuleType('mockplug'), 'again')\n",
    ],
)
async def test_nobody_else_may_replace_it_and_not_with_parts_of_the_plugin(room, layer, trick):
    seen = await judged(room, layer, HEAD + trick + WRONG)
    assert seen.verdict == "tamper"
    assert "tests.runner_patched" in {f.code for f in seen.findings}


# Nothing of this crosses to another process: a class of the tests inherits from the code's.
BESIDE = """
from unittest import mock
import bell

class Loud(bell.Bell):
    pass

def test_tells():
    who = mock.Mock()
    Loud().tell(who)
    who.hear.assert_called_once_with('news')

def test_tells_at_all():
    who = mock.Mock()
    Loud().tell(who)
    who.hear.assert_called_once()
"""
BELL = "class Bell:\n    def tell(self, who):\n        who.hear('news')\n"


def beside(code: str) -> dict[str, tuple[int, bytes]]:
    return {"src/bell.py": (0o100644, code.encode()), "tests/test_bell.py": (0o100644, BESIDE.encode())}


async def test_what_is_asserted_through_mocks_alone_is_proved_by_mutants_as_well(room):
    seen = await run(Suite(beside(BELL), beside(BELL + "#\n")), limits=LIMITS, room=room)
    assert (seen.verdict, seen.split, seen.unproven) == ("pass", 0, 0)


@pytest.mark.parametrize(
    ("trick", "says"),
    [
        ("", "tests.failed"),
        ("unittest.mock.Mock.assert_called_once_with = lambda *words: None\n", "tests.runner_patched"),
        ("unittest.mock.Mock.__getattribute__ = lambda self, name: lambda *words: None\n", "tests.runner_patched"),
        ("hook = lambda who: setattr(who.hear, 'assert_called_once_with', lambda *words: None)\n",
         "tests.mutant_passed"),
    ],
)  # fmt: skip
async def test_a_check_of_a_mock_cannot_be_silenced(room, trick, says):
    wrong = "hook = lambda who: None\nimport unittest.mock\n" + trick
    wrong += BELL.replace("'news')", "'lies')\n        hook(who)")
    seen = await run(Suite(beside(BELL), beside(wrong)), limits=LIMITS, room=room)
    assert not seen.passed
    assert says in {f.code for f in seen.findings}


async def test_a_candidate_may_ask_for_another_release_of_the_plugin(room, layer, tmp_path):
    more = PLUGIN + (
        "    originals['assert_called_with'] = unittest.mock.NonCallableMock.assert_called_with\n"
        "    unittest.mock.NonCallableMock.assert_called_with = wrap_with\n"
        "def wrap_with(*words, **more):\n    checked(originals['assert_called_with'], *words, **more)\n"
    )
    (tmp_path / "mockplug.py").write_text(more)
    (tmp_path / "mockplug.py").chmod(0o644)
    tmp_path.chmod(0o755)
    suite = Suite(
        files(RIGHT), files(RIGHT + "#\n"), layer_dirs=(layer,), plugins=("mockplug",), candidate_layer_dirs=(tmp_path,)
    )
    seen = await run(suite, limits=LIMITS, room=room)
    assert (seen.verdict, seen.findings) == ("pass", ())


def a_run(plugged: str) -> RunFacts:
    return RunFacts(
        "finished", found=1, tests=(TestResult("t.py::t", "passed", 1),), end_status=0, exit_status=0, plugged=plugged
    )


CANARY = RunFacts(
    "finished",
    tests=(TestResult("test_canary.py::test_good", "passed", 1), TestResult("test_canary.py::test_bad", "failed", 1)),
    end_status=1,
    exit_status=1,
)


@pytest.mark.parametrize(
    ("base", "candidate", "says"),
    [
        ("", "", []),
        ("a=p.f b=p.g", "a=p.f b=p.g", []),
        ("a=p.f b=p.g", "a=p.g b=p.g", ["tests.runner_patched"]),
        ("a=p.f", "", ["tests.runner_patched"]),
        ("", "a=p.f", ["tests.runner_patched"]),
    ],
)
def test_the_host_compares_name_by_name(base, candidate, says):
    evidence = Evidence(Base(a_run(base)), (a_run(candidate), a_run(candidate)), CANARY)
    assert [f.code for f in judge(evidence)] == says
    held = replace(evidence, halves=(a_run(base), a_run(base)), held=Held(a_run(candidate)))
    assert [f.code for f in judge(held)] == (["tests.held_out_failed"] if says else [])
