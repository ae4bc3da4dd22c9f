"""Names that a candidate's new module would take from the tests, and names that are never the candidate's."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard_sandbox.judging import changes, shadows
from evoguard_sandbox.trees import Entry, Tree, matcher
from evoguard_sandbox.types import DEFAULT_TEST_PATHS


def TRUSTED(path: str) -> bool:
    return matcher(DEFAULT_TEST_PATHS)(path) or changes.is_config(path)


def tree(*paths: str) -> Tree:
    return {path: Entry("file", b"") for path in paths}


BASE = tree("src/calc.py", "tests/test_calc.py", "tests/helpers.py", "tests/data/case.py", "pkg/a.py", "pkg/a_test.py")


@pytest.mark.parametrize(
    ("new", "taken"),
    [
        ("helpers.py", "helpers"),
        ("src/helpers.py", "helpers"),
        ("helpers/__init__.py", "helpers"),
        ("src/helpers/__init__.py", "helpers"),
        ("helpers/deep.py", "helpers"),
        ("helpers.cpython-311-x86_64-linux-gnu.so", "helpers"),
        ("pkg/helpers.py", "helpers"),
        ("data/x.py", "data"),
        ("src/data.py", "data"),
        ("tests.py", "tests"),
        ("json.py", "json"),
        ("src/json/__init__.py", "json"),
        ("requests.py", "requests"),
        ("requests/__init__.py", "requests"),
        ("other.py", ""),
        ("src/calc/helpers.py", ""),
        ("json/README.txt", ""),
        ("site/page.py", ""),
        ("pkg/json.py", ""),
        ("src/calc.py", ""),
        ("helpers.txt", ""),
    ],
)
def test_a_new_module_with_a_name_of_the_tests_is_told(new, taken, tmp_path: Path):
    for name in ("requests", "six.py", "requests-1.dist-info"):
        (tmp_path / name).mkdir()
    found = shadows.findings(BASE, {**BASE, **tree(new)}, TRUSTED, layer_dirs=[tmp_path])
    assert [(f.code, f.term, f.path) for f in found] == ([("tests.shadowed", taken, new)] if taken else [])


def test_what_the_base_has_at_the_top_already_is_no_new_name():
    base = {**BASE, **tree("helpers.py", "src/json.py")}
    changed = {**base, "helpers.py": Entry("file", b"x"), "json.py": Entry("file", b"x")}
    assert shadows.findings(base, changed, TRUSTED) == ()


def test_a_link_can_take_a_name_too():
    found = shadows.findings(BASE, {**BASE, "helpers": Entry("link", b"src")}, TRUSTED)
    assert [f.term for f in found] == ["helpers"]


def test_a_new_file_that_is_called_like_a_test_can_take_a_name_when_it_is_laid_out_as_code():
    now = {**BASE, **tree("test_calc.py")}
    assert shadows.findings(BASE, now, TRUSTED) == ()
    assert [f.term for f in shadows.findings(BASE, now, TRUSTED, extra={"test_calc.py"})] == ["test_calc"]


def test_a_folder_that_the_configuration_puts_first_is_looked_at():
    ini = '[tool.pytest.ini_options]\npythonpath = ["lib", "./", "../out"]\n'
    base = {**BASE, "pyproject.toml": Entry("file", ini.encode())}
    assert changes.python_paths(base, changes.config_of(base)) == {"lib", ""}
    now = {**base, **tree("lib/json.py")}
    assert shadows.findings(base, now, TRUSTED) == ()
    assert [f.term for f in shadows.findings(base, now, TRUSTED, roots={"lib"})] == ["json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pytest]\npythonpath = src lib/x\n", {"src", "lib/x"}),
        ("[pytest]\n", set()),
        ("[pytest]\npythonpath = .\n", {""}),
    ],
)
def test_the_path_of_an_ini_file_is_read(text, said):
    assert changes.python_paths({"pytest.ini": Entry("file", text.encode())}, "pytest.ini") == said


def test_what_the_other_process_answers_is_never_a_folder_of_tests_or_a_name_of_python():
    names = matcher(["tests/test_*.py", "checks/*.py"])
    base = tree(
        "src/calc.py", "tests/__init__.py", "tests/test_a.py", "checks/__init__.py", "json.py",
        "src/random/__init__.py",
        "dep/__init__.py",
    )  # fmt: skip
    others = shadows.test_folders(["tests/test_*.py", "checks/*.py", "src/pkg/tests/**"])
    assert others == {"tests", "test", "testing", "checks"}
    assert changes.packages(base, names, others | {"dep"}) == ("calc",)
    assert changes.packages(base, names) == ("calc", "dep")


def test_what_the_project_itself_is_comes_from_its_tree_though_a_layer_has_it(tmp_path: Path):
    (tmp_path / "calc.py").touch()
    (tmp_path / "other").mkdir()
    assert changes.own_names(BASE, shadows.layer_names([tmp_path, tmp_path / "gone"])) == ["calc"]
    assert changes.own_names(tree("pytest/__init__.py"), ["pytest"]) == []


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("pyproject.toml", True),
        ("setup.cfg", True),
        ("x.egg-info/PKG-INFO", True),
        ("src/x.dist-info/sub/METADATA", True),
        ("tests/x.egg-info/PKG-INFO", False),
        ("src/pkg/setup.cfg", True),
        ("conftest.py", False),
        ("tests/setup.cfg", False),
        ("src/pkg/tests/pyproject.toml", False),
        ("tests/test_calc.py", False),
        ("test_calc.py", False),
        ("src/calc.py", False),
    ],
)
def test_of_what_is_trusted_the_code_may_read_configuration_alone(path, reads):
    assert (path in changes.readable({**BASE, **tree(path)}, TRUSTED)) is reads


@pytest.mark.parametrize(
    ("path", "laid"),
    [
        ("src/ab_test.py", True),
        ("src/pkg/test_kit.py", True),
        ("test_top.py", True),
        ("tests/test_new.py", False),
        ("src/pkg/tests/ab_test.py", False),
        ("conftest.py", False),
        ("pkg/a_test.py", False),
        ("tests/test_calc.py/x_test.py", False),
    ],
)
def test_a_new_file_that_only_its_name_makes_a_test_is_code_as_well(path, laid):
    now = {**BASE, path: Entry("file", b"x")}
    assert (path in changes.sources(BASE, now, TRUSTED)) is laid
    linked = {**BASE, path: Entry("link", b"x")}
    assert path not in changes.sources(BASE, linked, TRUSTED)
