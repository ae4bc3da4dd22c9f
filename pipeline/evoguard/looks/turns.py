"""What a function did always and does no more, or not always: new ways round it, effects and arguments that are gone.

Python only, as syntax trees; functions are compared by name. What moved to a function that it calls, or stands as often
in the whole change, is not lost. People look at each; most such changes are right.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evoguard.domain.scan import Hit
from evoguard.looks.trees import MOST_BYTES, Node, Read, Trees, name_of

ROUND, EFFECT, ARGUMENT = "turn.way_round", "turn.effect_gone", "turn.argument_gone"
MOST_HITS, MOST_TEXT = 20, 2_000
_SAID = {
    ROUND: "under a new condition on a fixed value it does not do what it did always",
    EFFECT: "what it did to something else is done nowhere in the change any more",
    ARGUMENT: "a fixed argument of a call is gone, or is another",
}
_LOGS = frozenset({
    "debug", "info", "warning", "warn", "error", "exception", "critical", "log", "print", "append",
    "extend", "add", "update", "insert", "join", "write",
})  # fmt: skip
"""Calls whose loss says little: words for people, and lists that are filled."""
_TEST = re.compile(
    r"(?i)(.*/)?(tests?|__tests__|specs?|testing|docs|examples?)/.*|(.*/)?(test_[^/]*|[^/]*_test\.py|conftest\.py|setup\.py)\Z"
)


@dataclass(slots=True)
class Function:
    """What stands in one function."""

    line: int
    exits: dict[str, int] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    arguments: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    tests: set[str] = field(default_factory=set)
    statements: int = 0


Side = dict[str, dict[str, Function]]


def turns(
    base: Mapping[str, bytes],
    head: Mapping[str, bytes],
    changed: Sequence[tuple[str, str]],
    trees: Trees | None = None,
) -> list[Hit]:
    """Return where a function turned from what it did. `changed`: (path at the base or empty, path now)."""
    known = trees or Trees()
    before = _side(base, [was for was, _ in changed], known.base)
    after = _side(head, [now for _, now in changed], known.head)
    sums = [_sums(side) for side in (before, after)]
    hits: list[Hit] = []
    for was, now in changed:
        for name, new in after.get(now, {}).items():
            old = before.get(was, {}).get(name)
            if old is not None:
                hits += (
                    _hit(rule, now, line or new.line, f"{name}: {said}") for rule, line, said in _turned(old, new, sums)
                )
    return hits[:MOST_HITS]


def _turned(old: Function, new: Function, sums: Sequence[Counter[str]]) -> Iterator[tuple[str, int, str]]:
    for said, line in new.exits.items():
        if said not in old.tests and old.statements:
            yield ROUND, line, said
    for said in old.effects - new.effects:
        if sums[1][f"call {said}"] < sums[0][f"call {said}"] and not new.calls[said]:
            yield EFFECT, 0, said
    for said in old.arguments - new.arguments:
        called = said.partition("(")[0]
        if new.calls[called] >= old.calls[called] and sums[1][said] < sums[0][said]:
            yield ARGUMENT, 0, said


def _sums(side: Side) -> Counter[str]:
    total: Counter[str] = Counter()
    for functions in side.values():
        for one in functions.values():
            total.update({f"call {name}": times for name, times in one.calls.items()})
            total.update(one.arguments)
    return total


def _side(texts: Mapping[str, bytes], paths: Sequence[str], read: Read) -> Side:
    found: Side = {}
    for path in paths:
        data = texts.get(path, b"")
        if not path.endswith(".py") or _TEST.match(path) or len(data) > MOST_BYTES:
            continue
        found[path] = _functions(read.nodes(path, data))
    return found


def _functions(nodes: Sequence[Node]) -> dict[str, Function]:
    functions: dict[str, Function] = {"": Function(1)}
    for node, owner in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            holder = functions.setdefault(owner, Function(node.lineno))
            holder.statements = len(node.body)
            _exits(node, holder)
        elif isinstance(node, ast.If | ast.IfExp | ast.While | ast.Expr | ast.Call):
            _look(node, functions[owner])
    return functions


def _look(node: ast.AST, holder: Function) -> None:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        holder.tests.add(_said(node.test))
    elif isinstance(node, ast.Expr):
        called = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(called, ast.Call) and name_of(called.func) not in _LOGS:
            holder.effects[name_of(called.func)] += 1
    elif isinstance(node, ast.Call):
        name = name_of(node.func)
        holder.calls[name] += 1
        holder.arguments.update(
            f"{name}({one.arg}={one.value.value!r})"[:100] for one in node.keywords
            if one.arg and isinstance(one.value, ast.Constant) and " " not in str(one.value.value)[:40]
        )  # fmt: skip


def _exits(function: ast.FunctionDef | ast.AsyncFunctionDef, holder: Function) -> None:
    """Keep each early way out under a condition on a fixed value, with something left to do behind it."""
    for step in function.body[:-1]:
        if not isinstance(step, ast.If) or step.orelse or not step.body:
            continue
        last = step.body[-1]
        if isinstance(last, ast.Return) and not _no(last.value) and any(_fixed(one) for one in ast.walk(step.test)):
            holder.exits.setdefault(_said(step.test), step.lineno)


def _no(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def _fixed(node: ast.AST) -> bool:
    """Tell whether a part of a condition asks for a fixed text or number, or a list with a fixed name."""
    if isinstance(node, ast.Compare):
        return any(_weighs(one) for one in (node.left, *node.comparators))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("startswith", "endswith", "match", "fullmatch") and any(_weighs(a) for a in node.args)
    return False


def _weighs(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | int | float) and node.value not in ("", 0, 1, True, False)
    return isinstance(node, ast.Name) and node.id.isupper() and len(node.id) > 2


def _said(node: ast.expr) -> str:
    return ast.unparse(node)[:MOST_TEXT]


def _hit(rule: str, path: str, line: int, name: str) -> Hit:
    return Hit(rule, "warning", path, line, f"{_SAID[rule]}: {name[:100]}", name)
