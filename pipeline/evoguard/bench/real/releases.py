"""Pairs of consecutive releases: what their authors changed, cut into changes of one file or one folder."""

from __future__ import annotations

import posixpath
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from evoguard.bench.corpus.changes import Change
from evoguard.bench.real import RealSuite
from evoguard.bench.real.sdists import tree_of
from evoguard.ports.forge import Blob

LISTING = Path(__file__).with_name("releases.toml")
MADE = ("PKG-INFO", ".dist-info/", ".egg-info/")
"""What the packing of a release writes; nobody proposes it as a change."""


def changes() -> Iterator[Change]:
    """Yield the changes between the listed releases. Raises: as `sdists.tree_of`."""
    for row in tomllib.loads(LISTING.read_text(encoding="utf-8"))["release"]:
        old, new = (_tree(RealSuite(row["name"], row[version], row[digest])) for version, digest in (
            ("old", "old_sha256"), ("new", "new_sha256")))  # fmt: skip
        yield from _cut(f"{row['name']} {row['old']} to {row['new']}", old, new)


def _tree(suite: RealSuite) -> dict[str, Blob]:
    return {
        path: Blob(f"{mode:o}", data) for path, (mode, data) in tree_of(suite).items()
        if not any(part in path for part in MADE)
    }  # fmt: skip


def _cut(title: str, old: dict[str, Blob], new: dict[str, Blob]) -> Iterator[Change]:
    """Yield a change for each file, and one for each folder of which several files changed."""
    pairs = [(path if path in old else "", path if path in new else "") for path in sorted(old.keys() | new.keys())
             if old.get(path) != new.get(path)]  # fmt: skip
    folders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        folders[posixpath.dirname(pair[1] or pair[0])].append(pair)
        yield _one(f"{title}: {pair[1] or pair[0]}", old, new, (pair,))
    for folder, inside in folders.items():
        if len(inside) > 1:
            yield _one(f"{title}: {folder or '.'}/", old, new, tuple(inside))


def _one(title: str, old: dict[str, Blob], new: dict[str, Blob], pairs: tuple[tuple[str, str], ...]) -> Change:
    gone, put = {was for was, now in pairs if was and not now}, {now for _, now in pairs if now}
    head = {path: blob for path, blob in old.items() if path not in gone} | {path: new[path] for path in put}
    return Change("released", title, old, head, pairs)
