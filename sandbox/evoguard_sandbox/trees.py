"""Trees of files from outside: read within bounds, refused when they reach out of themselves, laid over one another."""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Files, Finding, Limits

Kind = Literal["file", "exec", "link"]
LINK_MODE, KIND_MASK = 0o120000, 0o170000
PATH_BYTES, PART_BYTES, PATH_PARTS = 1024, 255, 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree; the data of a link is its target."""

    kind: Kind
    data: bytes


Tree = dict[str, Entry]
Row = tuple[str, str, int, bool]  # path, kind, size, trusted


class TreeError(Exception):
    """A tree that must not be laid out; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.msg)
        self.finding = finding


def _refuse(path: str, why: str) -> TreeError:
    name = shown(path)
    return TreeError(Finding("input.bad_tree", f"the tree was refused and nothing of it was run: {name}: {why}", name))


def read_tree(source: Files | bytes, limits: Limits) -> Tree:
    """Return the files of `source`.

    Raises: TreeError on any path, link, member or size that a source tree does not have.
    """
    tree: Tree = {}
    total = 0
    for path, entry in _members(source, limits):
        _check_path(path)
        if path in tree:
            raise _refuse(path, "the same path twice")
        total += len(entry.data)
        if total > limits.tree_bytes or len(tree) >= limits.tree_files:
            raise _refuse(path, f"more than {limits.tree_files} files or {limits.tree_bytes >> 20} MiB")
        if entry.kind == "link":
            _check_link(path, entry.data)
        tree[path] = entry
    for path in tree:
        for folder in folders(path):
            if folder in tree:
                raise _refuse(path, "lies under a path that is not a folder")
    return tree


def _members(source: Files | bytes, limits: Limits) -> Iterator[tuple[str, Entry]]:
    if not isinstance(source, bytes):
        for path, (mode, data) in source.items():
            kind: Kind = "exec" if mode & 0o111 else "file"
            yield path, Entry("link" if mode & KIND_MASK == LINK_MODE else kind, data)
        return
    try:
        with tarfile.open(fileobj=io.BytesIO(source), mode="r:") as archive:
            for member in archive:
                entry = _tar_entry(archive, member, limits)
                if entry is not None:
                    yield member.name, entry
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as err:
        raise _refuse("(archive)", f"not a readable tar: {err}") from err


def _tar_entry(archive: tarfile.TarFile, member: tarfile.TarInfo, limits: Limits) -> Entry | None:
    if member.isdir():
        _check_path(member.name)
        return None
    if member.issym():
        return Entry("link", member.linkname.encode("utf-8", "surrogateescape"))
    if not member.isreg() or member.issparse():
        raise _refuse(member.name, "neither a file, a folder nor a symbolic link")
    if member.size > limits.tree_bytes:
        raise _refuse(member.name, f"larger than {limits.tree_bytes >> 20} MiB")
    taken = archive.extractfile(member)
    data = taken.read(member.size) if taken else b""
    if len(data) != member.size:
        raise _refuse(member.name, "the archive ends in the middle of it")
    return Entry("exec" if member.mode & 0o111 else "file", data)


def _check_path(path: str) -> None:
    if not path or path.startswith("/"):
        raise _refuse(path, "an absolute or empty path")
    if any(ord(c) < 32 or ord(c) == 127 or c == "\\" or 0xD800 <= ord(c) < 0xE000 for c in path):
        raise _refuse(path, "a control character, a backslash or bytes that are not UTF-8 in its name")
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _refuse(path, "a path with an empty, '.' or '..' part")
    if len(parts) > PATH_PARTS:
        raise _refuse(path, f"more than {PATH_PARTS} folders deep")
    if len(path.encode()) > PATH_BYTES or any(len(part.encode()) > PART_BYTES for part in parts):
        raise _refuse(path, "a name that is too long")


def _check_link(path: str, target: bytes) -> None:
    text = target.decode("utf-8", "replace")
    landing = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
    out = text.startswith("/") or landing == ".." or landing.startswith("../")
    if not text or "\0" in text or len(target) > PATH_BYTES or out:
        raise _refuse(path, f"a symbolic link out of the tree, to {shown(text)}")


def folders(path: str) -> Iterator[str]:
    """Yield every folder above `path`, nearest last."""
    parts = path.split("/")[:-1]
    for n in range(1, len(parts) + 1):
        yield "/".join(parts[:n])


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_regex(p)})" for p in patterns) or r"(?!)")


def _regex(pattern: str) -> str:
    out = "" if "/" in pattern else "(?:.*/)?"
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern):
        out += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token) or re.escape(token)
    return out


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for paths. A pattern without a slash holds for the last name at any depth; `**` crosses folders."""
    found = _compiled(tuple(patterns))
    return lambda path: found.fullmatch(path) is not None


def overlay(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> tuple[Tree, frozenset[str]]:
    """Return the candidate's tree with the base's trusted files laid over it, and their paths.

    A candidate entry that stands where a trusted file or one of its folders must be gives way.
    """
    kept = {path: _resolved(base, path) for path in base if trusted(path)}
    need = {folder for path in kept for folder in folders(path)}
    tree = {
        path: entry
        for path, entry in candidate.items()
        if not (trusted(path) or path in need or any(folder in kept for folder in folders(path)) or compiled(path))
    }
    return {**tree, **kept}, frozenset(kept)


def compiled(path: str) -> bool:
    """Tell whether Python takes `path` for a module it has compiled: then it may run that in the source's place."""
    return "__pycache__" in path.split("/")[:-1]


def _resolved(tree: Tree, path: str) -> Entry:
    """Follow a trusted link to its file: the link would otherwise lead into the candidate's copy."""
    return tree[followed(tree, path)]


def followed(tree: Tree, path: str) -> str:
    """Return the file that a link leads to; `path` itself when it is no link, or leads to no file of the tree."""
    seen = path
    for _ in range(8):
        entry = tree[seen]
        if entry.kind != "link":
            return seen
        target = entry.data.decode("utf-8", "replace")
        seen = posixpath.normpath(posixpath.join(posixpath.dirname(seen), target))
        if seen not in tree:
            break
    return path


def wire(tree: Mapping[str, Entry], trusted: frozenset[str]) -> tuple[list[Row], list[bytes]]:
    """Return the list that goes in the order, and the contents that follow it in the same sequence."""
    rows: list[Row] = [(path, entry.kind, len(entry.data), path in trusted) for path, entry in sorted(tree.items())]
    return rows, [tree[path].data for path, *_ in rows]
