from __future__ import annotations

import os
from pathlib import Path

import pytest

from evoguard.adapters import token_file
from evoguard.errors import ConfigError

TOKEN = "none-but-long-enough"


def write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def read(path: Path) -> str:
    return token_file.read(str(path), "some_token_file", "some.token")


def test_what_stands_in_the_file_is_the_token_without_white_space(tmp_path: Path) -> None:
    assert read(write(tmp_path / "t", f" {TOKEN}\n".encode())) == TOKEN


def test_a_link_is_followed_and_the_file_behind_it_counts(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(tmp_path / "t", TOKEN.encode()))
    assert read(tmp_path / "link") == TOKEN
    (tmp_path / "t").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        read(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o660])
def test_a_file_that_others_share_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="some_token_file can be read by others") as caught:
        read(write(tmp_path / "t", TOKEN.encode(), mode))
    assert caught.value.code == "some.token"
    assert "0600" in caught.value.fix


@pytest.mark.parametrize(
    "data", [b"", b" \n", b"two\nlines", b"a\0b", b"x" * (token_file.MOST_BYTES + 1), b"x" * (1 << 20)]
)
def test_what_is_no_token_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ConfigError, match="some_token_file holds no token"):
        read(write(tmp_path / "t", data))


def test_other_bytes_no_file_a_folder_and_a_pipe_are_one_clear_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for path in (write(tmp_path / "t", b"\xff\xfe"), tmp_path / "none", tmp_path / "folder", tmp_path / "pipe"):
        with pytest.raises(ConfigError, match=r"some_token_file (cannot be read|holds no token)"):
            read(path)
