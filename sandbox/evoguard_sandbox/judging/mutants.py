"""Mutation canaries: tests of the base made false on purpose.

An honest program passes a test and fails its mutant; a forged all-green passes both. What a caller must know: a spot
in a branch that is not taken, or compared with an object that is equal to or beyond everything by design, gives a
mutant that passes on honest code. Only a mutant that is seen to fail on the base proves something of a candidate.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from evoguard_sandbox.judging.mutant_alike import Alike
from evoguard_sandbox.judging.mutant_spots import Spot, spots
from evoguard_sandbox.judging.mutant_words import (
    FORBIDDEN_ERROR,
    UNREADABLE,
    Layout,
    Position,
    expression,
    parsed,
    rewritten,
    span,
)

MOST_REMEMBERED = 512
"""Files whose sites are kept: the same base is mutated for each candidate, and finding them takes most of the time."""


@dataclass(frozen=True, slots=True)
class Site:
    """One assertion that can be mutated: `test` is pytest's id without the file and the parameters.

    From `start` to `end` the source will be replaced: line from 1, column in bytes of UTF-8 from 0. `kind` says how.
    """

    path: str
    test: str
    kind: str
    start: Position
    end: Position


@lru_cache(maxsize=MOST_REMEMBERED)
def sites(path: str, source: bytes) -> tuple[Site, ...]:
    """Return every assertion of every test that can be mutated, in order; () for a file that does not parse."""
    try:
        layout, tree = Layout(source), parsed(source)
        found = [_site(path, test, spot, layout) for test, spot in spots(tree)]
    except UNREADABLE:
        return ()
    return tuple(sorted((site for site in found if site), key=lambda site: (site.start, site.end)))


def _site(path: str, test: str, spot: Spot, layout: Layout) -> Site | None:
    """Return the site of a spot, or None when the text there is not what the parser saw."""
    if spot.kind == "raises" and FORBIDDEN_ERROR.encode() in layout.data:
        return None  # the name may mean something else here
    start, end = span(spot.node)
    if spot.kind == "renamed":
        start = layout.position(layout.offset(end) - len(spot.name))
        return Site(path, test, spot.kind, start, end) if layout.cut(start, end) == spot.name else None
    same = ast.dump(expression(layout.cut(start, end))) == ast.dump(spot.node)
    return Site(path, test, spot.kind, start, end) if same else None


def mutated(source: bytes, chosen: Iterable[Site], random: Random, *, alike: bool = False) -> bytes:
    """Return `source` with exactly the chosen spans replaced, line by line in place.

    With `alike` what is false looks like what is true, and may be true by chance. The same `random`, the same bytes.
    Raises: ValueError when a site is not one of this source, or nothing that parses comes of it.
    """
    wanted = sorted(set(chosen), key=lambda site: (site.start, site.end))
    known = {site for path in {site.path for site in wanted} for site in sites(path, source)}
    if not known.issuperset(wanted):
        raise ValueError("a site that this source does not have")
    if not wanted:
        return source
    layout, like = Layout(source), Alike(parsed(source), random) if alike else None
    spans = [(s.start, s.end, rewritten(s.kind, layout.cut(s.start, s.end), random, like)) for s in wanted]
    new = layout.replaced(spans)
    try:
        parsed(new)
        same = len(Layout(new).starts) == len(layout.starts)
    except UNREADABLE as err:
        raise ValueError("the mutant does not parse") from err
    if not same:
        raise ValueError("the mutant has another number of lines")
    return new
