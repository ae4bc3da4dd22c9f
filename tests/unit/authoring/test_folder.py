"""A policy folder is read whole, bounded and inside itself, or refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import folder
from evoguard.errors import InputError, IntegrityError

SOURCES = bundle.sources()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder.make(tmp_path / "rules", SOURCES)
    return tmp_path / "rules"


def test_what_is_written_is_what_is_read(made: Path):
    assert dict(folder.read(made).texts) == SOURCES
    assert bundle.stale_sources(made) == []


def test_what_is_hidden_or_no_source_is_left_out(made: Path):
    (made / ".git").mkdir()
    (made / ".git" / "x.rego").write_text("not rego")
    (made / "README.md").write_text("about")
    assert dict(folder.read(made).texts) == SOURCES


def no_data(made: Path) -> None:
    (made / "data.json").unlink()


def a_link_out(made: Path) -> None:
    (made / "author" / "held.rego").unlink()
    (made / "author" / "held.rego").symlink_to("/etc/hostname")


def a_folder_that_is_a_link(made: Path) -> None:
    (made / "more").symlink_to("/etc")


def not_utf8(made: Path) -> None:
    (made / "author" / "held.rego").write_bytes(b"package a\n# \xff\xfe\n")


def of_50_megabytes(made: Path) -> None:
    with open(made / "author" / "held.rego", "wb") as file:
        file.truncate(50 << 20)


def a_pipe(made: Path) -> None:
    os.mkfifo(made / "author" / "more.rego")


def a_line_break_in_a_name(made: Path) -> None:
    (made / "author" / "a\nb.rego").write_text("package a")


def a_name_like_an_option(made: Path) -> None:
    (made / "-o.rego").write_text("package a")


def too_many(made: Path) -> None:
    for n in range(folder.MOST_FILES):
        (made / f"f{n}.rego").write_text("package a")


def too_much(made: Path) -> None:
    for n in range(17):
        (made / f"f{n}.rego").write_bytes(b"#" * folder.FILE_BYTES)


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (no_data, "policy.folder", "is not a policy folder"),
        (a_link_out, "policy.link", "'author/held.rego' is a link"),
        (a_folder_that_is_a_link, "policy.link", "'more' is a link"),
        (not_utf8, "policy.encoding", "author/held.rego is not UTF-8 (byte 12)"),
        (of_50_megabytes, "policy.too_big", "author/held.rego is larger than 1 MiB"),
        (a_pipe, "policy.kind", "author/more.rego is not a file"),
        (a_line_break_in_a_name, "policy.path", r"'author/a\nb.rego'"),
        (a_name_like_an_option, "policy.path", "'-o.rego'"),
        (too_many, "policy.too_big", "more than 2000 source files"),
        (too_much, "policy.too_big", "or 16 MiB"),
    ],
)
def test_a_spoilt_folder_is_one_clear_error(made: Path, spoil: Callable[[Path], None], code: str, says: str):
    spoil(made)
    with pytest.raises(InputError) as caught:
        folder.read(made)
    assert caught.value.code == code
    assert says in caught.value.message
    assert caught.value.fix


def test_a_folder_that_holds_something_is_not_written_into(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError) as caught:
        folder.make(tmp_path, SOURCES)
    assert caught.value.code == "policy.folder_taken"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("path", ["/etc/x.rego", "../x.rego", "a/../../x.rego", "a\nb.rego", "a\\b.rego", "-x.rego"])
def test_a_source_that_leads_out_is_not_written(tmp_path: Path, path: str):
    with pytest.raises(InputError) as caught:
        folder.make(tmp_path / "rules", {path: "package a"})
    assert caught.value.code == "policy.path"
    assert list(tmp_path.iterdir()) == []


def copied(tmp_path: Path, texts: object) -> Path:
    home = Path(bundle.__file__).parent
    for name in (bundle.MANIFEST, bundle.WASM, bundle.TESTS, bundle.DATA, bundle.SCAN):
        (tmp_path / name).write_bytes((home / name).read_bytes())
    if texts is not None:
        (tmp_path / bundle.SOURCES).write_text(texts if isinstance(texts, str) else json.dumps(texts))
    return tmp_path


@pytest.mark.parametrize(
    "texts",
    [
        None, "{", "[]", {}, {**SOURCES, "more.rego": ""}, {**SOURCES, "author/held.rego": "package a"},
        {**SOURCES, "author/held.rego": 3}, {**SOURCES, "author/held.rego": "\ud800"},
        {path: text for path, text in SOURCES.items() if path != "author/held.rego"}, "[" * 100_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_sources_that_the_manifest_does_not_name_are_refused(tmp_path: Path, texts: object):
    home = copied(tmp_path, texts)
    assert bundle.load(home).manifest.rules  # judging needs none of them
    with pytest.raises(IntegrityError) as caught:
        bundle.sources(home)
    assert caught.value.code == "integrity.policies"


def test_the_shipped_sources_are_those_of_the_checkout():
    policies = Path(__file__).parents[3] / "policies"
    assert {path: (policies / path).read_text() for path in SOURCES} == SOURCES
