"""A version is exactly its bytes: bounded, typed, pinned, and one packing for each."""

from __future__ import annotations

import json

import pytest

from evoguard.domain.component import parse
from evoguard.domain.version import (
    MOST_BYTES,
    Version,
    VersionFiles,
    declared,
    unpacked,
    version_of,
    versions_from,
    versions_in,
)
from evoguard.errors import InputError

MODEL = VersionFiles("model", ("model.json", "prompt.txt"))
DIGEST = "sha256:" + "a" * 64
TOML = b'version = 1\n[component.a]\nflag = "a"\n[component.a.version]\n'


def test_a_version_reads_back_as_itself_and_in_one_packing_only() -> None:
    version = Version("letters", "prompt", {"p.txt": "Dear $name, \u00e9"})
    assert unpacked(version.packed()) == version
    with pytest.raises(InputError):
        unpacked(version.packed() + b" ")


def test_another_component_kind_path_or_text_is_another_version() -> None:
    one = Version("letters", "prompt", {"p.txt": "a"})
    others = [
        Version("other", "prompt", {"p.txt": "a"}),
        Version("letters", "config", {"p.txt": "a"}),
        Version("letters", "prompt", {"q.txt": "a"}),
        Version("letters", "prompt", {"p.txt": "b"}),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize(
    "model",
    [
        "[]", "{}", "nothing", '{"id": "writer-1"}', '{"id": "writer-1", "parameters": []}',
        '{"id": "writer-latest", "parameters": {}}', '{"id": "writer:latest-2", "parameters": {}}',
        '{"id": "writer", "parameters": {}}', '{"id": "a b-1", "parameters": {}}', '{"id": 7, "parameters": {}}',
        '{"id": "writer-1", "parameters": {"stop": ["a"]}}', '{"id": "writer-1", "parameters": {}, "key": "x"}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_model_that_is_not_exactly_one_is_no_version(model: str) -> None:
    with pytest.raises(InputError, match="no version"):
        version_of("letters", MODEL, {"model.json": model.encode(), "prompt.txt": b"x"})


def test_a_pinned_model_with_its_prompt_is_a_version() -> None:
    model = json.dumps({"id": "writer-1", "parameters": {"temperature": 0.2, "seed": 7, "tone": "plain"}}).encode()
    assert version_of("letters", MODEL, {"model.json": model, "prompt.txt": b"x"}).kind == "model"


@pytest.mark.parametrize(("raw", "code"), [(None, "version.missing"), (b"\xff", "version.invalid")])
def test_a_file_that_is_missing_or_no_text_is_no_version(raw: bytes | None, code: str) -> None:
    with pytest.raises(InputError) as refused:
        version_of("letters", VersionFiles("prompt", ("p.txt",)), {"p.txt": raw})
    assert refused.value.code == code


def test_a_version_is_bounded() -> None:
    with pytest.raises(InputError, match="larger"):
        version_of("letters", VersionFiles("prompt", ("p.txt",)), {"p.txt": b"x" * MOST_BYTES})
    with pytest.raises(InputError):
        unpacked(b"[" * MOST_BYTES)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[1]", b'{"v":1}', b'{"component":"a","files":{"p":1},"kind":"prompt","v":1}',
            b'{"component":"a","files":{},"kind":"weights","v":1}',
            b'{"component":"a","files":{"p":"\\ud800"},"kind":"prompt","v":1}']
)  # fmt: skip
def test_bytes_that_are_no_version_are_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        unpacked(raw)


@pytest.mark.parametrize(
    "table",
    [
        b'kind = "weights"\nfiles = ["a"]', b'kind = "model"', b'kind = "model"\nfiles = []',
        b'kind = "model"\nfiles = ["../a"]', b'kind = "model"\nfiles = ["/a"]', b'kind = "model"\nfiles = ["a", "a"]',
        b'kind = "model"\nfiles = "a"', b'kind = "model"\nfiles = [1]', b'kind = "commit"\nfiles = ["a"]',
        b'kind = "model"\nfiles = ["a"]\nwhere = "b"', b'kind = ["model"]\nfiles = ["a"]',
    ],
)  # fmt: skip
def test_a_component_file_with_another_version_table_is_refused(table: bytes) -> None:
    with pytest.raises(InputError) as refused:
        parse(TOML + table)
    assert refused.value.code == "component.invalid"


def test_a_commit_is_its_own_version() -> None:
    assert declared({"kind": "commit"}) is None
    assert parse(TOML + b'kind = "commit"').components[0].version is None
    assert "version" not in parse(TOML + b'kind = "commit"').components[0].as_json()


def test_the_declared_version_is_part_of_what_people_approve() -> None:
    component = parse(TOML + b'kind = "prompt"\nfiles = ["p.txt"]').components[0]
    assert component.as_json()["version"] == {"kind": "prompt", "files": ["p.txt"]}


@pytest.mark.parametrize(
    "doc",
    [None, [], {}, {"kind": "model", "candidate": DIGEST}, {"kind": "x", "candidate": DIGEST, "known_good": DIGEST},
     {"kind": "model", "candidate": DIGEST, "known_good": "latest"},
     {"kind": "model", "candidate": 1, "known_good": DIGEST},
     {"kind": "model", "candidate": DIGEST, "known_good": DIGEST, "more": 1}],
)  # fmt: skip
def test_what_a_flag_names_is_a_kind_and_two_digests(doc: object) -> None:
    with pytest.raises(ValueError, match=r"version|digest"):
        versions_from(doc)


def test_stored_text_that_is_deep_or_long_is_a_value_error() -> None:
    for text in ("[" * 4_000, "x" * 10_000, "{"):
        with pytest.raises(ValueError, match=r".+"):
            versions_in(text)
    assert versions_in("") is None
