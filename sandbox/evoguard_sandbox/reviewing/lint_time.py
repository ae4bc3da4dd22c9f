"""Which expressions of one file are the present date or time, and which are the same at each run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from evoguard_sandbox.reviewing.lint_words import NOW

DEEP = 60


class TooDeepError(Exception):
    """An expression that no person writes; the file is told as one that could not be read."""


class Times:
    """What names hold the present, and what names hold a fixed value. `full` gives an expression's dotted name."""

    def __init__(self, full: Callable[[ast.expr], str]) -> None:
        self._full = full
        self._now: set[str] = set()
        self._still: set[str] = set()

    def learn(self, name: str, value: ast.expr) -> None:
        """Take note of an assignment."""
        if self.is_now(value):
            self._now.add(name)
        elif self.is_still(value):
            self._still.add(name)

    def is_now(self, node: ast.expr, depth: int = 0) -> bool:
        """Tell whether it is the present date or time, or made of it; a time that went by since another is not.

        Raises: TooDeepError.
        """
        if depth > DEEP:
            raise TooDeepError
        if isinstance(node, ast.Call) and self._full(node.func) in NOW:
            return True
        if (name := _name(node)) and name in self._now:
            return True
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            sides = (node.left, node.right), (node.right, node.left)
            return any(self.is_now(a, depth + 1) and self.is_still(b, depth + 1) for a, b in sides)
        return any(self.is_now(part, depth + 1) for part in _parts(node))

    def is_still(self, node: ast.expr, depth: int = 0) -> bool:
        """Tell whether it has the same value at each run: literals, and what is made of them alone.

        Raises: TooDeepError.
        """
        if depth > DEEP:
            raise TooDeepError
        if isinstance(node, ast.Constant):
            return True
        if name := _name(node):
            return name in self._still and name not in self._now
        if isinstance(node, ast.Call) and self._full(node.func) in NOW:
            return False
        parts = _parts(node, of_calls="arguments")
        return bool(parts) and all(self.is_still(part, depth + 1) for part in parts)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _parts(node: ast.expr, *, of_calls: str = "all") -> Sequence[ast.expr]:
    """Return what a value is made of."""
    if isinstance(node, ast.Call):
        owner = [node.func.value] if isinstance(node.func, ast.Attribute) and of_calls == "all" else []
        return [*owner, *node.args, *(k.value for k in node.keywords)]
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return node.elts
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.FormattedValue):
        return [node.value]
    return node.values if isinstance(node, ast.JoinedStr) else []
