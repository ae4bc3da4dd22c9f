"""A gate taken out of the running program: one condition of one function, or one rule, in this process's memory only.

The function's own source is read, the condition is replaced, the result is compiled and put in the function's place;
nothing is written. A condition that is not found is an error: the table then speaks of a gate that is not there.
"""

from __future__ import annotations
import __future__

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import CodeType, FunctionType

from evoguard.adapters import latches
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.verdict import Decision
from evoguard.errors import IntegrityError

_FLAGS = __future__.annotations.compiler_flag


@dataclass(frozen=True, slots=True)
class Cut:
    """One expression of one function, and what stands there once the gate is gone."""

    place: str
    """`module:function` or `module:Class.method`."""
    of: str
    becomes: str = "False"

    def __str__(self) -> str:
        return f"`{self.of}` reads {self.becomes}"


@dataclass(frozen=True, slots=True)
class Silent:
    """One rule that finds nothing: its findings are taken out of the engine's answer."""

    code: str

    @property
    def place(self) -> str:
        """Return where the rule stands."""
        return f"policies/{self.code.replace('.', '/')}.rego"

    def __str__(self) -> str:
        return f"the rule {self.code} is silent"


Removal = Cut | Silent


@contextmanager
def removed(removals: Iterable[Removal]) -> Iterator[None]:
    """Take gates out for as long as the block runs. Raises: IntegrityError when one is not where it should be."""
    cuts: dict[str, dict[str, str]] = {}
    codes: set[str] = set()
    for one in removals:
        if isinstance(one, Silent):
            codes.add(one.code)
        else:
            cuts.setdefault(one.place, {})[one.of] = one.becomes
    with ExitStack() as stack:
        stack.callback(_forget)
        for place, changes in cuts.items():
            stack.enter_context(_without(place, changes))
        if codes:
            stack.enter_context(_silenced(frozenset(codes)))
        _forget()
        yield


def function_at(place: str) -> FunctionType:
    """Return the function at `module:qualname`. Raises: IntegrityError when there is none."""
    module, _, name = place.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = inspect.getattr_static(found, part)
    except (ImportError, AttributeError) as err:
        raise _gone(place, "there is no such function") from err
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, functools.cached_property):
        found = found.func
    plain = inspect.unwrap(found) if callable(found) else found
    if not isinstance(plain, FunctionType):
        raise _gone(place, "it is no function")
    return plain


@contextmanager
def _without(place: str, changes: Mapping[str, str]) -> Iterator[None]:
    function = function_at(place)
    before = function.__code__
    function.__code__ = _compiled(place, function, changes)
    try:
        yield
    finally:
        function.__code__ = before


def _compiled(place: str, function: FunctionType, changes: Mapping[str, str]) -> CodeType:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for of, becomes in changes.items():
        swap = _Swap(ast.dump(_expression(of)), _expression(becomes))
        swap.visit(tree)
        if not swap.found:
            raise _gone(place, f"it holds no `{of}`")
    (top,) = tree.body
    if not isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef):
        raise _gone(place, "its source is no function")
    top.decorator_list = []
    whole = compile(ast.fix_missing_locations(tree), function.__code__.co_filename, "exec", _FLAGS, dont_inherit=True)
    code = next(c for c in whole.co_consts if isinstance(c, CodeType) and c.co_name == top.name)
    if code.co_freevars != function.__code__.co_freevars:
        raise _gone(place, "it closes over other names")
    return code


class _Swap(ast.NodeTransformer):
    def __init__(self, wanted: str, becomes: ast.expr) -> None:
        self._wanted, self._becomes = wanted, becomes
        self.found = 0

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and ast.dump(node) == self._wanted:
            self.found += 1
            return self._becomes
        visited: ast.AST = self.generic_visit(node)
        return visited


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@contextmanager
def _silenced(codes: frozenset[str]) -> Iterator[None]:
    spoken = OpaWasmPolicies._decide

    def silent(self: OpaWasmPolicies, stage: str, raw: bytes) -> Decision:
        said = spoken(self, stage, raw)
        deny, escalate, notes = (
            tuple(f for f in found if f.code not in codes) for found in (said.deny, said.escalate, said.notes)
        )
        return replace(said, allow=not deny, deny=deny, escalate=escalate, notes=notes)

    OpaWasmPolicies._decide = silent  # type: ignore[method-assign]
    try:
        yield
    finally:
        OpaWasmPolicies._decide = spoken  # type: ignore[method-assign]


def _forget() -> None:
    """What was believed without a gate must not be remembered with it."""
    for cache in (latches._latch_from, latches._read_command, latches._fingerprint):
        cache.cache_clear()


def _gone(place: str, why: str) -> IntegrityError:
    return IntegrityError(f"{place}: {why}", code="exam.gate_gone", fix="the table of gates is out of date")
