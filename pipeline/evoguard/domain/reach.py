"""What a change reaches: files, symbols, who depends on them, tests, components, flags, owners. A list, no decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from evoguard.domain.canonical import Json

T = TypeVar("T")
MOST_LISTED = 200
"""So many of each kind are listed; the counts hold all of them."""


@dataclass(frozen=True, slots=True)
class Dependant:
    """A file that depends on the change; `distance` 1 imports a changed file itself, naming these changed symbols."""

    path: str
    distance: int
    names: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {"path": self.path, "distance": self.distance, "names": list(self.names)}


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything that a change reaches, as far as its text says. `unknown`: path → why its reach cannot be told."""

    symbols: Mapping[str, tuple[str, ...]]
    """Changed path → the functions, classes and methods that differ."""
    dependants: tuple[Dependant, ...]
    tests: tuple[str, ...]
    components: tuple[str, ...]
    flags: tuple[str, ...]
    owners: Mapping[str, tuple[str, ...]]
    """Touched path → who owns it, as the file of owners at the base says."""
    unknown: Mapping[str, str]
    owner_groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each set of owners once, with a path that is theirs: these are asked."""

    def as_json(self) -> dict[str, Json]:
        """Return the reach as plain JSON: at most 200 of each kind, and how many there are."""
        return {
            "symbols": {path: list(names[:MOST_LISTED]) for path, names in _first(self.symbols)},
            "dependants": [one.as_json() for one in self.dependants[:MOST_LISTED]],
            "tests": list(self.tests[:MOST_LISTED]),
            "components": list(self.components),
            "flags": list(self.flags),
            "owners": {path: list(names) for path, names in _first(self.owners)},
            "unknown": dict(_first(self.unknown)),
            "counts": {
                "symbols": sum(map(len, self.symbols.values())), "dependants": len(self.dependants),
                "tests": len(self.tests), "unknown": len(self.unknown),
            },
        }  # fmt: skip


def _first(table: Mapping[str, T]) -> list[tuple[str, T]]:
    return sorted(table.items())[:MOST_LISTED]


def is_test(path: str) -> bool:
    """Tell whether a path is that of a test or of what tests stand on, in the usual languages."""
    *parents, name = path.lower().split("/")
    stem = name.split(".")[0]
    named = stem.startswith("test_") or stem.endswith(("_test", "_spec", "test")) or stem == "conftest"
    dotted = any(part in ("test", "spec") for part in name.split(".")[1:-1])
    return named or dotted or any(part in ("test", "tests", "__tests__", "spec") for part in parents)
