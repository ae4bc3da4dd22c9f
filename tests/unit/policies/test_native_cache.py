from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.adapters.opa_wasm_host import Program

WASM = bundle.load().wasm


def native(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.native"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that was filled once; copy it, never change it."""
    folder = tmp_path_factory.mktemp("compiled") / "cache"
    Program(WASM, cache_dir=folder)
    return folder


def test_compiled_code_is_kept_and_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Program(WASM, cache_dir=folder)
    (kept,) = native(folder)
    before = kept.stat().st_ino
    assert Program(WASM, cache_dir=folder).entrypoints == {"evoguard/review", "evoguard/admit"}
    assert kept.stat().st_ino == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_copy_of_the_cache_is_used_so_that_what_is_refused_below_is_refused_for_its_edit(
    tmp_path: Path, compiled: Path
) -> None:
    folder = shutil.copytree(compiled, tmp_path / "cache")
    (kept,) = native(folder)
    before = kept.stat().st_ino
    Program(WASM, cache_dir=folder)
    assert kept.stat().st_ino == before


@pytest.mark.parametrize("at", [0, 31, 32, 5000, -1])
def test_edited_native_code_is_never_loaded(tmp_path: Path, compiled: Path, at: int) -> None:
    folder = shutil.copytree(compiled, tmp_path / "cache")
    (kept,) = native(folder)
    raw = bytearray(kept.read_bytes())
    raw[at] ^= 1
    kept.write_bytes(bytes(raw))
    Program(WASM, cache_dir=folder)
    assert kept.read_bytes() != bytes(raw)  # compiled again, and put in its place


def test_code_under_another_key_is_never_loaded(tmp_path: Path, compiled: Path) -> None:
    shutil.copytree(compiled, tmp_path / "mine")
    Program(WASM, cache_dir=tmp_path / "theirs")
    (mine,), (theirs,) = native(tmp_path / "mine"), native(tmp_path / "theirs")
    mine.write_bytes(theirs.read_bytes())
    Program(WASM, cache_dir=tmp_path / "mine")
    assert mine.read_bytes() != theirs.read_bytes()


def test_code_of_another_program_is_never_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Program(bundle.load().tests_wasm, cache_dir=folder)
    (other,) = native(folder)
    stolen = other.read_bytes()
    other.unlink()
    Program(WASM, cache_dir=folder)
    (kept,) = native(folder)
    kept.write_bytes(stolen)
    assert Program(WASM, cache_dir=folder).entrypoints == {"evoguard/review", "evoguard/admit"}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_that_others_reach_is_not_used(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    assert Program(WASM, cache_dir=folder).entrypoints
    assert list(folder.iterdir()) == []


def test_a_link_in_place_of_the_folder_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    os.symlink(tmp_path / "real", tmp_path / "cache")
    assert Program(WASM, cache_dir=tmp_path / "cache").entrypoints
    assert list((tmp_path / "real").iterdir()) == []


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Program(WASM, cache_dir=folder)
    (folder / "key").chmod(0o644)
    native(folder)[0].unlink()
    assert Program(WASM, cache_dir=folder).entrypoints
    assert native(folder) == []
