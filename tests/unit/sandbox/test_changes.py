"""A candidate's configuration is read at no great cost, whatever it holds, and as pytest reads it."""

from __future__ import annotations

import pytest

from evoguard_sandbox.judging import changes
from evoguard_sandbox.judging.changes import pytest_section
from evoguard_sandbox.trees import Entry

LONG = b"[x]\na" + b" " * 250_000 + b"b\n"


@pytest.mark.parametrize("name", ["setup.cfg", "tox.ini", "conftest.py", "x.dist-info/METADATA"])
def test_a_line_that_costs_the_library_the_square_of_its_length_costs_nothing_here(name):
    assert pytest_section(name, LONG) == LONG  # not read, so any change of it is told


@pytest.mark.parametrize(
    ("name", "text", "section"),
    [
        (
            "setup.cfg",
            "[metadata]\nname = x\n[tool:pytest]\naddopts = -q\n  -x\n",
            {"tool:pytest": {"addopts": "-q\n-x"}},
        ),
        ("tox.ini", "[tox]\n[pytest]\ntestpaths: tests\n", {"pytest": {"testpaths": "tests"}}),
        ("setup.cfg", "[metadata]\nname = x\n", None),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\naddopts = '-q'\n",
            {"pytest": {"ini_options": {"addopts": "-q"}}},
        ),
        ("pyproject.toml", "[project]\nname = 'x'\n", None),
    ],
)
def test_what_is_pytests_of_a_shared_file(name, text, section):
    assert pytest_section(name, text.encode()) == section


@pytest.mark.parametrize("text", ["[pytest\n", "a\nb\n", "[pytest]\na = 1\na = 2\n", "[pytest]\n\xff"])
def test_what_cannot_be_read_is_compared_whole(text):
    assert pytest_section("setup.cfg", text.encode("latin-1")) == text.encode("latin-1")


def test_a_compiled_module_is_no_new_test():
    tree = {"tests/__pycache__/test_x.cpython-311.pyc": Entry("file", b""), "tests/test_y.py": Entry("file", b"")}
    assert list(changes.new_tests({}, tree, lambda path: path.startswith("tests/"))) == ["tests/test_y.py"]
