"""Every dependency that a tree names, and every file of it that cannot be read as what it claims to be."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from evoguard.supply import kinds, npm
from evoguard.supply.types import (
    MOST_DEPENDENCIES,
    MOST_FILE_BYTES,
    MOST_FILES,
    MOST_TOTAL_BYTES,
    Dependency,
    Fault,
    Read,
)

MOST_INCLUDES = 200
PLAIN = ("100644", "100755")


class File(Protocol):
    """One file of a tree: git mode and exact bytes."""

    @property
    def mode(self) -> str:
        """Return the git mode."""

    @property
    def data(self) -> bytes:
        """Return the exact bytes."""


Files = Mapping[str, File]
Cache = dict[tuple[str, bytes], Read]
"""What was read, by path and content: base and head mostly hold the same."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What one tree names. `bounded` says why it was not read whole; then nothing is proved of it."""

    dependencies: tuple[Dependency, ...]
    faults: tuple[Fault, ...]
    bounded: str = ""


def read(files: Files, cache: Cache) -> Tree:
    """Read every manifest and lock of a tree, in order of their paths, and each file that they name."""
    found: list[Dependency] = []
    faults: list[Fault] = []
    total = count = 0
    for path, got, size in _all(files, cache):
        count, total = count + 1, total + size
        found += got.dependencies
        faults += got.faults
        if count > MOST_FILES or total > MOST_TOTAL_BYTES or len(found) > MOST_DEPENDENCIES:
            return Tree((), (), f"more than can be read: stopped at {path}")
    faults += _beside(files)
    return Tree(tuple(found), tuple(dict.fromkeys(faults)))


def _all(files: Files, cache: Cache) -> Iterator[tuple[str, Read, int]]:
    """Yield (path, what it gave, its size), those that others name last."""
    done: set[str] = set()
    named: dict[str, str] = {}
    for path in sorted(files):
        reader = kinds.reader_of(path, files[path].data)
        if reader is None:
            continue
        got = _one(path, files[path], reader, cache)
        done.add(path)
        named |= {one: path for one in got.includes}
        yield path, got, len(files[path].data)
    while more := [path for path in named if path not in done]:
        for path in more:
            done.add(path)
            if path not in files or len(done) > MOST_FILES + MOST_INCLUDES:
                fault = Fault(named[path], f"it names {path[:120]!a}, which is not in the tree")
                yield path, Read(faults=(fault,)), 0
                continue
            got = _one(path, files[path], kinds.as_requirements, cache)
            named = {one: path for one in got.includes} | named
            yield path, got, len(files[path].data)


def _one(path: str, file: File, reader: kinds.Reader, cache: Cache) -> Read:
    if file.mode not in PLAIN:
        return Read(faults=(Fault(path, "no plain file"),))
    if len(file.data) > MOST_FILE_BYTES:
        return Read(faults=(Fault(path, f"{len(file.data)} bytes, more than {MOST_FILE_BYTES >> 20} MiB"),))
    key = (path, file.data)
    if key not in cache:
        cache[key] = reader(path, file.data)
    return cache[key]


def _beside(files: Files) -> Iterator[Fault]:
    """Yield where npm's lock disagrees with the manifest in the same folder."""
    for path, file in files.items():
        folder, name = posixpath.split(path)
        beside = files.get(posixpath.join(folder, "package.json"))
        if name not in ("package-lock.json", "npm-shrinkwrap.json") or beside is None:
            continue
        if len(file.data) <= MOST_FILE_BYTES >= len(beside.data):
            yield from npm.disagreements(path, file.data, npm.loaded("package.json", beside.data))
