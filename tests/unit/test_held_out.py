"""The folder of held-out tests: the guard's own account alone, plain files only, or no run at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evoguard.adapters.held_out import HeldOut
from evoguard.errors import ConfigError

REPO = "service-0123abcd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tests = tmp_path / "held" / REPO / "tests"
    tests.mkdir(parents=True)
    (tests / "test_held.py").write_text("def test_a(): pass\n")
    for path in (tmp_path / "held", tmp_path / "held" / REPO, tests):
        path.chmod(0o700)
    return tmp_path / "held"


def test_a_repository_gets_its_own_files_by_their_path_in_the_tree(folder: Path) -> None:
    held = HeldOut(str(folder))
    assert held.files(REPO) == {"tests/test_held.py": (0o100644, b"def test_a(): pass\n")}
    assert held.there(REPO)
    assert not held.there("other-0123abcd")
    assert held.files("other-0123abcd") == {}
    assert HeldOut("").files(REPO) == {}


@pytest.mark.parametrize("mode", [0o701, 0o750, 0o777])
@pytest.mark.parametrize("where", ["", REPO, f"{REPO}/tests"])
def test_a_folder_that_others_can_read_is_refused_before_anything_is_run(folder: Path, where: str, mode: int) -> None:
    (folder / where).chmod(mode)
    with pytest.raises(ConfigError, match="read by other") as caught:
        HeldOut(str(folder)).files(REPO)
    assert caught.value.code == "held_out.invalid"


def test_a_folder_that_is_not_there_is_an_error_and_not_no_tests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        HeldOut(str(tmp_path / "gone"))


def test_an_empty_folder_of_a_repository_is_an_error_and_not_no_tests(folder: Path) -> None:
    (folder / REPO / "tests" / "test_held.py").unlink()
    with pytest.raises(ConfigError, match="empty"):
        HeldOut(str(folder)).files(REPO)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_plain_files_are_taken(folder: Path, kind: str) -> None:
    odd = folder / REPO / "odd"
    odd.symlink_to("/etc/passwd") if kind == "link" else os.mkfifo(odd)
    with pytest.raises(ConfigError, match="plain file"):
        HeldOut(str(folder)).files(REPO)
