"""Trees from outside: what is refused, what is laid over what, and which changes are named."""

from __future__ import annotations

import io
import tarfile

import pytest

from evoguard_sandbox import Limits
from evoguard_sandbox.judging import changes
from evoguard_sandbox.trees import Entry, TreeError, matcher, overlay, read_tree
from evoguard_sandbox.types import DEFAULT_TEST_PATHS

SMALL = Limits(tree_bytes=1000, tree_files=3)
FILE = (0o100644, b"x")


def archive(*members: tuple[str, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = 1 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"x") if info.size else None)
    return out.getvalue()


R = tarfile.REGTYPE


@pytest.mark.parametrize(
    "source",
    [
        {"/etc/passwd": FILE},
        {"../x": FILE},
        {"a/../../x": FILE},
        {"a/./x": FILE},
        {"a//x": FILE},
        {"a/": FILE},
        {"": FILE},
        {"a\0b": FILE},
        {"a\nb": FILE},
        {"a\x1b[2J": FILE},
        {"a\\b": FILE},
        {"a\udc80": FILE},
        {"x" * 300: FILE},
        {"x/" * 600 + "x": FILE},
        {"a": FILE, "a/b": FILE},
        {"a": (0o120000, b"/etc"), "b": FILE},
        {"a": (0o120000, b"../x")},
        {"a/b": (0o120000, b"../../x")},
        {"a": (0o120000, b"")},
        {"a": (0o120000, b"..\0")},
        {"l": (0o120000, b"d"), "l/x": FILE},
        {"a": (0o100644, b"x" * 1001)},
        {f"{n}": FILE for n in range(4)},
        archive(("../x", R, "")),
        archive(("/x", R, "")),
        archive(("x", R, ""), ("x", R, "")),
        archive(("x", tarfile.SYMTYPE, "/etc/passwd")),
        archive(("x", tarfile.LNKTYPE, "/etc/passwd")),
        archive(("x", tarfile.CHRTYPE, "")),
        archive(("x", tarfile.FIFOTYPE, "")),
        archive(("../d", tarfile.DIRTYPE, "")),
        archive(*((f"{n}", R, "") for n in range(4))),
        archive(("x", R, ""))[:600],
        b"not a tar at all" * 100,
    ],
    ids=str,
)
def test_a_tree_that_reaches_out_of_itself_is_refused_and_shown_safely(source):
    with pytest.raises(TreeError) as caught:
        read_tree(source, SMALL)
    assert caught.value.finding.code == "input.bad_tree"
    assert caught.value.finding.msg.isprintable()


def test_a_claimed_size_beyond_the_bound_is_refused_before_it_is_read():
    info = tarfile.TarInfo("x")
    info.size = 1 << 40
    with pytest.raises(TreeError):
        read_tree(info.tobuf() + bytes(1024), SMALL)


def test_a_mapping_and_a_tar_of_it_are_the_same_tree():
    source = {"a/run": (0o100755, b"x"), "b": (0o100644, b"x"), "l": (0o120000, b"a/run")}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, (mode, data) in source.items():
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode & 0o777, len(data)
            if mode == 0o120000:
                info.type, info.linkname, info.size = tarfile.SYMTYPE, data.decode(), 0
            tar.addfile(info, io.BytesIO(data))
    assert read_tree(out.getvalue(), SMALL) == read_tree(source, SMALL)


@pytest.mark.parametrize(
    ("path", "trusted"),
    [
        ("tests/a/b.txt", True),
        ("src/tests/b.txt", True),
        ("src/test/b.txt", True),
        ("src/testing.txt", False),
        ("pkg/test_x.py", True),
        ("x_test.py", True),
        ("conftest.py", True),
        ("a/conftest.py", True),
        ("pyproject.toml", True),
        ("src/contest.py", False),
        ("testsuite/x.py", False),
        ("atest_x.py", False),
    ],
)
def test_the_default_patterns_say_which_files_are_tests(path, trusted):
    assert matcher(DEFAULT_TEST_PATHS)(path) is trusted


TRUSTED = matcher(DEFAULT_TEST_PATHS)


def tree(**texts: str) -> dict[str, Entry]:
    return {name.replace("__", "/"): Entry("file", text.encode()) for name, text in texts.items()}


def test_only_the_bases_tests_are_laid_over_the_candidates_source():
    base = {"calc.py": Entry("file", b"old"), "tests/t.py": Entry("file", b"base")}
    candidate = {
        "calc.py": Entry("file", b"new"),
        "tests/t.py": Entry("file", b"cheat"),
        "conftest.py": Entry("file", b""),
    }
    laid, kept = overlay(base, candidate, TRUSTED)
    assert laid == {"calc.py": Entry("file", b"new"), "tests/t.py": Entry("file", b"base")}
    assert kept == {"tests/t.py"}


@pytest.mark.parametrize(
    "squatter",
    [
        {"tests": Entry("file", b"")},
        {"tests": Entry("link", b"elsewhere")},
        {"tests/t.py/x": Entry("file", b"")},
    ],
)
def test_nothing_of_the_candidate_stands_where_a_trusted_file_must_be(squatter):
    laid, _ = overlay({"tests/t.py": Entry("file", b"base")}, squatter, TRUSTED)
    assert laid == {"tests/t.py": Entry("file", b"base")}


def test_a_trusted_link_is_laid_as_the_file_it_led_to_on_the_base():
    base = {"conftest.py": Entry("link", b"src/conf.py"), "src/conf.py": Entry("file", b"base")}
    laid, _ = overlay(base, {"src/conf.py": Entry("file", b"cheat")}, TRUSTED)
    assert laid["conftest.py"] == Entry("file", b"base")


PYTEST = '[tool.pytest.ini_options]\naddopts = "-q"\n'


@pytest.mark.parametrize(
    ("path", "old", "new", "codes"),
    [
        ("conftest.py", None, "x", ["tests.config_changed"]),
        ("a/conftest.py", "x", "y", ["tests.config_changed"]),
        ("tests/conftest.py", "x", None, ["tests.config_changed"]),
        ("pytest.ini", None, "", ["tests.config_changed"]),
        ("pytest.toml", None, "", ["tests.config_changed"]),
        ("tox.ini", "", "x", ["tests.config_changed"]),
        ("src/sitecustomize.py", None, "x", ["tests.config_changed"]),
        ("x.pth", None, "import x", ["tests.config_changed"]),
        ("p.dist-info/entry_points.txt", None, "x", ["tests.config_changed"]),
        ("pyproject.toml", '[project]\nname = "a"\n', '[project]\nname = "b"\n', []),
        ("pyproject.toml", PYTEST, PYTEST.replace("-q", "--co"), ["tests.config_changed"]),
        ("pyproject.toml", PYTEST, "[project]\n", ["tests.config_changed"]),
        ("pyproject.toml", "[project]\n", "not toml at all", ["tests.config_changed"]),
        ("setup.cfg", "[metadata]\nname = a\n", "[metadata]\nname = b\n", []),
        ("setup.cfg", "", "[tool:pytest]\naddopts = --co\n", ["tests.config_changed"]),
        ("tests/test_a.py", "x", "y", ["tests.base_test_changed"]),
        ("tests/test_a.py", "x", None, ["tests.base_test_changed"]),
        ("tests/test_a.py", None, "x", []),
        ("src/a.py", "x", "y", []),
    ],
)
def test_a_change_to_how_tests_run_is_named_with_its_path(path, old, new, codes):
    base, candidate = ({} if t is None else {path: Entry("file", t.encode())} for t in (old, new))
    found = changes.findings(base, candidate, TRUSTED)
    assert [f.code for f in found] == codes
    assert all(f.path == path and path in f.msg for f in found)


def test_new_tests_are_the_candidates_own_and_never_configuration():
    base = {"tests/test_a.py": Entry("file", b"")}
    added = {
        name: Entry("file", b"") for name in ("tests/test_b.py", "tests/data", "tests/conftest.py", "tests/test_a.py/x")
    }
    fresh = changes.new_tests(base, {**base, **added}, TRUSTED)
    assert set(fresh) == {"tests/test_b.py", "tests/data"}
    assert changes.runnable(fresh) == ["tests/test_b.py"]


@pytest.mark.parametrize(
    ("names", "config"),
    [
        ({}, ""),
        ({"pytest.ini": ""}, "pytest.ini"),
        ({"pyproject.toml": "[project]\n", "tox.ini": "[tox]\n"}, ""),
        ({"pyproject.toml": PYTEST, "pytest.ini": ""}, "pytest.ini"),
        ({"pyproject.toml": PYTEST, "tox.ini": "[pytest]\n"}, "pyproject.toml"),
        ({"setup.cfg": "[tool:pytest]\nx = 1\n", "tox.ini": "[tox]\n"}, "setup.cfg"),
    ],
)
def test_the_configuration_is_the_one_pytest_would_take(names, config):
    assert changes.config_of({name: Entry("file", text.encode()) for name, text in names.items()}) == config


def test_a_tree_deeper_than_any_project_is_refused():
    read_tree({"a/" * 63 + "x.py": (0o100644, b"")}, Limits())
    with pytest.raises(TreeError, match="64 folders deep"):
        read_tree({"a/" * 64 + "x.py": (0o100644, b"")}, Limits())


def test_a_compiled_module_of_the_candidates_is_not_laid_out():
    stale = "tests/__pycache__/helpers.cpython-311.pyc"
    candidate = {stale: Entry("file", b"x"), "src/__pycache__": Entry("file", b""), "src/a.py": Entry("file", b"")}
    tree, _ = overlay({"tests/helpers.py": Entry("file", b"")}, candidate, lambda path: path.endswith("helpers.py"))
    assert sorted(tree) == ["src/__pycache__", "src/a.py", "tests/helpers.py"]
