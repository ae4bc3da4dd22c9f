"""A quarantine for new objects: what is refused leaves nothing behind, what is accepted moves in whole packs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from evoguard.adapters.git.runner import Git

_PREFIX = "quarantine-"
_ABANDONED_S = 3_600


class Quarantine:
    """A folder for objects beside a repository's own. `git` writes here and reads both."""

    def __init__(self, repository: Path, folder: Path, borrowed: Path) -> None:
        self._objects = repository / "objects"
        self._folder = folder
        own = as_alternate(self._objects)
        self.git = Git(repository).using(GIT_OBJECT_DIRECTORY=folder, GIT_ALTERNATE_OBJECT_DIRECTORIES=own)
        self.reading = Git(repository).using(GIT_ALTERNATE_OBJECT_DIRECTORIES=as_alternate(borrowed))
        """Our repository plus the submitter's objects, to choose and pack them."""

    def accept(self) -> None:
        """Move everything into the repository."""
        move_objects(self._folder, self._objects)


@contextlib.contextmanager
def quarantine(repository: Path, borrowed: Path) -> Iterator[Quarantine]:
    """Give a fresh quarantine of `repository`; it is gone when the block ends, whatever happened in it."""
    remove_abandoned(repository, _PREFIX)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=repository))
    try:
        (folder / "pack").mkdir()
        (folder / "info").mkdir()
        yield Quarantine(repository, folder, borrowed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_objects(source: Path, objects: Path) -> None:
    """Move every object file, durably. An index goes after its pack, so a crash leaves no half pack."""
    found = [p for p in source.rglob("*") if p.is_file()]
    for path in sorted(found, key=lambda p: (p.suffix == ".idx", p)):
        target = objects / path.relative_to(source)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        path.rename(target)
    for folder in {objects / p.relative_to(source).parent for p in found}:
        sync(folder)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders and files that a killed process left; no git of ours lives as long as an hour."""
    for left in parent.glob(f"{prefix}*"):
        with contextlib.suppress(FileNotFoundError):
            if abs(time.time() - left.stat().st_mtime) <= _ABANDONED_S:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def as_alternate(objects: Path) -> str:
    """Return an objects folder as git's list of alternates spells it, whatever characters it has."""
    return '"' + str(objects).replace("\\", "\\\\").replace('"', '\\"') + '"'


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
