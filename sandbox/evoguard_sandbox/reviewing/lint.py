"""Code of the candidate that looks at its environment: no layer can prove what it would do unwatched, so people look.

A finding here refuses nothing. Only what the change adds is told: a place whose like, in as many places, the base's
copy of the file has on an equal line is not new.
"""

from __future__ import annotations

import ast
import posixpath
import warnings
from collections import Counter
from collections.abc import Callable

from evoguard_sandbox.judging.changes import is_config, sources
from evoguard_sandbox.reviewing.lint_time import TooDeepError
from evoguard_sandbox.reviewing.lint_walk import Place, places
from evoguard_sandbox.reviewing.lint_words import BEGINS_CODE, NOT_READ, OTHER_CODE
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import Entry, Tree
from evoguard_sandbox.types import Finding

MOST_FINDINGS, MOST_A_FILE = 60, 12
MOST_FILE_BYTES, MOST_BYTES = 512 * 1024, 1024 * 1024
"""What is read of one file and of one change; the rest is told as not read."""
TERM_CHARS = 80


def review(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> tuple[Finding, ...]:
    """Return what people should look at in the candidate's code, by path and line; bounded, never an exception.

    Test files and test configuration are left out (`changes.findings` tells of those), but for what only its name makes
    a test and the candidate's code names: that is laid out with the code.
    """
    named = _named_by_code(candidate, sources(base, candidate, trusted), trusted)
    found: list[Finding] = []
    budget = MOST_BYTES
    known = {(entry.kind, entry.data) for path, entry in base.items() if not trusted(path)}
    for path in sorted(candidate):
        entry = _behind(candidate, path)
        if is_config(path) or (trusted(path) and path not in named) or entry == _behind(base, path):
            continue
        if candidate[path].kind != "link" and (entry.kind, entry.data) in known:
            continue  # moved as it is
        if not _is_python(path, entry):
            found += _unread(path, entry)
            continue
        budget -= len(entry.data)
        if len(entry.data) > MOST_FILE_BYTES or budget < 0:
            found.append(_not_read(path, "it is larger than what is read here"))
            continue
        found += _of_file(path, _behind(base, path) if path in base else None, entry)
    if len(found) > MOST_FINDINGS:
        more = Finding(found[-1].code, f"and {len(found) - MOST_FINDINGS} more places to look at")
        return (*found[:MOST_FINDINGS], more)
    return tuple(found)


def _named_by_code(candidate: Tree, called_tests: Tree, trusted: Callable[[str], bool]) -> frozenset[str]:
    """Return those of the new files whose module's name stands somewhere in the candidate's code."""
    code = [entry.data for path, entry in candidate.items() if path.endswith(".py") and not trusted(path)]
    stems = {path: path.rsplit("/", 1)[-1].removesuffix(".py").encode() for path in called_tests}
    return frozenset(path for path, stem in stems.items() if any(stem in data for data in code))


def _of_file(path: str, old: Entry | None, new: Entry) -> list[Finding]:
    try:
        added = _added(old, new.data)
    except (SyntaxError, ValueError, RecursionError, MemoryError, TooDeepError) as err:
        return [_not_read(path, f"it is no Python that can be read ({type(err).__name__.removesuffix('Error')})")]
    name = shown(path)
    told = [
        Finding(place.code, f"{name}:{place.line}: {shown(place.text)}", name, shown(place.term, TERM_CHARS))
        for place in added[:MOST_A_FILE]
    ]
    if len(added) > MOST_A_FILE:
        told.append(Finding(added[MOST_A_FILE].code, f"{name}: and {len(added) - MOST_A_FILE} more places", name))
    return told


def _added(old: Entry | None, new: bytes) -> list[Place]:
    """Return the new file's places that the old one has fewer of, told apart by the text of their line."""
    lines = new.splitlines()
    had: Counter[tuple[str, str, bytes]] = Counter()
    if old is not None and len(old.data) <= MOST_FILE_BYTES:
        try:
            had.update(_key(place, old.data.splitlines()) for place in _places(old.data))
        except (SyntaxError, ValueError, RecursionError, MemoryError, TooDeepError):
            had.clear()  # the base's own text cannot be read: then everything in the new one is new
    added = []
    for place in _places(new):
        key = _key(place, lines)
        had[key] -= 1
        if had[key] < 0:
            added.append(place)
    return added


def _places(data: bytes) -> list[Place]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the candidate's text must not write to our log
        found = dict.fromkeys(places(ast.parse(data)))
    return sorted(found, key=lambda place: (place.line, place.code, place.term))


def _key(place: Place, lines: list[bytes]) -> tuple[str, str, bytes]:
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else b""
    return place.code, place.term, b" ".join(line.split())


def _behind(tree: Tree, path: str) -> Entry:
    """Return the file that a path leads to: Python would import the target of a link under the link's name."""
    seen = path
    for _ in range(8):
        entry = tree.get(seen, Entry("file", b""))
        if entry.kind != "link":
            return entry
        seen = posixpath.normpath(posixpath.join(posixpath.dirname(seen), entry.data.decode("utf-8", "replace")))
    return Entry("file", b"")


def _is_python(path: str, entry: Entry) -> bool:
    first = entry.data[:64].split(b"\n", 1)[0]
    return path.endswith((".py", ".pyi")) or (first.startswith(b"#!") and b"python" in first)


def _unread(path: str, entry: Entry) -> list[Finding]:
    """Tell of a file that holds code which is not read here; texts and data are none."""
    name = path.rsplit("/", 1)[-1].lower()
    if name.endswith(OTHER_CODE) or ".so." in name or entry.kind == "exec" or entry.data.startswith(BEGINS_CODE):
        return [_not_read(path, "it is code or can be loaded as such, and no Python text")]
    return []


def _not_read(path: str, why: str) -> Finding:
    return Finding(NOT_READ, f"{shown(path)} was not looked into: {why}", shown(path))
