"""Calls to compare two versions of code by: those that the base's tests make with plain values, and varied ones.

Read from the tests' text: a call of an imported name whose arguments are literals, names of literals, or come from
`parametrize`; also a method called at once on what such a call returns.
"""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoguard_sandbox.judging.mutant_words import parsed
from evoguard_sandbox.trees import Tree

MOST_TEST_BYTES, MOST_ROWS, MOST_ARGUMENTS, ARGUMENT_CHARS, DEEP = 512 * 1024, 20, 12, 2000, 6
MOST_OF_ONE = 400
UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, LookupError)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of `module.name`, and of methods of what it returns, with values that a literal can write."""

    module: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()
    then: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @property
    def what(self) -> str:
        """The function that is called, and the methods."""
        return ".".join([self.module, self.name, *(name for name, _ in self.then)])

    def text(self) -> str:
        """Return the call as it would be written."""
        parts = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs)]
        more = "".join(f".{name}({', '.join(map(repr, args))})" for name, args in self.then)
        return f"{self.module}.{self.name}({', '.join(parts)}){more}"

    def plain(self) -> tuple[Any, ...]:
        """Return what the guest reads."""
        return self.module, self.name, self.args, dict(self.kwargs), tuple((n, a, {}) for n, a in self.then)


def calls_of(base: Tree, trusted: Callable[[str], bool], packages: Sequence[str]) -> list[Call]:
    """Return the calls of `packages` that the base's tests make with plain values, each once, in the files' order."""
    found: dict[str, Call] = {}
    for path in sorted(base):
        entry = base[path]
        if not trusted(path) or not path.endswith(".py") or len(entry.data) > MOST_TEST_BYTES:
            continue
        try:
            for call in _File(parsed(entry.data), frozenset(packages)).calls():
                found.setdefault(call.text(), call)
        except UNREADABLE:
            continue  # a test file that cannot be read gives no calls; the suite itself says what is wrong with it
    return list(found.values())


class _File:
    def __init__(self, tree: ast.Module, packages: frozenset[str]) -> None:
        self.tree, self.packages = tree, packages
        self.imported: dict[str, tuple[str, str]] = {}
        for node in ast.walk(tree):
            self._import(node)

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in self.packages:
                    plain = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.imported[alias.asname or plain] = (plain, "")
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            for alias in node.names if module.partition(".")[0] in self.packages else ():
                self.imported[alias.asname or alias.name] = (module, alias.name)

    def calls(self) -> Iterator[Call]:
        """Yield the calls of every test function of the file."""
        shared = _assigned(self.tree.body)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
                for row in _rows(node):
                    known = {**shared, **_assigned(list(ast.walk(node))), **row}
                    for call in inner:
                        if (made := self._call(call, known)) is not None and len(made.text()) <= ARGUMENT_CHARS:
                            yield made

    def _call(self, node: ast.Call, known: Mapping[str, Any], depth: int = 0) -> Call | None:
        if depth > DEEP or len(node.args) + len(node.keywords) > MOST_ARGUMENTS:
            return None
        try:
            args = tuple(_value(arg, known) for arg in node.args)
            kwargs = tuple((k.arg, _value(k.value, known)) for k in node.keywords if k.arg is not None)
        except UNREADABLE:
            return None
        if len(kwargs) != len(node.keywords):
            return None
        names: list[str] = []
        at: ast.expr = node.func
        while isinstance(at, ast.Attribute) and len(names) < DEEP:
            names.append(at.attr)
            at = at.value
        if isinstance(at, ast.Name) and at.id in self.imported:
            module, name = self.imported[at.id]
            whole = ".".join([*([name] if name else []), *reversed(names)])
            return Call(module, whole, args, kwargs) if whole else None
        if isinstance(at, ast.Call) and len(names) == 1 and not kwargs:
            first = self._call(at, known, depth + 1)
            return replace(first, then=(*first.then, (names[0], args))) if first is not None else None
        return None


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:  # noqa: ANN401  (a literal's value)
    """Return a literal's value, or a name's. Raises: those of UNREADABLE."""
    return known[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)


def _assigned(nodes: Sequence[ast.AST]) -> dict[str, Any]:
    """Return the names that are given a literal, once; a name that is given two values stands for none."""
    found: dict[str, Any] = {}
    twice: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in found:
                twice.add(name)
            try:
                found[name] = ast.literal_eval(node.value)
            except UNREADABLE:
                twice.add(name)
    return {name: value for name, value in found.items() if name not in twice}


def _rows(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[dict[str, Any]]:
    """Return the values of a test's parameters, one mapping a case; one empty mapping when there are none."""
    tables = [_table(d) for d in node.decorator_list if isinstance(d, ast.Call)]
    rows: list[dict[str, Any]] = [{}]
    for table in tables:
        if table:
            rows = [{**a, **b} for a, b in itertools.islice(itertools.product(rows, table), MOST_ROWS)]
    return rows


def _table(node: ast.Call) -> list[dict[str, Any]]:
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "parametrize" or len(node.args) < 2:
        return []
    values = node.args[1].elts if isinstance(node.args[1], ast.List | ast.Tuple) else []
    rows: list[dict[str, Any]] = []
    try:
        told = ast.literal_eval(node.args[0])
        names = [n.strip() for n in told.split(",")] if isinstance(told, str) else [str(name) for name in told]
    except UNREADABLE:
        return []
    for value in values[:MOST_ROWS]:
        param = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "param"
        try:
            if param and isinstance(value, ast.Call):
                cells = [ast.literal_eval(arg) for arg in value.args]
            else:
                read = ast.literal_eval(value)
                cells = [read] if isinstance(told, str) and len(names) == 1 else list(read)
            rows.append(dict(zip(names, cells, strict=True)))
        except UNREADABLE:
            continue
    return rows


def varied(calls: Sequence[Call], draw: random.Random, most: int) -> list[Call]:
    """Return at most `most` calls, shared out among the functions: of each some as they are, the rest varied."""
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(call.what, []).append(call)
    made: dict[str, Call] = {}
    turns = [_variants(group[:MOST_OF_ONE], draw) for group in groups.values()]
    draw.shuffle(turns)
    while turns and len(made) < most:
        for turn in list(turns):
            made_call = next(turn, None)
            if made_call is None:
                turns.remove(turn)
            elif len(made) < most and _writable(made_call):
                made.setdefault(made_call.text(), made_call)
    return list(made.values())


def _writable(call: Call) -> bool:
    """Tell whether the guest can read the call: an infinite float, for one, has no literal."""
    try:
        ast.literal_eval(repr(call.plain()))
    except UNREADABLE:
        return False
    return len(call.text()) <= ARGUMENT_CHARS


def _variants(group: list[Call], draw: random.Random) -> Iterator[Call]:
    """Yield one call as it is for two that are varied, then varied ones alone, at most eight for each call."""
    order = draw.sample(group, len(group))
    for n, call in enumerate(order * 4):
        if n < len(order):
            yield call
        if call.args or call.kwargs or call.then:
            yield _varied(call, draw)
            yield _varied(call, draw)


def _varied(call: Call, draw: random.Random) -> Call:
    """Return the call with one of its values changed, sometimes two, or two of its arguments exchanged."""
    args, kwargs, then = list(call.args), dict(call.kwargs), list(call.then)
    if len(args) > 1 and draw.random() < 0.1:
        a, b = draw.sample(range(len(args)), 2)
        args[a], args[b] = args[b], args[a]
        return replace(call, args=tuple(args))
    places: list[tuple[str, Any]] = [("arg", n) for n in range(len(args))] + [("named", name) for name in kwargs]
    places += [("then", n) for n, (_, more) in enumerate(then) if more]
    for kind, at in draw.sample(places, min(len(places), draw.choice((1, 1, 1, 2)))):
        if kind == "arg":
            args[at] = other(args[at], draw)
        elif kind == "named":
            kwargs[at] = other(kwargs[at], draw)
        else:
            more = list(then[at][1])
            n = draw.randrange(len(more))
            more[n] = other(more[n], draw)
            then[at] = (then[at][0], tuple(more))
    return replace(call, args=tuple(args), kwargs=tuple(kwargs.items()), then=tuple(then))


def other(value: Any, draw: random.Random) -> Any:  # noqa: ANN401, PLR0911  (a literal's value; one return a type)
    """Return another value of the same type, near or at an edge."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        near = (value + 1, value - 1, value + draw.randint(2, 12), value - draw.randint(2, 12))
        return draw.choice((*near, -value, 0, value * 2))
    if isinstance(value, float):
        return draw.choice((value + 1, value - 1, value * 1.5, -value, 0.0, value + draw.random()))
    if isinstance(value, str | bytes):
        return _other_text(value, draw)
    if isinstance(value, list | tuple):
        return type(value)(_other_items(list(value), draw))
    if isinstance(value, set | frozenset):
        return type(value)(_other_items(sorted(value, key=repr), draw))
    if isinstance(value, dict):
        if not value or draw.random() < 0.2:
            return {}
        key = draw.choice(list(value))
        rest = {k: v for k, v in value.items() if k != key}
        return draw.choice((rest, {**rest, key: other(value[key], draw)}))
    return draw.choice((0, "", value))


def _other_text(value: str | bytes, draw: random.Random) -> str | bytes:
    if isinstance(value, bytes):
        return _other_text(value.decode("latin-1"), draw).encode("latin-1", "replace")  # type: ignore[union-attr]
    at = draw.randrange(len(value) + 1)
    letter = draw.choice("azAZ09 ._-/éß\n")
    ways = (
        *(value[:at] + letter + value[at:], value[: max(0, at - 1)] + value[at:], value.swapcase(), value[::-1]),
        *("", value * 2, value + letter, f" {value} ", value[: max(0, at - 1)] + letter + value[at:], value * 40),
    )
    return draw.choice(ways)[:1000]


def _other_items(items: list[Any], draw: random.Random) -> list[Any]:
    if not items or draw.random() < 0.15:
        return [] if items else [0]
    at = draw.randrange(len(items))
    changed = [*items[:at], other(items[at], draw), *items[at + 1 :]]
    return draw.choice((changed, changed, items[::-1], items * 2, items[:at] + items[at + 1 :]))[:200]
