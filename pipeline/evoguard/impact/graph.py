"""Who depends on whom: every name under which a file may be imported, and every file that writes that name.

Where two files could be meant, both are; so what is reached is never less than what runs by imports that are written
out. Imports by names made at run time are not seen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

ENDINGS = (".py", ".pyi", ".pyw")
MOST_PARTS = 32
"""A name of more parts is followed by its last 32 only: no interpreter's path is deeper."""
Import: TypeAlias = tuple[int, str, Sequence[str]]
"""Level of a relative import, the module, the names taken from it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says: its imports, its symbols by digest, or why it cannot be read and which words it holds."""

    imports: tuple[Import, ...] = ()
    symbols: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    words: frozenset[str] | None = frozenset()
    """Of a file that cannot be read; None: it may hold any."""


def is_python(path: str) -> bool:
    """Tell whether a path names Python source."""
    return path.lower().endswith(ENDINGS)


class Imports:
    """Which files write which name; relative imports are names of paths."""

    def __init__(self, facts: Mapping[str, Facts]) -> None:
        self._by_name: dict[str, set[str]] = defaultdict(set)
        self._by_place: dict[str, set[str]] = defaultdict(set)
        self.unread = {path: one for path, one in facts.items() if one.why}
        for path, one in facts.items():
            for level, module, names in one.imports:
                self._take(path, level, module, names)

    def _take(self, path: str, level: int, module: str, names: Sequence[str]) -> None:
        where = self._by_place if level else self._by_name
        mark = "/" if level else "."
        parts = module.split(".")[-MOST_PARTS:] if module else []
        if level:
            folder = path.split("/")[:-1]
            parts = [*folder[: max(0, len(folder) - level + 1)], *parts]
        for end in range(1, len(parts) + 1):
            where[mark.join(parts[:end])].add(path)
        for name in names:
            where[mark.join([*parts, name])].add(path)
        if level and not parts:
            where[""].add(path)

    def of(self, names: Iterable[str], place: str) -> Iterator[str]:
        """Yield the files that import something under one of these names, or by its place in the tree."""
        for name in names:
            yield from self._by_name.get(name, ())
        yield from self._by_place.get(place, ())


def module_names(path: str, packages: Set[str]) -> tuple[tuple[str, ...], str]:
    """Return the dotted names that import a file, and its place without the ending.

    A folder that is itself a package at the base is no place where imports begin.
    """
    stem = path.rpartition(".")[0]
    place = stem.removesuffix("/__init__") if stem != "__init__" else ""
    parts = place.split("/") if place else []
    starts = range(max(0, len(parts) - MOST_PARTS), len(parts))
    names = [".".join(parts[at:]) for at in starts if at == 0 or "/".join(parts[:at]) not in packages]
    return tuple(names), place


def packages(paths: Iterable[str]) -> frozenset[str]:
    """Return the folders that hold an `__init__.py`."""
    return frozenset(path.removesuffix("/__init__.py") for path in paths if path.endswith("/__init__.py"))


def dependants(
    changed: Iterable[str],
    layers: Sequence[Imports],
    known: Set[str],
    tests: Sequence[str] = (),
    links: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, int]:
    """Return path → distance of every file that depends on a changed one, not the changed ones themselves.

    `known` are the packages at the base; `tests`, in order, are those that stand on the conftest files above them.
    `links`: file → other names that it has in the tree.
    """
    distance = dict.fromkeys((path for path in changed if is_python(path)), 0)
    waiting = list(distance)
    for path in waiting:  # grows while it is read: a file is reached first by the shortest way
        names, place = module_names(path, known)
        users = {user for layer in layers for user in layer.of(names, place)}
        for user in sorted(users.union(_below(path, tests), links.get(path, ()))):
            if user not in distance:
                distance[user] = distance[path] + 1
                waiting.append(user)
    return {path: far for path, far in distance.items() if far}


def _below(path: str, tests: Sequence[str]) -> Sequence[str]:
    """Return the tests that run a conftest file, those in its folder and below; of any other file, none."""
    folder, _, name = path.rpartition("/")
    if name != "conftest.py":
        return ()
    start = f"{folder}/" if folder else ""
    return tests[bisect_left(tests, start) : bisect_left(tests, start[:-1] + "0") if start else len(tests)]


def possible_users(changed: Iterable[str], layers: Sequence[Imports]) -> dict[str, str]:
    """Return the files that could not be read and hold a changed module's name: they may depend on it."""
    wanted = {path.rpartition(".")[0].removesuffix("/__init__").rpartition("/")[2] for path in changed}
    plain = all(name.isascii() for name in wanted)  # words are ASCII: any other name may be in any of them
    found: dict[str, str] = {}
    for layer in layers:
        for path, one in layer.unread.items():
            if one.words is None or not plain or wanted & one.words:
                found[path] = one.why
    return found
