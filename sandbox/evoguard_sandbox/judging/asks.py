"""The runs apart from the code, and those of the held-out tests: which files stand on which side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evoguard_sandbox.judging.changes import runnable
from evoguard_sandbox.judging.runs import Ask
from evoguard_sandbox.trees import Tree, folders


def split_ask(tree: Tree, kept: frozenset[str], packages: Sequence[str], readable: frozenset[str]) -> Ask:
    """Return the run with the trusted files on one side and all others on the other, with copies of the `readable`."""
    near = {path: entry for path, entry in tree.items() if path in kept}
    far = {path: entry for path, entry in tree.items() if path not in kept or path in readable}
    return Ask(near, kept, packages=packages, far=far)


def held_ask(tree: Tree, apart: Ask, held: Tree, *, beside: bool = False) -> Ask:
    """Return the run of the held-out tests, apart from the code as `apart` is, or `beside` it.

    Where a held-out file or one of its folders must stand, nothing of the tree does; and none is ever on the far side.
    """
    need = {folder for path in held for folder in folders(path)} | held.keys()
    free = {path: entry for path, entry in tree.items() if path not in need and not held.keys() & set(folders(path))}
    both, trusted = {**free, **held}, apart.kept | held.keys()
    if beside or not apart.packages:
        return Ask(both, trusted, runnable(held))
    readable = frozenset(apart.kept & apart.far.keys()) - held.keys()
    return replace(split_ask(both, trusted, apart.packages, readable), targets=runnable(held), kinds=apart.kinds)
