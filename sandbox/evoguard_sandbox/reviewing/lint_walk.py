"""What one Python file looks at, as places with a code and a term. Reads text; imports and runs nothing of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from evoguard_sandbox.reviewing.lint_time import DEEP, Times, TooDeepError
from evoguard_sandbox.reviewing.lint_words import (
    A_TEST,
    ENVIRONMENT,
    IMPORTERS,
    IN_TESTS,
    INSIDE,
    MADE_CODE,
    MODULES,
    NAMES,
    OPENS,
    OPENS_FULL,
    PATCHES,
    PLACES,
    TIME_BOMB,
    TOLERANT,
    WORDS,
)

COMPARES = frozenset({"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__"})
ALL_OF = frozenset({"items", "keys", "values", "copy"})
MOST_NODES = 150_000
"""About 15,000 lines; a longer file is told as one that could not be read, for its time is the guard's."""
PATH_CHARS = 300
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Place:
    """Something worth a look: the finding's code, what it is about, a few words, and the line."""

    code: str
    term: str
    text: str
    line: int


Looks = Iterator[tuple[str, str, str]]
"""Code, term, words."""


def places(tree: ast.Module) -> Iterator[Place]:
    """Yield every place, in no order. Raises: TooDeepError, also for a file of too many parts."""
    nodes = list(islice(ast.walk(tree), MOST_NODES + 1))
    if len(nodes) > MOST_NODES:
        raise TooDeepError
    walk = _Walk(nodes)
    looks: dict[type[ast.AST], Callable[..., Looks]] = {
        ast.Import: walk.imports,
        ast.ImportFrom: walk.imports_from,
        ast.Attribute: walk.reads,
        ast.Name: walk.reads,
        ast.Call: walk.calls,
        ast.Constant: walk.says,
        ast.BinOp: walk.says,
        ast.JoinedStr: walk.says,
        ast.Compare: walk.compares,
        ast.Assign: walk.sets,
        ast.AugAssign: walk.sets,
        ast.Delete: walk.sets,
        ast.For: walk.goes_through,
        ast.comprehension: walk.goes_through,
        ast.FunctionDef: _tolerant,
        ast.AsyncFunctionDef: _tolerant,
    }
    for node in nodes:
        if (look := looks.get(type(node))) is not None:
            for code, term, text in look(node):
                yield Place(code, term, text, getattr(node, "lineno", 0) or getattr(walk.iter_of(node), "lineno", 0))


class _Walk:
    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        self.names: dict[str, str] = {}
        """What a name stands for anywhere in the file: scopes are not told apart, so that too much is told."""
        self.times = Times(self.full)
        self.docs = {id(n.value) for n in nodes if isinstance(n, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._learn_import(node)
        given = [node for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr)]
        # Twice: a name may be given on before the line that it comes from is reached.
        for node in given * 2:
            self._learn_value(node)

    def _learn_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                self.names[alias.asname or first] = alias.name if alias.asname else first
        elif not node.level:
            for alias in node.names:
                self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def _learn_value(self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> None:
        if node.value is None:
            return
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                if full := self.full(node.value):
                    self.names.setdefault(target.id, full)
                self.times.learn(target.id, node.value)
            elif isinstance(target, ast.Attribute):
                self.times.learn(target.attr, node.value)

    def full(self, node: ast.expr) -> str:
        """Return the dotted name that an expression stands for, as far as the text tells; else an empty one.

        Raises: TooDeepError.
        """
        parts: list[str] = []
        for _ in range(DEEP):
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call) and _named(node.func, "getattr") and len(node.args) > 1:
                parts.append(text_of(node.args[1]) or "?")
                node = node.args[0]
            else:
                first = self._first(node)
                return ".".join([first, *reversed(parts)]) if first else ""
        raise TooDeepError

    def _first(self, node: ast.expr) -> str:
        """Return what a dotted name begins with: a name, or an import inside an expression."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id if node.id in NAMES or node.id in IMPORTERS else "")
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name | ast.Attribute):
            return text_of(node.args[0]) if self.full(node.func) in IMPORTERS else ""
        return ""

    def iter_of(self, node: ast.AST) -> ast.expr | None:
        """Return what a loop goes through."""
        return node.iter if isinstance(node, ast.For | ast.comprehension) else None

    def imports(self, node: ast.Import) -> Looks:
        """Tell of modules that code has little need of."""
        for alias in node.names:
            yield from _module(alias.name)

    def imports_from(self, node: ast.ImportFrom) -> Looks:
        """Tell of modules and names that code has little need of."""
        if node.module and not node.level:
            yield from _module(node.module)
            for alias in node.names:
                yield from _listed(f"{node.module}.{alias.name}")

    def reads(self, node: ast.Attribute | ast.Name) -> Looks:
        """Tell of a listed name, of a listed module's parts, and of the way from an object to what is around it."""
        if isinstance(node, ast.Attribute) and node.attr in INSIDE:
            yield ENVIRONMENT, node.attr, f"reaches through .{node.attr} to the program around it"
        full = self.full(node)
        first, _, rest = full.partition(".")
        if full in NAMES:
            yield from _listed(full)
        elif rest and first in MODULES:
            yield MODULES[first], full, f"uses {full}"
        elif full.endswith(".__dict__") or full == "os.environb":
            yield ENVIRONMENT, full, f"reads all of {full}"

    def calls(self, node: ast.Call) -> Looks:
        """Tell of imports and attributes by name, and of what is handed out whole."""
        full = self.full(node.func)
        given = [self.full(arg) for arg in node.args[:2] if not isinstance(arg, ast.Starred)]
        if full in IMPORTERS:
            name = text_of(node.args[0]) if node.args else ""
            yield from _module(name)
            if not name or full != "importlib.import_module":
                yield MADE_CODE, full, f"imports through {full}" + ("" if name else " by a name made at run time")
        elif _named(node.func, "getattr") and len(node.args) > 1:
            yield from self._by_name(node)
        elif _named(node.func, "vars", "dir") and given and given[0]:
            yield ENVIRONMENT, given[0], f"reads all of {given[0]}"
        elif _named(node.func, "setattr", "delattr") and given and given[0]:
            yield PATCHES, given[0], f"sets or deletes a part of {given[0]}"
        owner = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr in ALL_OF else None
        if self._opens(node.func, full):
            yield from _of_tests(text for arg in (*node.args, *(k.value for k in node.keywords)) for text in texts(arg))
        if "os.environ" in given or (owner is not None and self.full(owner) == "os.environ"):
            yield ENVIRONMENT, "os.environ", "reads all of os.environ"

    def _opens(self, node: ast.expr, full: str) -> bool:
        """Tell whether something that is called takes a path."""
        name = node.attr if isinstance(node, ast.Attribute) else ""
        known = full.rpartition(".")[2] if full.startswith(("pathlib.", "glob.")) else name
        return full in OPENS_FULL or _named(node, "open") or known in OPENS

    def _by_name(self, node: ast.Call) -> Looks:
        made, full = text_of(node.args[1]), self.full(node)
        if made in INSIDE:
            yield ENVIRONMENT, made, f"reaches through .{made} to the program around it"
        elif full.endswith(".?"):
            yield ENVIRONMENT, full[:-2], f"reads a part of {full[:-2]} by a name made at run time"
        else:
            yield from _listed(full)

    def goes_through(self, node: ast.For | ast.comprehension) -> Looks:
        """Tell of a loop over the whole environment."""
        if self.full(node.iter) == "os.environ":
            yield ENVIRONMENT, "os.environ", "reads all of os.environ"

    def says(self, node: ast.expr) -> Looks:
        """Tell of a text that names the room; a text that is a statement by itself is none."""
        if id(node) in self.docs:
            return
        text = text_of(node)
        if text.startswith(PLACES) or any(word in text for word in WORDS) or A_TEST.search(text[-PATH_CHARS:]):
            yield ENVIRONMENT, text[:40], f"names {text[:40]!r}"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from _of_tests([text_of(node.left), text_of(node.right)])

    def compares(self, node: ast.Compare) -> Looks:
        """Tell of a comparison of the present with a fixed date or time."""
        sides = [node.left, *node.comparators]
        if any(self.times.is_now(side) for side in sides) and any(self.times.is_still(side) for side in sides):
            yield TIME_BOMB, "", "compares the present date or time with a fixed one"

    def sets(self, node: ast.Assign | ast.AugAssign | ast.Delete) -> Looks:
        """Tell of a part of another module that is set or deleted; a variable of the environment is none."""
        targets: Sequence[ast.expr] = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        for target in targets:
            full = self.full(target.value) if isinstance(target, ast.Attribute | ast.Subscript) else ""
            if full and full != "os.environ":
                yield PATCHES, full, f"sets or deletes a part of {full}"


def _module(name: str) -> Looks:
    if code := MODULES.get(name.partition(".")[0]):
        yield code, name, f"imports {name}"


def _listed(full: str) -> Looks:
    if code := NAMES.get(full):
        yield code, full, f"uses {full}"


def text_of(node: ast.AST, depth: int = 0) -> str:
    """Return the text that an expression of literals is, put together; else an empty one. Raises: TooDeepError."""
    if depth > DEEP:
        raise TooDeepError
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left, depth + 1), text_of(node.right, depth + 1)
        return left + right if left and right else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(p, depth + 1) for p in node.values if isinstance(p, ast.Constant))
    return ""


def texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts that a path is put together from; none of what is only given to a call in it."""
    left = [node]
    while left:
        one = left.pop()
        if isinstance(one, ast.BinOp):
            left += [one.left, one.right]
        elif isinstance(one, ast.JoinedStr):
            left += [part for part in one.values if isinstance(part, ast.Constant)]
        elif isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def _of_tests(paths: Iterable[str]) -> Looks:
    for path in paths:
        if len(path) <= PATH_CHARS and IN_TESTS.search(path) and not A_TEST.search(path):
            yield ENVIRONMENT, path[:40], f"opens or looks for {path[:40]!r}"


def _named(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _tolerant(node: Function) -> Looks:
    """Tell of a comparison that never looks at what it compares with, and does not decline either."""
    given = [a.arg for a in (*node.args.posonlyargs, *node.args.args)][1:]
    given += [node.args.vararg.arg] if node.args.vararg else []
    if node.name not in COMPARES or not given:
        return
    used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    last = node.body[-1]
    declines = isinstance(last, ast.Raise) or (
        isinstance(last, ast.Return) and last.value is not None and _named(last.value, "NotImplemented")
    )
    if given[0] not in used and not declines:
        yield TOLERANT, node.name, f"{node.name} does not look at what it compares with"
