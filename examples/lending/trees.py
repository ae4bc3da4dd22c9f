"""Write a commit's tree into a folder: exactly its objects, read-only; no checkout, hook, filter or attribute."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

MOST_FILES, MOST_BYTES = 2_000, 20_000_000
GIT_S = 20
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}


class TreeError(Exception):
    """The commit is unknown, or its tree is not one that a version may be started from."""


async def materialise(git_dir: Path, commit: str, cache: Path) -> Path:
    """Return `cache/<commit>`, holding exactly that commit's files; what differs there is written anew.

    Raises: TreeError.
    """
    if not _COMMIT.match(commit):
        raise TreeError("not a full commit id")
    target = cache / commit
    try:
        entries = await _entries(git_dir, commit)
        if target.is_dir() and _same(target, entries):
            return target
        contents = await _contents(git_dir, entries)
    except ValueError as err:
        raise TreeError("git's answer cannot be read") from err
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=cache))
    _write(fresh, entries, contents)
    if target.exists():
        _remove(target)
    fresh.rename(target)
    return target


async def _entries(git_dir: Path, commit: str) -> dict[str, str]:
    """Return path → blob id of every file."""
    listing = await _git(git_dir, b"", "ls-tree", "-r", "-z", "--full-tree", commit)
    entries: dict[str, str] = {}
    for line in listing.split(b"\0")[:-1]:
        head, _, name = line.partition(b"\t")
        mode, _, blob = head.decode().split(" ")
        path = name.decode("utf-8", "strict")
        if mode not in ("100644", "100755") or any(part in ("", ".", "..") for part in path.split("/")):
            raise TreeError("the tree holds something other than plain files")
        entries[path] = blob
    if not 0 < len(entries) <= MOST_FILES:
        raise TreeError("no files, or too many")
    return entries


async def _contents(git_dir: Path, entries: dict[str, str]) -> dict[str, bytes]:
    """Return blob id → bytes, each proved to be what its id says."""
    wanted = sorted(set(entries.values()))
    stream = await _git(git_dir, "".join(f"{blob}\n" for blob in wanted).encode(), "cat-file", "--batch")
    contents: dict[str, bytes] = {}
    at = 0
    for blob in wanted:
        end = stream.find(b"\n", at)
        found, kind, size = stream[at:end].decode().split(" ")
        data = stream[end + 1 : end + 1 + int(size)]
        if found != blob or kind != "blob" or _blob_id(data) != blob:
            raise TreeError("an object is missing or damaged")
        contents[blob] = data
        at = end + 2 + int(size)
    return contents


async def _git(git_dir: Path, given: bytes, *words: str) -> bytes:
    command = ("git", "--git-dir", str(git_dir), *words)
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, input=given, env=_ENVIRONMENT, capture_output=True, timeout=GIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as err:
        raise TreeError("the commit is not in the repository, or git gave no answer") from err
    if len(done.stdout) > MOST_BYTES:
        raise TreeError("the tree is too large")
    return done.stdout


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _same(folder: Path, entries: dict[str, str]) -> bool:
    found: dict[str, str] = {}
    for root, folders, names in os.walk(folder):
        if any(os.path.islink(os.path.join(root, name)) for name in (*folders, *names)):
            return False
        for name in names:
            path = Path(root, name)
            found[path.relative_to(folder).as_posix()] = _blob_id(path.read_bytes())
    return found == entries


def _write(folder: Path, entries: dict[str, str], contents: dict[str, bytes]) -> None:
    for name, blob in entries.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[blob])
        path.chmod(0o444)
    for root, _, _ in os.walk(folder, topdown=False):
        os.chmod(root, 0o555)  # noqa: S103  every version's uid reads it, nobody writes it


def _remove(folder: Path) -> None:
    for root, _, _ in os.walk(folder):
        os.chmod(root, 0o700)
    shutil.rmtree(folder)
