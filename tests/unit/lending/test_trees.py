"""A version's folder is exactly its commit, whatever lay there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from history import SERVICE, make_history
from trees import TreeError, materialise


async def test_a_tree_is_written_read_only_and_byte_for_byte(tmp_path: Path) -> None:
    commit = make_history(tmp_path / "o.git")
    folder = await materialise(tmp_path / "o.git", commit, tmp_path / "cache")
    assert folder.name == commit
    assert (folder / "lending/app.py").read_bytes() == (SERVICE / "lending/app.py").read_bytes()
    assert os.stat(folder / "lending/app.py").st_mode & 0o222 == 0


async def test_a_folder_that_was_tampered_with_is_written_anew(tmp_path: Path) -> None:
    commit = make_history(tmp_path / "o.git")
    folder = await materialise(tmp_path / "o.git", commit, tmp_path / "cache")
    rule = folder / "lending/scoring.py"
    rule.chmod(0o644)
    rule.write_text("raise SystemExit\n")
    await materialise(tmp_path / "o.git", commit, tmp_path / "cache")
    assert rule.read_bytes() == (SERVICE / "lending/scoring.py").read_bytes()


@pytest.mark.parametrize("commit", ["main", "--output=x", "0" * 40, "abc"])
async def test_nothing_but_a_known_full_commit_id_is_taken(tmp_path: Path, commit: str) -> None:
    make_history(tmp_path / "o.git")
    with pytest.raises(TreeError):
        await materialise(tmp_path / "o.git", commit, tmp_path / "cache")
