from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard.domain.diff import TreeEntry, check_path, check_symlink, check_tree, decode_path, fold, shown_path
from evoguard.errors import InputError


def code(path: str) -> str:
    try:
        check_path(path)
    except InputError as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b.py",
        ".gitignore",
        ".github/workflows/ci.yml",
        "git",
        "a.git",
        ".gitx",
        "größe/ü.txt",
        "日本/語",
        "a b",
        "x:y",
        "aux.c",
        "a" * 255,
        "/".join("a" * 200 for _ in range(20)),
        "..a",
        "a..b",
        "~x",
        "(1)",
    ],
)
def test_an_ordinary_name_passes(path: str) -> None:
    assert code(path) == ""


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("", "outside"),
        ("/a", "outside"),
        ("a//b", "outside"),
        ("a/", "outside"),
        ("./a", "outside"),
        ("a/..", "outside"),
        ("..", "outside"),
        ("a\\b", "outside"),
        (".git", "git"),
        ("a/.GIT/b", "git"),
        ("GIT~1", "git"),
        ("git~2/x", "git"),
        (".git . .", "git"),
        (".git::$DATA", "git"),
        (".git:x", "git"),
        (".g\u200cit", "control"),
        ("a\nb", "control"),
        ("a\0b", "control"),
        ("\x7f", "control"),
        ("\u202ex", "control"),
        ("\u2066x", "control"),
        ("\ufeffx", "control"),
        ("\u2028", "control"),
        ("e\u0301", "not_nfc"),
        ("\u212b", "not_nfc"),
        ("\udc80", "not_utf8"),
        ("a" * 256, "too_long"),
        ("é" * 128, "too_long"),
        ("/".join("a" * 250 for _ in range(17)), "too_long"),
    ],
)
def test_a_name_that_means_two_things_is_refused(path: str, rule: str) -> None:
    assert code(path) == f"path.{rule}"


@given(st.text(max_size=40))
def test_a_name_that_passes_is_one_plain_relative_name(path: str) -> None:
    if code(path) == "":
        assert path.encode().decode() == path
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))
        assert all(part.lower() != ".git" for part in path.split("/"))
        assert "\n" not in path


@given(st.text(max_size=200))
def test_a_shown_path_is_printable_and_bounded(path: str) -> None:
    assert shown_path(path).isprintable()
    assert len(shown_path(path)) <= 120 * 10 + 2


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        decode_path(b"\xff")
    assert caught.value.code == "path.not_utf8"


@pytest.mark.parametrize("target", [b"b", b"../b", b"./x/y", b"../../top", b"..", b"x/"])
def test_a_symlink_within_the_tree_passes(target: bytes) -> None:
    check_symlink("a/b/link", target)


@pytest.mark.parametrize("target", [b"../../../x", b"x/../y", b"/x", b"./../x", b"\xff", b"", b"../.git/config"])
def test_a_symlink_that_could_leave_the_tree_is_refused(target: bytes) -> None:
    with pytest.raises(InputError):
        check_symlink("a/b/link", target)


@pytest.mark.parametrize("names", [("a/b", "A/c"), ("a/B/c", "a/b"), ("É/x", "é/y"), ("x/y/Z", "x/y/z")])
def test_names_that_one_file_system_takes_for_one_collide(names: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        check_tree([TreeEntry(name, "100644", "0" * 40) for name in names], {})
    assert caught.value.code == "path.collision"


def test_siblings_and_cousins_do_not_collide() -> None:
    names = ("a/b", "a/c", "b/a", "b/c/a", "b/c/b", "é", "e")
    check_tree([TreeEntry(name, "100644", "0" * 40) for name in names], {})


def test_folding_ignores_case_and_composition() -> None:
    assert fold("STRASSE") == fold("straße")
    assert fold("E\u0301") == fold("é")
