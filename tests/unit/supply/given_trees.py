"""Trees as these tests write them down, and one look at a change from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evoguard.supply.inspection import Inspection, inspect

HASH = "--hash=sha256:" + "a" * 64
OTHER_HASH = "--hash=sha256:" + "b" * 64


@dataclass(frozen=True)
class File:
    data: bytes
    mode: str = "100644"


Told = Mapping[str, str | bytes]


def looked_at(base: Told, head: Told, moved: Mapping[str, str] | None = None) -> Inspection:
    """Inspect a change; `moved` is path now → path at the base."""
    old, new = (
        {path: File(text.encode() if isinstance(text, str) else text) for path, text in tree.items()}
        for tree in (base, head)
    )
    moved = moved or {}

    def status(path: str) -> str:
        if path in moved:
            return "renamed"
        return "added" if path not in old else "deleted" if path not in new else "modified"

    rows = [
        {"path": path, "old_path": moved.get(path, ""), "status": status(path)}
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path) and path not in moved.values()
    ]
    return inspect(old, new, rows, {"repo": "lending", "base": "a" * 40, "head": "b" * 40})


def brought(base: Told, head: Told, moved: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return name → change, for changes in which each name comes once."""
    return {one.dependency.name: one.change for one in looked_at(base, head, moved).brought}


def faults(head: Told, base: Told | None = None) -> list[str]:
    return [one.why for one in looked_at(base or {}, head).faults]
