"""Where in a test file an assertion can be turned into one that an honest program fails.

An assertion that something may catch, that stands where an error is expected, or that is known to be out of reach is
left out: its mutant would pass on honest code.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from evoguard_sandbox.judging.mutant_words import FORBIDDEN_ERROR, INVERSE, literal_kind

Function = ast.FunctionDef | ast.AsyncFunctionDef
With = ast.With | ast.AsyncWith

# The kind is the one for an expected value that is no literal: it keeps the type that unittest asks for.
EQUAL = {
    "assertEqual": "wrapped",
    "assertEquals": "wrapped",
    "assertAlmostEqual": "wrapped",
    "assertListEqual": "list",
    "assertTupleEqual": "tuple",
    "assertSetEqual": "set",
    "assertDictEqual": "dict",
    "assertMultiLineEqual": "words",
    "assertSequenceEqual": "list",
    "assertCountEqual": "list",
}
ORDER: dict[str, type[ast.cmpop]] = {
    "assertLess": ast.Lt,
    "assertLessEqual": ast.LtE,
    "assertGreater": ast.Gt,
    "assertGreaterEqual": ast.GtE,
}
# The checks of `unittest.mock`, and what stands in the place of the mock where one has no argument that can be changed.
MOCKED = {
    **dict.fromkeys(
        ("assert_called", "assert_called_once", "assert_called_with", "assert_called_once_with"), "uncalled"
    ),
    **dict.fromkeys(("assert_any_call", "assert_has_calls"), "uncalled"),
    **dict.fromkeys(("assert_awaited", "assert_awaited_once", "assert_awaited_with"), "unawaited"),
    **dict.fromkeys(("assert_awaited_once_with", "assert_any_await", "assert_has_awaits"), "unawaited"),
    "assert_not_called": "called",
}
RAISES = frozenset({"raises", "assertRaises", "assertRaisesRegex"})
# Parents of BufferError, and errors that pytest takes for its own: they would end the session or skip the test.
NOT_AN_ERROR = frozenset(
    {
        *("BufferError", "Exception", "BaseException", "KeyboardInterrupt", "GeneratorExit", "CancelledError"),
        *("Exit", "Skipped", "SkipTest", "OutcomeException"),
    }
)
CATCHES_ASSERTIONS = frozenset({"AssertionError", "Exception", "BaseException", "failureException"})
SWALLOWS = ("raises", "suppress", "xfail", "expect")
LEAVES = frozenset({"skip", "fail", "xfail", "exit", "skipTest"})
SET_ASIDE = frozenset({"xfail", "skip", "expectedFailure", "fixture"})


@dataclass(frozen=True, slots=True)
class Spot:
    """A part of an assertion and how it is mutated. `name` is a method's, when only that is replaced."""

    kind: str
    node: ast.expr
    name: str = ""


def spots(tree: ast.Module) -> Iterator[tuple[str, Spot]]:
    """Yield each test's name, as pytest gives it behind the file's, with each spot in it.

    A test that another one may run too is left out (called, aliased, or inherited in this file): its mutant would
    turn two tests red. So is a name that is defined twice.
    """
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    used |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    parents = {_last(base) for n in ast.walk(tree) if isinstance(n, ast.ClassDef) for base in n.bases}
    own = frozenset(n.name for n in ast.walk(tree) if isinstance(n, Function))
    names = Counter(name for name, *_ in _defined(tree.body))
    for name, node, usable in _defined(tree.body):
        parts = name.split("::")
        once = all(names["::".join(parts[: n + 1])] == 1 for n in range(len(parts)))
        shared = node.name in used or not parents.isdisjoint(parts[:-1])
        if isinstance(node, Function) and node.name.startswith("test") and usable and once and not shared:
            for spot in _Body(node, own).walk(node.body):
                yield name, spot


def _defined(
    body: list[ast.stmt], prefix: str = "", usable: bool = True
) -> Iterator[tuple[str, Function | ast.ClassDef, bool]]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef):
            fit = usable and not any(_sets_aside(d) for d in node.decorator_list)
            yield prefix + node.name, node, fit
            if isinstance(node, ast.ClassDef):
                yield from _defined(node.body, f"{prefix}{node.name}::", fit)
        else:
            for block in _blocks(node):
                yield from _defined(block, prefix, usable)


def _sets_aside(decorator: ast.expr) -> bool:
    """Tell whether a test is not run, or not by itself, or may fail; an `xfail` with a condition leaves it open."""
    named = isinstance(decorator, ast.Call) and any(keyword.arg == "condition" for keyword in decorator.keywords)
    if _last(decorator) == "xfail" and isinstance(decorator, ast.Call) and (decorator.args or named):
        return False
    return _last(decorator) in SET_ASIDE


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield each list of statements directly under a statement."""
    for field in ("body", "orelse", "finalbody"):
        yield getattr(node, field, [])
    for holder in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
        yield holder.body


def _last(node: ast.AST | None) -> str:
    """Return the last name of `a.b.c` or `a.b.c(...)`; "" for anything else."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Body:
    """The spots of one test. `caught`: an assertion's error may be caught; `handled`: some error may be."""

    def __init__(self, function: Function, own: frozenset[str]) -> None:
        arguments = function.args
        self.parameters = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        self.own = own

    def walk(self, body: list[ast.stmt], caught: bool = False, handled: bool = False) -> Iterator[Spot]:
        for node in body:
            yield from self.of(node, caught, handled)
            ends = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _last(node.value) in LEAVES
            if ends or isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break):
                return

    def of(self, node: ast.stmt, caught: bool, handled: bool) -> Iterator[Spot]:
        if isinstance(node, Function | ast.ClassDef):
            return
        if isinstance(node, ast.Assert):
            found = None if caught or isinstance(node.test, ast.Constant) else _truth(node.test)
            yield from [found] if found else []
        elif isinstance(node, ast.Expr | ast.Assign):
            yield from self.call(node.value, caught, handled)
        elif isinstance(node, With):
            yield from self.inside(node, caught, handled)
        elif isinstance(node, ast.Try | ast.TryStar):
            mute = caught or any(_may_catch(handler.type) for handler in node.handlers)
            yield from self.walk(node.body, mute, handled or bool(node.handlers))
            for block in [*(handler.body for handler in node.handlers), node.orelse, node.finalbody]:
                yield from self.walk(block, caught, handled)
        else:
            for block in _blocks(node):
                yield from self.walk(block, caught, handled)

    def call(self, node: ast.expr, caught: bool, handled: bool) -> Iterator[Spot]:
        if not isinstance(node, ast.Call):
            return
        if _last(node) in RAISES and len(node.args) > 1 and not handled:
            yield from _raising(node)
        elif isinstance(node.func, ast.Attribute) and not caught and node.func.attr not in self.own:
            found = None
            if node.func.attr in MOCKED:
                found = _mocked(node, node.func)
            elif isinstance(node.func.value, ast.Name):
                found = _unittest(node, node.func)
            yield from [found] if found else []

    def inside(self, node: With, caught: bool, handled: bool) -> Iterator[Spot]:
        swallowing = [item.context_expr for item in node.items if self.may_swallow(item.context_expr)]
        if not swallowing:
            yield from self.walk(node.body, caught, handled)
        elif len(swallowing) == 1 and isinstance(swallowing[0], ast.Call) and not handled:
            yield from _raising(swallowing[0])

    def may_swallow(self, context: ast.expr) -> bool:
        if isinstance(context, ast.Call):
            return any(word in _last(context).lower() for word in SWALLOWS)
        return _last(context) in self.parameters or not _last(context)


def _may_catch(kind: ast.expr | None) -> bool:
    """Tell whether an `except` may catch AssertionError; an unclear one may."""
    if isinstance(kind, ast.Tuple):
        return any(_may_catch(one) for one in kind.elts)
    return _last(kind) in CATCHES_ASSERTIONS or not _is_class(kind)


def _is_class(node: ast.expr | None) -> bool:
    name = "" if isinstance(node, ast.Call) else _last(node)
    return name[:1].isupper() and not name.isupper()


def _raising(call: ast.Call) -> Iterator[Spot]:
    """Yield the class of a `raises`, when it is one that has nothing to do with BufferError or pytest's own errors."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "expected_exception"]
    kinds = [*call.args[:1], *named]
    if _last(call) not in RAISES or len(kinds) != 1:
        return
    classes = kinds[0].elts if isinstance(kinds[0], ast.Tuple) else kinds
    if classes and all(_is_class(one) and _last(one) not in NOT_AN_ERROR for one in classes):
        yield Spot("raises", kinds[0], FORBIDDEN_ERROR)


def _truth(test: ast.expr) -> Spot | None:
    """Return the spot that makes a true expression false; equality and membership by value, all else by `not`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = test.operand
        if isinstance(inner, ast.Compare) and len(inner.ops) == 1 and isinstance(inner.ops[0], ast.NotEq):
            return _equal(inner.left, inner.comparators[0])
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return Spot("negated", test)
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, ast.Is) and isinstance(left, ast.Compare):
        return _truth(left) if isinstance(right, ast.Constant) and right.value is True else Spot("negated", test)
    if isinstance(operator, ast.Eq):
        return _equal(left, right)
    if isinstance(operator, ast.In):
        return _member(left)
    return _beyond(left, type(operator), right) or Spot("negated", test)


def _equal(left: ast.expr, right: ast.expr, otherwise: str = "wrapped") -> Spot | None:
    if _last(left) == "ANY":
        return None  # equal to everything by design
    if any(_last(node) == "approx" for side in (left, right) for node in ast.walk(side)):
        number = _tolerated(right)
        if number is not None:
            return Spot("scaled", number)
        return Spot(otherwise, right)
    known = next((side for side in (right, left) if literal_kind(side)), None)
    return Spot(literal_kind(known), known) if known is not None else Spot(otherwise, right)


def _tolerated(node: ast.expr) -> ast.expr | None:
    """Return the number of `approx(3)`, whose tolerance is the usual one."""
    if isinstance(node, ast.Call) and _last(node) == "approx" and len(node.args) == 1 and not node.keywords:
        return node.args[0] if literal_kind(node.args[0]) == "number" else None
    return None


def _member(member: ast.expr) -> Spot:
    kind = literal_kind(member)
    return Spot(kind if kind in ("text", "bytes") else "wrapped", member)


def _beyond(left: ast.expr, operator: type[ast.cmpop], right: ast.expr) -> Spot | None:
    """Return the bound of `x < 3`, to be put where no honest value is; an object that is less than all still passes."""
    if operator not in (ast.Lt, ast.LtE, ast.Gt, ast.GtE):
        return None
    less = operator in (ast.Lt, ast.LtE)
    if literal_kind(right) == "number":
        return Spot("below" if less else "above", right)
    return Spot("above" if less else "below", left) if literal_kind(left) == "number" else None


def _mocked(call: ast.Call, method: ast.Attribute) -> Spot:
    """Return the spot of a mock's check: what it was to be called with, or else the mock itself.

    The first is the better one: who silences the check of one mock alone is not seen at another.
    """
    listed = method.attr in ("assert_has_calls", "assert_has_awaits")
    given = [arg for arg in call.args if not isinstance(arg, ast.Starred)] + [k.value for k in call.keywords if k.arg]
    for value in given[:1] if listed else given:
        if _last(value) != "ANY":
            return Spot("list" if listed else literal_kind(value) or "wrapped", value)
    return Spot(MOCKED[method.attr], method.value)


def _unittest(call: ast.Call, method: ast.Attribute) -> Spot | None:
    """Return the spot of a `self.assert...`; the second argument is the expected one, or the one that is a literal."""
    name, args = method.attr, call.args
    plain = not any(isinstance(arg, ast.Starred) for arg in args)
    two = plain and len(args) > 1
    if name == "assertAlmostEqual":
        return Spot("wrapped", args[1]) if two else None
    if name in EQUAL:
        return _equal(args[0], args[1], EQUAL[name]) if two else None
    if name == "assertIn" and two:
        return _member(args[0])
    if name == "assertTrue" and plain and args and isinstance(args[0], ast.Compare):
        found = _truth(args[0])
        return found if found is None or found.kind != "negated" else Spot("renamed", method, name)
    if name in ORDER and two:
        found = _beyond(args[0], ORDER[name], args[1])
        if found:
            return found
    return Spot("renamed", method, name) if name in INVERSE else None
