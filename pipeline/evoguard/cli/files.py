"""Files that a command line names: regular, bounded, read once."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from evoguard.errors import InputError

KEY_BYTES = 16_384
BUNDLE_BYTES = 65_536
PATCH_BYTES = 2 * 1024 * 1024


def contents(path: Path, what: str, limit: int, *, stdin: bool = False) -> bytes:
    """Return a regular file's bytes; with `stdin`, `-` is standard input. Raises: InputError with the mend."""
    if stdin and str(path) == "-":
        return _bounded(sys.stdin.buffer.read(limit + 1), what, limit)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise InputError(f"{what} {path} is not a file", code="file.kind", fix="name a regular file")
            return _bounded(file.read(limit + 1), what, limit)
    except (OSError, ValueError) as err:
        why = err.strerror if isinstance(err, OSError) else "not a path"
        raise InputError(
            f"{what} {path} cannot be read: {why}", code="file.unreadable", fix="name a readable file"
        ) from err


def new_file(path: Path, raw: bytes) -> None:
    """Write a file that was not there. Raises: InputError; nothing that exists is touched."""
    try:
        with open(path, "xb") as file:
            file.write(raw)
    except OSError as err:
        raise InputError(
            f"{path} cannot be made: {err.strerror}", code="file.new", fix="name a file that is not there yet"
        ) from err


def _bounded(raw: bytes, what: str, limit: int) -> bytes:
    if len(raw) > limit:
        raise InputError(f"{what} is larger than {limit >> 10} KiB", code="file.too_big", fix="name the right file")
    return raw
