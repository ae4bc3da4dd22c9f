"""Both sides of changed Python files as syntax trees, read once, without the functions that are the same in both.

What did not change needs no second look, so the cost of a look grows with the change and not with its files. A function
that is called from what did change stays, for a check may have moved to it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

MOST_BYTES = 2 << 20
"""A file larger than this is read by no look."""
TESTS = re.compile(
    r"(?i)(.*/)?(tests?|__tests__|specs?|testing)/.*|(.*/)?(test_[^/]*|[^/]*[_.](test|spec)\.[a-z]+|conftest\.py)\Z"
)
_CALLS = re.compile(r"(\w+)\s*\(")
Tree = ast.Module | None
"""None: this Python cannot read it."""


Node = tuple[ast.AST, str]
"""A part of a tree, and the function that it stands in: `Class.function`, or empty."""


@dataclass(slots=True)
class Read:
    """One side of a change: path → tree; a path that is not here is read when it is asked for."""

    trees: dict[str, Tree] = field(default_factory=dict)
    flat: dict[str, list[Node]] = field(default_factory=dict)

    def tree(self, path: str, data: bytes) -> Tree:
        """Return the tree of a file."""
        if path not in self.trees:
            self.trees[path] = parsed(data)
        return self.trees[path]

    def nodes(self, path: str, data: bytes) -> list[Node]:
        """Return all parts of the tree of a file, which is walked once; nothing when it cannot be read."""
        if path not in self.flat:
            tree = self.tree(path, data)
            self.flat[path] = list(_flat(tree)) if tree else []
        return self.flat[path]


@dataclass(slots=True)
class Trees:
    """Both sides of a change."""

    base: Read = field(default_factory=Read)
    head: Read = field(default_factory=Read)


def _flat(tree: ast.Module) -> Iterator[Node]:
    """Walk with a list of what is still to be read, so that depth is no matter."""
    waiting: list[tuple[ast.AST, str, str]] = [(tree, "", "")]
    while waiting:
        node, scope, owner = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            owner = f"{scope}{node.name}"
            scope = f"{owner}."
        elif isinstance(node, ast.ClassDef):
            scope = f"{scope}{node.name}."
        yield node, owner
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                waiting += [(one, scope, owner) for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                waiting.append((value, scope, owner))


def name_of(node: ast.AST) -> str:
    """Return the last part of a name, or nothing."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def parsed(data: bytes) -> Tree:
    """Return the tree of a text, or None when it cannot be read to its end."""
    try:
        return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def pruned(base: Mapping[str, bytes], head: Mapping[str, bytes], changed: Sequence[tuple[str, str]]) -> Trees:
    """Read both sides of each changed Python file. `changed`: (path at the base or empty, path now)."""
    trees = Trees()
    for was, now in changed:
        old, new = base.get(was, b""), head.get(now, b"")
        if not (now or was).endswith(".py") or max(len(old), len(new)) > MOST_BYTES:
            continue
        _prune(trees.base.tree(was, old), old, trees.head.tree(now, new), new)
    return trees


def _prune(old: Tree, before: bytes, new: Tree, after: bytes) -> None:
    if old is None or new is None:
        return
    sides = [_texts(old, before.split(b"\n")), _texts(new, after.split(b"\n"))]
    same = {name for name, text in sides[0].items() if sides[1].get(name) == text}
    if not same:
        return
    rest = [text for side in sides for name, text in side.items() if name not in same]
    called = {name for text in rest for name in _CALLS.findall(text.decode("utf-8", "replace"))}
    drop = {name for name in same if name.rpartition(".")[2] not in called}
    for tree in (old, new):
        _without(tree, "", drop)


def _texts(tree: ast.Module, lines: Sequence[bytes]) -> dict[str, bytes]:
    """Return the text of each function of a module and its classes; one that stands twice is never the same."""
    found: dict[str, bytes] = {}
    for name, node in _functions(tree, ""):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        found[name] = b"\n".join(lines[first - 1 : node.end_lineno]) + (b"\0%d" % len(found) if name in found else b"")
    return found


def _functions(
    node: ast.Module | ast.ClassDef, scope: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{scope}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{scope}{child.name}.")


def _without(node: ast.Module | ast.ClassDef, scope: str, drop: set[str]) -> None:
    kept: list[ast.stmt] = []
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and f"{scope}{child.name}" in drop:
            continue
        if isinstance(child, ast.ClassDef):
            _without(child, f"{scope}{child.name}.", drop)
        kept.append(child)
    node.body = kept
