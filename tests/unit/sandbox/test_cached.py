"""A report comes back as it went in; a report that another run could contradict is not kept; the key sees it all."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evoguard_sandbox import Room
from evoguard_sandbox.judging import cached
from evoguard_sandbox.types import Behaviour, Connect, Finding, Limits, Suite, SuiteReport, TestResult, Usage

TREE = {"a.py": (0o100644, b"x = 1\n")}
SUITE = Suite(TREE, TREE)
REPORT = SuiteReport(
    True, "finished", (), (TestResult("t::a", "passed", 1, "why"),), (), ("t::a",), {"passed": 1},
    Behaviour("recorded", "", (Connect("p", "inet", "192.0.2.1", 80),), ("/bin/x",), 1, 0, ("/etc/hosts",)),
    "runsc 1", "Linux version 4.4.0", "host", 12, 1, "out", "pass", "held-out", 1, 0, ("a note",),
    (Finding("review.a", "look", "a.py", "t"),), (), "gvisor", Usage(1, 2, 3),
)  # fmt: skip


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A room whose parts are plain values: the key is about what they are, not about how they came to be."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3.11").write_bytes(b"python")
    (tmp_path / "runsc").write_bytes(b"runsc")
    made = SimpleNamespace(
        runsc_version="release-20240729.0", runsc=tmp_path / "runsc", engines=[], isolation="gvisor", rootless=False,
        image="sha256:1", python=SimpleNamespace(name="python3.11", prefix=tmp_path),
        backend=SimpleNamespace(name="runsc"),
    )  # fmt: skip
    return cast("Room", made)


def key(room: Room, suite: Suite = SUITE, limits: Limits = Limits()) -> str | None:  # noqa: B008  (frozen)
    return cached.key_of(suite, limits=limits, room=room)


def test_a_report_comes_back_as_it_went_in():
    assert cached.report_of(json.loads(json.dumps(cached.as_json(REPORT)))) == REPORT


@pytest.mark.parametrize("name", [f.name for f in fields(SuiteReport)])
def test_a_report_without_a_field_is_none(name):
    doc = cached.as_json(REPORT)
    del doc[name]
    with pytest.raises(ValueError, match="report"):
        cached.report_of(doc)


def test_a_report_with_a_field_more_is_none():
    with pytest.raises(ValueError, match="report"):
        cached.report_of({**cached.as_json(REPORT), "more": 1})


def test_a_plain_pass_and_a_plain_fail_are_kept():
    assert cached.may_be_kept(REPORT)
    assert cached.may_be_kept(replace(REPORT, passed=False, verdict="fail"))


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "void", "passed": False}, {"verdict": "tamper", "passed": False}, {"outcome": "wall"},
        {"unstable": ("t::a",)}, {"attempts": 2}, {"attempts": 0}, {"kernel": ""}, {"isolation": ""},
        {"expected": ()}, {"passed": False}, {"verdict": "fail"},
    ],
    ids=str,
)  # fmt: skip
def test_what_another_run_could_contradict_is_not_kept(change: dict[str, Any]):
    assert not cached.may_be_kept(replace(REPORT, **change))


def test_an_early_answer_is_not_kept():
    assert not cached.may_be_kept(replace(REPORT, early=True))


OTHER: dict[str, Any] = {
    "base_files": {"a.py": (0o100644, b"x = 2\n")},
    "candidate_files": {"a.py": (0o100755, b"x = 1\n")},
    "test_paths": ("**/more/**",),
    "layer_dirs": "a layer",
    "plugins": ("anyio",),
    "lock": "requirements.txt",
    "held_out": {"tests/test_a.py": (0o100644, b"")},
    "early": True,
    "candidate_layer_dirs": "a layer",
}


@pytest.mark.parametrize("name", [f.name for f in fields(Suite)])
def test_whatever_is_in_a_suite_changes_the_key(room, tmp_path, name):
    """A field that is added to Suite has no row in OTHER, so this asks for one."""
    (tmp_path / "layer").mkdir()
    value = (tmp_path / "layer",) if OTHER[name] == "a layer" else OTHER[name]
    assert key(room, replace(SUITE, **{name: value})) != key(room)


def test_a_layer_is_known_by_its_content_and_not_by_its_path(room, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "dep.py").write_text("x = 1\n")
    assert key(room, replace(SUITE, layer_dirs=(first,))) == key(room, replace(SUITE, layer_dirs=(second,)))
    (second / "dep.py").write_text("x = 2\n")
    assert key(room, replace(SUITE, layer_dirs=(first,))) != key(room, replace(SUITE, layer_dirs=(second,)))


@pytest.mark.parametrize("name", [f.name for f in fields(Limits)])
def test_whatever_is_in_the_limits_changes_the_key(room, name):
    assert key(room, limits=replace(Limits(), **{name: getattr(Limits(), name) + 1})) != key(room)


@pytest.mark.parametrize(
    "change",
    [
        {"runsc_version": "release-20250101.0"}, {"isolation": "unsafe-runc"}, {"rootless": True},
        {"image": "sha256:2"}, {"backend": SimpleNamespace(name="docker")},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_a_room_is_made_of_changes_the_key(room, change):
    before = key(room)
    vars(room).update(change)
    assert key(room) != before


@pytest.mark.parametrize("name", ["runsc", "bin/python3.11"])
def test_another_program_of_the_same_name_changes_the_key(room, tmp_path, name):
    before = key(room)
    (tmp_path / name).write_bytes(b"another")
    assert key(room) != before


def test_other_code_of_ours_changes_the_key(room, monkeypatch):
    before = key(room)
    monkeypatch.setattr(cached, "code_digest", lambda: "another")
    assert key(room) != before


def test_a_refused_tree_has_no_key(room):
    assert key(room, replace(SUITE, candidate_files={"../a": (0o100644, b"")})) is None
