"""Checks, locks and decorators that the base had and the change has nowhere, and failures that stop nothing.

A condition is known by its operators, its literals and the functions that it calls, not by the names of variables: one
that moved to another function, or whose variable is called otherwise, is not lost. Python is read as a syntax tree,
other languages by lines. People look at each; it proves nothing wrong.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evoguard.domain.scan import Hit
from evoguard.looks.trees import MOST_BYTES, TESTS, Node, Trees, name_of

CONDITION, LOCK, DECORATOR = "guard.condition_gone", "guard.lock_gone", "guard.decorator_gone"
SWALLOWED, OPTIONAL = "guard.failure_swallowed", "guard.made_optional"
MOST_HITS, MOST_DEPTH = 20, 12
_SAID = {
    CONDITION: "a condition under which it refused is nowhere in the change any more",
    LOCK: "it held a lock, and neither it nor what it calls holds one now",
    DECORATOR: "a decorator is gone",
    SWALLOWED: "any failure in it is caught now and goes no further",
    OPTIONAL: "a check whose failure stopped the work does not stop it any more",
}
_LOCK = re.compile(r"(?i).*(lock|mutex|semaphore|atomic|transaction|for_update|exclusive).*")
_PLAIN = frozenset({
    "property", "setter", "getter", "deleter", "cached_property", "lru_cache", "cache", "staticmethod",
    "classmethod", "wraps", "overload", "deprecated", "final", "override", "abstractmethod", "contextmanager",
    "asynccontextmanager", "dataclass", "total_ordering", "register", "singledispatch", "fixture", "parametrize",
    "mark", "unique", "runtime_checkable", "no_type_check",
})  # fmt: skip
"""Decorators that guard nothing."""
_STOPS = frozenset({"abort", "exit", "forbid", "deny", "fail", "reject"})
_REFUSES = re.compile(
    r"\bthrow\b|\.status\(4\d\d\)|sendStatus\(4\d\d|http\.Error\(|\breject\(|\bpanic\("
    r"|return (nil, |\w*, ?)?(err\b|errors\.New|fmt\.Errorf)|return false\b|\braise\b|\babort\("
)
_IF = re.compile(r"\bif\b\s*(?:!?\(?)(.{1,200}?)\)?\s*\{?\s*(?:return\b.*|throw\b.*)?\Z")
_CURLY = re.compile(r".*\.([cm]?[jt]sx?|go|rs|php|java|kt|cs|scala|swift|vue)\Z")
_SCRIPT = re.compile(r".*\.(sh|bash|ya?ml|mk)\Z|(.*/)?(Makefile|Dockerfile|justfile)[^/]*\Z")
_LENIENT = re.compile(
    r"(verif\w*|gpg|cosign|pytest|unittest|\btests?\b|lint|audit|scan|bandit|mypy|sha\d+sum|check\w*|sign\w*)[^|\n#]*"
    r"\|\|\s*(true|:|echo|exit 0|printf|warn)|--exit-zero|continue-on-error:\s*true|allow_failure:\s*true"
    r"|\|\|\s*true\s*#.*(verif|check|test)"
)

_LOOKED = (ast.If, ast.Compare, ast.Call, ast.With, ast.AsyncWith, ast.ExceptHandler)


@dataclass(slots=True)
class Function:
    """What stands on the way in one function."""

    line: int
    locks: bool = False
    calls: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    decorators: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    swallows: int = 0


@dataclass(slots=True)
class Side:
    """One side of a change: path → name → function, and every comparison and call of it."""

    files: dict[str, dict[str, Function]] = field(default_factory=dict)
    shapes: Counter[str] = field(default_factory=Counter)

    def total(self, kind: str) -> Counter[str]:
        """Return how often each refused condition or decorator stands in all of its functions."""
        sums: Counter[str] = Counter()
        for functions in self.files.values():
            for one in functions.values():
                sums.update(getattr(one, kind))
        return sums


def losses(
    base: Mapping[str, bytes],
    head: Mapping[str, bytes],
    changed: Sequence[tuple[str, str]],
    trees: Trees | None = None,
) -> list[Hit]:
    """Return what is lost on the way. `changed`: (path at the base or empty, path now) of each file."""
    before, after, known = Side(), Side(), trees or Trees()
    pairs: list[tuple[str, str]] = []
    hits: list[Hit] = []
    for was, now in changed:
        old, new = base.get(was, b""), head.get(now, b"")
        if max(len(old), len(new)) > MOST_BYTES or all(TESTS.match(path) for path in (was, now) if path):
            continue
        if now.endswith(".py"):
            _python(was or now, known.base.nodes(was, old), before)
            _python(now, known.head.nodes(now, new), after)
            pairs.append((was or now, now))
        elif _CURLY.match(now):
            hits += _by_lines(now, old, new)
        elif _SCRIPT.match(now):
            hits += _optional(now, old, new)
    hits += [*_conditions(before, after, pairs), *_of_functions(before, after, pairs)]
    return hits[:MOST_HITS]


def _conditions(before: Side, after: Side, pairs: Sequence[tuple[str, str]]) -> Iterator[Hit]:
    """Yield functions that lost a condition, where the whole change has fewer of it, in refusals and anywhere."""
    refused, still = before.total("refused"), after.total("refused")
    gone = {
        shape for shape, times in refused.items()
        if still[shape] < times and after.shapes[shape] < before.shapes[shape]
    }  # fmt: skip
    for was, now in pairs if gone else ():
        new = after.files.get(now, {})
        for name, one in before.files.get(was, {}).items():
            left = new.get(name, Function(0))
            called = set().union(*(new[call].shapes for call in left.calls if call in new))
            lost = sorted(
                shape for shape in one.refused
                if shape in gone and shape not in called and left.refused[shape] < one.refused[shape]
            )  # fmt: skip
            if lost:
                yield _hit(CONDITION, now, left.line, f"{name}: {lost[0]}")


def _of_functions(before: Side, after: Side, pairs: Sequence[tuple[str, str]]) -> Iterator[Hit]:
    wrapped = [side.total("decorators") for side in (before, after)]
    for was, now in pairs:
        old, new = before.files.get(was, {}), after.files.get(now, {})
        swallows_more = sum(one.swallows for one in new.values()) > sum(one.swallows for one in old.values())
        for name, one in new.items():
            then = old.get(name)
            if swallows_more and one.swallows > (then.swallows if then is not None else 0):
                yield _hit(SWALLOWED, now, one.line, name)
            if then is None:
                continue
            if then.locks and not one.locks and not any(new[call].locks for call in one.calls if call in new):
                yield _hit(LOCK, now, one.line, name)
            for decorator in then.decorators - one.decorators:
                if wrapped[1][decorator] < wrapped[0][decorator]:
                    yield _hit(DECORATOR, now, one.line, f"{name}: {decorator}")


def _python(path: str, nodes: Sequence[Node], side: Side) -> None:
    functions, loose = side.files.setdefault(path, {}), Function(0)
    for node, owner in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            holder = functions.setdefault(owner, Function(node.lineno))
            holder.decorators.update(name for one in node.decorator_list if (name := _called(one)) not in _PLAIN)
        elif isinstance(node, _LOOKED):
            _look(node, functions[owner] if owner else loose, side.shapes)


def _look(node: ast.AST, holder: Function, shapes: Counter[str]) -> None:
    if isinstance(node, ast.If):
        if any(_refuses(step) for step in node.body):
            holder.refused.update(shape for shape in _atoms(node.test, 0) if shape)
    elif isinstance(node, ast.Compare | ast.Call):
        shapes[_shape(node, 0)] += 1
        holder.shapes.add(_shape(node, 0))
        if isinstance(node, ast.Call):
            holder.calls.add(_called(node))
            holder.locks |= _called(node) in ("acquire", "select_for_update")
    elif isinstance(node, ast.With | ast.AsyncWith):
        holder.locks |= any(_LOCK.fullmatch(_called(item.context_expr)) for item in node.items)
    elif isinstance(node, ast.ExceptHandler) and _broad(node.type) and not _goes_on(node):
        holder.swallows += 1


def _broad(kind: ast.expr | None) -> bool:
    names = kind.elts if isinstance(kind, ast.Tuple) else [kind] if kind else []
    return kind is None or any(_called(one) in ("Exception", "BaseException") for one in names)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler raises, stops or refuses."""
    return any(isinstance(one, ast.Raise) or _refuses(one) for step in handler.body for one in ast.walk(step))


def _refuses(step: ast.AST) -> bool:
    if isinstance(step, ast.Return):
        return isinstance(step.value, ast.Constant) and step.value.value is False
    if isinstance(step, ast.Expr) and isinstance(step.value, ast.Call):
        return _called(step.value) in _STOPS
    return isinstance(step, ast.Raise)


def _atoms(test: ast.expr, depth: int) -> Iterator[str]:
    if isinstance(test, ast.BoolOp) and depth < MOST_DEPTH:
        for one in test.values:
            yield from _atoms(one, depth + 1)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _atoms(test.operand, depth + 1)
    elif isinstance(test, ast.Compare | ast.Call):
        yield _shape(test, 0)


def _shape(node: ast.expr, depth: int) -> str:
    """Return an expression without the names of its variables; `a < b` and `b > a` are one."""
    if depth > MOST_DEPTH:
        return "_"
    if isinstance(node, ast.Constant):
        return repr(node.value)[:40]
    if isinstance(node, ast.Call):
        return "_" if depth else f"{_called(node)}()"
    if isinstance(node, ast.BinOp):
        return f"({_shape(node.left, depth + 1)} {type(node.op).__name__} {_shape(node.right, depth + 1)})"
    if isinstance(node, ast.Compare):
        sides = [_shape(node.left, depth + 1), *(_shape(one, depth + 1) for one in node.comparators)]
        ops = [type(one).__name__ for one in node.ops]
        if len(ops) == 1 and ops[0] in ("Gt", "GtE"):
            sides, ops = sides[::-1], ["Lt" if ops[0] == "Gt" else "LtE"]
        return " ".join(word for pair in zip(sides, [*ops, ""], strict=True) for word in pair).strip()
    return "_"


def _called(node: ast.expr) -> str:
    """Return the last part of a name, or of what is called."""
    for _ in range(MOST_DEPTH):
        if not isinstance(node, ast.Call | ast.Subscript):
            break
        node = node.func if isinstance(node, ast.Call) else node.value
    return name_of(node)


def _by_lines(path: str, old: bytes, new: bytes) -> Iterator[Hit]:
    then, now = (Counter(dict(_refusing(data))) for data in (old, new))
    places = {said: line for said, line in _places(old)}
    for said in then - now:
        yield _hit(CONDITION, path, places.get(said, 0), said[:60])
        return


def _refusing(data: bytes) -> Iterator[tuple[str, int]]:
    yield from Counter(said for said, _ in _places(data)).items()


def _places(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the condition before each line that refuses, without its white space, and where it stands."""
    lines = data.decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines):
        if line.lstrip().startswith(("//", "*")) or not _REFUSES.search(line):
            continue
        for back in range(number, max(-1, number - 3), -1):
            found = _IF.search(lines[back][:400])
            if found:
                yield re.sub(r"\s+", "", found.group(1)), back + 1
                break


def _optional(path: str, old: bytes, new: bytes) -> Iterator[Hit]:
    texts = [data.decode("utf-8", "replace").split("\n") for data in (old, new)]
    before, after = (Counter(line.strip() for line in text if _LENIENT.search(line[:400])) for text in texts)
    if sum(after.values()) > sum(before.values()):
        line = next(iter(after - before), "")
        number = next((n for n, said in enumerate(texts[1], 1) if said.strip() == line), 0)
        yield _hit(OPTIONAL, path, number, line[:60])


def _hit(rule: str, path: str, line: int, name: str) -> Hit:
    return Hit(rule, "warning", path, line, _SAID[rule] + (f": {name[:100]}" if name else ""), name)
