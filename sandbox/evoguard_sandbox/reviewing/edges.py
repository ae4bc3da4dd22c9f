"""Where a change may begin to answer otherwise: at the values that it writes, and beside them."""

from __future__ import annotations

import ast
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from evoguard_sandbox.judging.mutant_words import parsed
from evoguard_sandbox.reviewing.differential_calls import UNREADABLE, Call
from evoguard_sandbox.trees import Tree

MOST_SOURCE_BYTES, MOST_EDGES, TEXT_CHARS = 512 * 1024, 24, 100


def edges(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> tuple[Any, ...]:
    """Return the numbers and texts that the changed source has more or less of than the base's; beside numbers, too."""
    found: dict[str, Any] = {}
    for path in sorted(base.keys() | candidate.keys()):
        was, now = base.get(path), candidate.get(path)
        if was == now or trusted(path) or not path.endswith(".py"):
            continue
        old, new = (_constants(entry.data if entry is not None else b"") for entry in (was, now))
        for kind, value in ((new - old) | (old - new)).elements():
            near = (value, value - 1, value + 1) if kind in ("int", "float") else (value,)
            found |= {f"{kind} {one!r}": one for one in near}
    return tuple(found.values())[:MOST_EDGES]


def _constants(source: bytes) -> Counter[tuple[str, Any]]:
    if len(source) > MOST_SOURCE_BYTES:
        return Counter()
    try:
        nodes = list(ast.walk(parsed(source)))
    except UNREADABLE:
        return Counter()
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    plain = [value for value in constants if isinstance(value, int | float | str) and not isinstance(value, bool)]
    return Counter((type(value).__name__, value) for value in plain if not _long(value))


def _long(value: float | str) -> bool:
    return len(value) > TEXT_CHARS if isinstance(value, str) else abs(value) > 10**15 or math.isnan(value)


def at_edges(calls: Sequence[Call], values: Sequence[Any], most: int) -> list[Call]:
    """Return at most `most` calls, one of each function in turn, in which one value is an edge of the same type."""
    first: dict[str, Call] = {}
    for call in calls:
        first.setdefault(call.what, call)
    turns = itertools.zip_longest(*(_edged(call, values) for call in first.values()))
    return list(itertools.islice((call for turn in turns for call in turn if call is not None), most))


def _edged(call: Call, values: Sequence[Any]) -> Iterator[Call]:
    for value in values:
        for n, arg in enumerate(call.args):
            if type(arg) is type(value):
                yield replace(call, args=(*call.args[:n], value, *call.args[n + 1 :]))
        for name, arg in call.kwargs:
            if type(arg) is type(value):
                yield replace(call, kwargs=tuple((k, value if k == name else v) for k, v in call.kwargs))
