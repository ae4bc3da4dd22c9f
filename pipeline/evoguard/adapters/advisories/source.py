"""What somebody hands over as a database in OSV format: a zip or a folder of JSON files, believed in nothing.

Nothing is unpacked to disk. Counts and sizes are refused before they are read, and counted again while they are.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from evoguard.errors import InputError

MOST_ENTRIES, MOST_ENTRY_BYTES, MOST_TOTAL_BYTES = 500_000, 4 << 20, 4 << 30
MOST_ZIP_BYTES, MOST_DIRECTORY_BYTES = 2 << 30, 96 << 20
MOST_RATIO = 400
"""An entry that unpacks to so many times its size is a bomb; real ones reach about 20."""
_END, _TAIL = b"PK\x05\x06", 65_557
CHUNK = 65_536


def entries(path: Path) -> Iterator[tuple[str, object]]:
    """Yield (name, JSON document) of each `.json` file. Raises: InputError for what is no plain database."""
    try:
        kind = path.lstat().st_mode
    except OSError as err:
        raise _refused(f"{path} cannot be read: {err.strerror}", "name a zip or a folder") from err
    if stat.S_ISDIR(kind):
        yield from _folder(path)
    elif stat.S_ISREG(kind):
        yield from _zip(path)
    else:
        raise _refused(f"{path} is neither a file nor a folder", "name a zip or a folder")


def _folder(path: Path) -> Iterator[tuple[str, object]]:
    count = total = 0
    for here, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(here, name)
            shown = file.relative_to(path).as_posix()
            if not name.endswith(".json"):
                continue
            opened = (
                os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                if not file.is_symlink()
                else -1
            )
            if opened < 0 or not stat.S_ISREG(os.fstat(opened).st_mode):
                raise _refused(f"{shown!a} is no plain file", "put the file itself there")
            with os.fdopen(opened, "rb") as read:
                raw = read.read(MOST_ENTRY_BYTES + 1)
            count, total = count + 1, total + len(raw)
            _bounded(count, total, len(raw), shown)
            yield shown, _document(raw, shown)


def _zip(path: Path) -> Iterator[tuple[str, object]]:
    with path.open("rb") as file:
        _directory(file, path.stat().st_size)
        try:
            with zipfile.ZipFile(file) as archive:
                yield from _members(archive)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            struct.error,
            OSError,
        ) as err:
            raise _refused(f"the zip cannot be read: {str(err)[:120]!a}", "fetch it again") from err


def _directory(file: BinaryIO, size: int) -> None:
    """Refuse by the zip's own last record before a directory of a million names is built in memory."""
    if size > MOST_ZIP_BYTES:
        raise _refused(f"the zip is larger than {MOST_ZIP_BYTES >> 30} GiB", "import one ecosystem at a time")
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise _refused("it is no zip", "name a zip or a folder")
    count, directory = struct.unpack("<H", tail[at + 10 : at + 12])[0], struct.unpack("<I", tail[at + 12 : at + 16])[0]
    if (count == 0xFFFF or directory == 0xFFFFFFFF) and (wide := tail.rfind(b"PK\x06\x06")) >= 0:
        count, directory = struct.unpack("<QQ", tail[wide + 32 : wide + 48])
    if count > MOST_ENTRIES or directory > MOST_DIRECTORY_BYTES:
        raise _refused(f"the zip says that it has {count:,} entries", f"at most {MOST_ENTRIES:,} are read")
    file.seek(0)


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, object]]:
    count = total = 0
    for member in archive.infolist():
        parts = member.filename.replace("\\", "/").split("/")
        if member.filename.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in member.filename:
            raise _refused(f"the zip names {member.filename[:80]!a}", "this is no database")
        count += 1
        _bounded(count, total, 0, member.filename)
        if member.is_dir() or not member.filename.endswith(".json"):
            continue
        if member.file_size > max(MOST_RATIO * member.compress_size, CHUNK):
            raise _refused(f"{member.filename[:80]!a} unpacks to far more than it is", "this is no database")
        with archive.open(member) as read:
            raw = read.read(MOST_ENTRY_BYTES + 1)
        total += len(raw)
        _bounded(count, total, len(raw), member.filename)
        yield member.filename, _document(raw, member.filename)


def _bounded(count: int, total: int, size: int, name: str) -> None:
    if count > MOST_ENTRIES or total > MOST_TOTAL_BYTES or size > MOST_ENTRY_BYTES:
        raise _refused(
            f"more than can be read, at {name[:80]!a}",
            f"at most {MOST_ENTRIES:,} entries of {MOST_ENTRY_BYTES >> 20} MiB, {MOST_TOTAL_BYTES >> 30} GiB together",
        )


def _document(raw: bytes, name: str) -> object:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as err:
        raise _refused(f"{name[:80]!a} is no JSON", "fetch the database again") from err


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _refused(why: str, fix: str) -> InputError:
    return InputError(why, code="osv.refused", fix=fix)
