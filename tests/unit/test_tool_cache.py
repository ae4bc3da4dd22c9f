"""The runner layer is this installation's own: the cache holds those of other checkouts and other Pythons as well."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evoguard.adapters import tool_cache
from evoguard.errors import ConfigError

OURS = f"runner-{sys.version_info[0]}.{sys.version_info[1]}-"


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    (tmp_path / "venv").mkdir()
    folder = tmp_path / "evoguard" / "layers"
    for when, name in enumerate((OURS + "old", OURS + "new", "runner-2.7-newest", "runner-newest")):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (when, when))
    return folder


def note(text: str) -> None:
    (Path(sys.prefix) / "evoguard-runner-layer").write_text(text)


def test_what_set_up_noted_comes_before_what_is_newest(layers: Path) -> None:
    note(f"{layers / (OURS + 'old')}\n")
    assert tool_cache.layer_dir() == layers / (OURS + "old")


@pytest.mark.parametrize("text", [None, "", "relative/path\n", "/nowhere/at/all\n"])
def test_without_a_note_that_holds_it_is_the_newest_of_this_python(layers: Path, text: str | None) -> None:
    if text is not None:
        note(text)
    assert tool_cache.layer_dir() == layers / (OURS + "new")


def test_layers_of_other_pythons_alone_are_none(layers: Path) -> None:
    for name in ("old", "new"):
        (layers / (OURS + name)).rmdir()
    with pytest.raises(ConfigError) as caught:
        tool_cache.layer_dir()
    assert caught.value.code == "sandbox.layer_missing"


def test_set_up_noted_the_layer_that_the_tests_run_with() -> None:
    noted = Path(sys.prefix, "evoguard-runner-layer").read_text().strip()
    assert (tool_cache.layer_dir(), Path(noted).is_dir()) == (Path(noted), True)
