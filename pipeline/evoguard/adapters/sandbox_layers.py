"""The dependencies of a suite: the base's lock judges, and a changed lock gets a layer and a run of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evoguard.domain.verdict import Finding
from evoguard.ports.forge import Blob
from evoguard_sandbox import Limits, Room, layers
from evoguard_sandbox.trees import read_tree
from evoguard_sandbox.workshop import Workshop

TRY_AGAIN = frozenset({"layer.fetch_failed", "layer.no_pip", "layer.no_python", "layer.gone", "layer.folder_open",
                       "layer.folder_mixed"})  # fmt: skip
"""What is wrong here and not with the lock: no answer, so the change waits."""
PROJECT, MOST_PROJECT_BYTES = "pyproject.toml", 256 * 1024


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What is installed for a suite. `changed`: the candidate asks for others; `refused`: why they cannot be had."""

    base: layers.Layer | None
    changed: bool = False
    candidate: layers.Layer | None = None
    refused: Finding | None = None
    note: str = ""
    """What people should know where nothing was installed although the project asks for something."""


def dependencies(
    room: Room, state: Path, limits: Limits, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str
) -> Dependencies:
    """Return the layers, built when they are not there yet; it takes minutes then.

    Raises: LayerError when the base's own cannot be had, or when the candidate's cannot for a reason that lies here.
    """
    old = _lock(base, lock, limits)
    project = base.get(PROJECT)
    layers.check_python(project.data if project is not None else None, room.python)
    workshop = Workshop(room, state / "layer-tools")
    built = None
    if old is not None:
        built = layers.build(old, folder=state / "layers", python=room.python, workshop=workshop)
    try:
        new = _lock(candidate, lock, limits)
        if new == old:
            return Dependencies(built, note=unlocked(base) if old is None else "")
        made = None
        if new is not None:
            made = layers.build_apart(new, folder=state / "layers-apart", python=room.python, workshop=workshop)
        return Dependencies(built, changed=True, candidate=made)
    except layers.LayerError as err:
        if err.code in TRY_AGAIN:
            raise
        text = f"the candidate's own dependencies cannot be installed: {err.message} ({err.fix})"
        return Dependencies(built, changed=True, refused=Finding(err.code, text, lock))


def unlocked(base: Mapping[str, Blob]) -> str:
    """Return what a project without a lock asks for in vain, or nothing."""
    asks = [layers.LOOSE_LOCK] if layers.LOOSE_LOCK in base else []
    if (project := base.get(PROJECT)) is not None and len(project.data) <= MOST_PROJECT_BYTES:
        try:
            table = tomllib.loads(project.data.decode()).get("project", {})
        except (ValueError, RecursionError):
            table = {}
        asks += [PROJECT] if isinstance(table, dict) and table.get("dependencies") else []
    if not asks:
        return ""
    return f"no dependency was installed: {' and '.join(asks)} pins none by hash ({layers.HASHED})"


def _lock(tree: Mapping[str, Blob], lock: str, limits: Limits) -> bytes | None:
    kept = {path: (int(b.mode, 8), b.data) for path, b in tree.items() if path in (lock, *layers.DEFAULT_LOCKS)}
    return layers.lock_of(read_tree(kept, limits), lock)
