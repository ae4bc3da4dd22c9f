from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from evoguard_sandbox.rooms import room


def test_a_run_holds_the_lock_of_a_file_that_tells_its_back_end(tmp_path: Path):
    run_id, fd = room._locked_run(tmp_path, "docker")
    try:
        assert (tmp_path / run_id).read_text() == "docker"
        other = os.open(tmp_path / run_id, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
    finally:
        os.close(fd)


def test_a_run_whose_file_was_swept_before_it_was_locked_takes_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    swept: list[Path] = []

    def late(fd: int, how: int) -> None:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()

    monkeypatch.setattr(room.fcntl, "flock", late)
    run_id, fd = room._locked_run(tmp_path, "runsc")
    os.close(fd)
    assert [path.name for path in tmp_path.iterdir()] == [run_id]
    assert swept[0].name != run_id
