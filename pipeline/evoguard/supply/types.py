"""What the readers of this room hand each other: a dependency, a fault, and what one file gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json

Ecosystem = Literal["PyPI", "npm", "Go", "crates.io", "GitHub Actions", "docker"]
"""Where a name is looked up; the words of the OSV format, and `docker` for images."""
Origin = Literal["index", "other-index", "mismatch", "insecure", "git", "url", "path"]
"""Where it comes from. `other-index`: not the place that the project uses; `mismatch`: another package's address."""
Pinned = Literal["digest", "version", "floating"]
"""How firmly: by content, by an exact version, or not at all (a range, a tag, a branch)."""
FaultKind = Literal["unreadable", "unsupported"]
MOST_FILE_BYTES, MOST_TOTAL_BYTES, MOST_FILES, MOST_DEPENDENCIES = 8 << 20, 64 << 20, 500, 20_000
"""One manifest or lock, all of them of one tree, how many files of one tree, how many dependencies of one tree."""
MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Dependency:
    """One dependency as one file names it; `name` as its ecosystem compares names, `said` as it stands there."""

    ecosystem: Ecosystem
    name: str
    said: str
    path: str
    line: int = 0
    version: str = ""
    """The exact version; empty when the file names none."""
    spec: str = ""
    origin: Origin = "index"
    where: str = ""
    pinned: Pinned = "floating"
    scripts: bool = False
    """It runs code of its own when it is installed."""
    licence: str = ""
    alias: str = ""
    """The name under which it is installed, where that is another one."""
    locked: bool = False
    """A lock names it, not a manifest."""
    digests: tuple[str, ...] = ()
    own: bool = False
    """It is the project itself, told for its scripts."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that could not be read as what it claims to be; `unsupported`: of a kind that nobody here reads."""

    path: str
    why: str
    line: int = 0
    kind: FaultKind = "unreadable"


@dataclass(frozen=True, slots=True)
class Read:
    """What one file gave. `includes`: further files of the tree, by path, that are read as requirements."""

    dependencies: tuple[Dependency, ...] = ()
    faults: tuple[Fault, ...] = ()
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """One place of weakened tests or added blobs, by rule."""

    rule: str
    path: str
    line: int
    msg: str

    def as_json(self) -> Mapping[str, Json]:
        """Return the place as plain JSON."""
        return {"rule": self.rule, "path": self.path, "line": self.line, "msg": short(self.msg)}


def file(one: Dependency | Fault | None, found: list[Dependency], faults: list[Fault]) -> None:
    """Put what a line gave where it belongs."""
    if isinstance(one, Fault):
        faults.append(one)
    elif one is not None:
        found.append(one)


def short(text: str, most: int = MOST_TEXT) -> str:
    """Return a text of a candidate bounded, and escaped where it is not plain."""
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return cut if cut.isascii() and cut.isprintable() else ascii(cut)[1:-1][: most * 2]


def decoded(path: str, data: bytes) -> str | Fault:
    """Return a file's text without its byte order mark, or the fault of one that is not UTF-8 or holds a NUL."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as err:
        return Fault(path, f"byte {err.start + 1} is not UTF-8")
    return Fault(path, "it holds a NUL") if "\0" in text else text


def line_of(text: str, *needles: str) -> int:
    """Return the first line (from 1) that holds one of the texts, or 0."""
    for needle in needles:
        at = text.find(needle) if needle else -1
        if at >= 0:
            return text.count("\n", 0, at) + 1
    return 0
