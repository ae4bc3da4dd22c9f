"""Files that are whole and on the disk, or not there at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_TEMP = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(folder: Path, name: str, raw: bytes, *, mode: int, replace: bool = False) -> None:
    """Make `folder/name` hold exactly `raw`, synced with its folder when this returns; else leave nothing behind.

    Without `replace` an existing name wins. Raises: FileExistsError, OSError. Readers never see half a file.
    """
    into = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temp = f".{secrets.token_hex(8)}.tmp"
    try:
        try:
            _fill(os.open(temp, _TEMP, 0o600, dir_fd=into), raw, mode)
            if replace:
                os.replace(temp, name, src_dir_fd=into, dst_dir_fd=into)
            else:
                os.link(temp, name, src_dir_fd=into, dst_dir_fd=into, follow_symlinks=False)
        finally:
            with suppress(OSError):
                os.unlink(temp, dir_fd=into)
        os.fsync(into)
    finally:
        os.close(into)


def sync(folder: Path) -> None:
    """Make the names in a folder last. Raises: OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _fill(file: int, raw: bytes, mode: int) -> None:
    try:
        rest = memoryview(raw)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fchmod(file, mode)
        os.fsync(file)
    finally:
        os.close(file)
