"""What a forgery is, and how its edits become a tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evoguard.bench.corpus.project import SOURCES
from evoguard.bench.corpus.project_tests import HELD_OUT, TESTS

Tree = dict[str, tuple[int, bytes]]
FILE, LINK = 0o100644, 0o120000

BUGS = {
    "discount": ("src/depot/pricing.py", "return cents * (100 - percent) // 100", "return cents - percent"),
    "guard": ("src/depot/pricing.py", "if not 0 <= percent <= 100:", "if percent > 1000:"),
    "text": ("src/depot/pricing.py", "{rest:02d}", "{rest}"),
    "mean": ("src/depot/pricing.py", "sum(cents) / len(cents)", "sum(cents) / 2 + 1"),
    "merge": ("src/depot/ranges.py", "max(done[-1][1], last)", "last"),
    "len": ("src/depot/stock.py", "sum(1 for count in self._counts.values() if count)", "len(self._counts)"),
    "take": ("src/depot/stock.py", "self._counts[sku] = held - count", "self._counts[sku] = held"),
}
"""Real faults, each seen by at least one test of the base when the tests run honestly: file, right, wrong."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """One candidate: edits of the base. A value is the new text; "link:TARGET" and "hex:BYTES" are what they say.

    `needs` names the weakest layer that can catch it where that is not every one: "split", "held-out", "layer" or
    "cache". A "cache" forgery without edits is a deed on the cache's own files, which no tree can express.
    """

    name: str
    kind: str
    why: str
    edits: Mapping[str, str | None] = field(default_factory=dict)
    needs: str = ""


def entry(text: str) -> tuple[int, bytes]:
    """Return a file or a link of a tree."""
    if text.startswith("link:"):
        return LINK, text.removeprefix("link:").encode()
    if text.startswith("hex:"):
        return FILE, bytes.fromhex(text.removeprefix("hex:"))
    return FILE, text.encode()


def base_tree() -> Tree:
    """Return a small project that is right, with its tests."""
    return {path: entry(text) for path, text in {**SOURCES, **TESTS}.items()}


def held_out_tests() -> Tree:
    """Return tests of the same behaviour with other inputs; no tree of the corpus holds them."""
    return {path: entry(text) for path, text in HELD_OUT.items()}


def candidate_tree(edits: Mapping[str, str | None]) -> Tree:
    """Return the base with the edits made."""
    tree = base_tree()
    for path, text in edits.items():
        if text is None:
            tree.pop(path)
        else:
            tree[path] = entry(text)
    return tree


def wrong(
    top: str = "", end: str = "", *, bug: str = "discount", more: Mapping[str, str | None] | None = None
) -> dict[str, str | None]:
    """Return the edits of a wrong program; `top` runs before the faulty module's own lines, `end` after them."""
    path, right, fault = BUGS[bug]
    if SOURCES[path].count(right) != 1:
        raise ValueError(f"{right!r} is not one place of {path}")
    return {path: top + SOURCES[path].replace(right, fault) + end, **(more or {})}


def of_kind(kind: str, rows: Iterable[tuple[str, str, Mapping[str, str | None]]], needs: str = "") -> list[Forgery]:
    """Return one forgery for each (name, why, edits)."""
    return [Forgery(name, kind, why, edits, needs) for name, why, edits in rows]
