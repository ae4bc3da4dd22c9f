"""One look at what a change brings, as one document: the form that is stored, named by digest, and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evoguard.domain.canonical import Json
from evoguard.supply import blobs, capabilities, sbom, tree
from evoguard.supply.compare import Brought, brought, new_faults
from evoguard.supply.osv import name_of
from evoguard.supply.types import Dependency, Fault, Note, short
from evoguard.supply.weakening import weakened

MOST_ROWS = 300
"""Of so many rows of a kind each is listed; what is beyond them is counted, and refused as too much to read."""
Package = tuple[str, str]
"""Ecosystem and name, as its ecosystem compares names."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a change brings. `status` is `complete` only when both trees were read within the bounds."""

    status: str
    why: str
    brought: tuple[Brought, ...] = ()
    faults: tuple[Fault, ...] = ()
    weakened: tuple[Note, ...] = ()
    blobs: tuple[Note, ...] = ()
    capabilities: tuple[Note, ...] = ()
    base: Mapping[str, Json] | None = None
    head: Mapping[str, Json] | None = None
    held: frozenset[tuple[str, str, str]] = frozenset()
    """(ecosystem, name, version) that the base has already."""

    def asked(self) -> frozenset[Package]:
        """Return the packages whose advisories matter: those that are new or changed and have a version."""
        return frozenset(_package(one.dependency) for one in self.brought if one.dependency.version)

    def as_json(self) -> dict[str, Json]:
        """Return the rows, bounded; each list's surplus is counted under `omitted`."""
        rows: dict[str, list[Mapping[str, Json]]] = {
            "dependencies": [one.as_json() for one in self.brought],
            "faults": [_fault(one) for one in self.faults],
            "weakened": [one.as_json() for one in self.weakened],
            "blobs": [one.as_json() for one in self.blobs],
            "capabilities": [one.as_json() for one in self.capabilities],
        }
        omitted = sum(max(0, len(found) - MOST_ROWS) for found in rows.values())
        return {
            "status": self.status, "why": self.why, "omitted": omitted,
            **{name: found[:MOST_ROWS] for name, found in rows.items()},
        }  # fmt: skip


NOT_INSPECTED: Mapping[str, Json] = {
    **Inspection("not run", "checked before changes were inspected").as_json(),
    "vulnerable": [], "sbom": {"base": "", "head": "", "difference": ""},
    "advisories": {"status": "none", "digest": "", "imported": 0, "newest": 0, "entries": 0},
}  # fmt: skip
"""What stands for an inspection where there is none."""


def inspect(
    base: tree.Files, head: tree.Files, rows: Sequence[Mapping[str, Json]], commits: Mapping[str, str]
) -> Inspection:
    """Look at both trees. `rows`: the changed files as the diff lists them; `commits`: repo, base and head by name."""
    cache: tree.Cache = {}
    old, new = tree.read(base, cache), tree.read(head, cache)
    if old.bounded or new.bounded:
        return Inspection("incomplete", old.bounded or new.bounded)
    pairs = [_pair(row) for row in rows]
    renamed = {was: now for was, now in pairs if was and now and was != now}
    name = commits["repo"]
    return Inspection(
        "complete", "", brought(old, new, renamed), new_faults(old, new, (base, head), renamed),
        weakened(base, head, pairs), blobs.added(base, head, pairs), capabilities.gained(base, head, pairs),
        sbom.document(old, name=name, commit=commits["base"]), sbom.document(new, name=name, commit=commits["head"]),
        frozenset((*_package(one), one.version) for one in old.dependencies),
    )  # fmt: skip


def _pair(row: Mapping[str, Json]) -> tuple[str, str]:
    """Return (path at the base or empty, path now or empty) of a row of the diff."""
    path, old, status = str(row["path"]), str(row["old_path"]), row["status"]
    return ("" if status == "added" else old or path), ("" if status == "deleted" else path)


def _package(one: Dependency) -> Package:
    return one.ecosystem, name_of(one.ecosystem, one.name)


def _fault(one: Fault) -> Mapping[str, Json]:
    return {"path": one.path, "line": one.line, "why": short(one.why), "kind": one.kind}
