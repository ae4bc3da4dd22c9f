"""On the hostile side: stand-ins for what the trusted side lent. They can only ask for what was offered."""

from __future__ import annotations

import builtins
import contextlib
import datetime
import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

Value = Any  # what the code under test does with a callback
Ask = Callable[..., Value]


class Borrowed:
    """Something of the other side, by number."""

    _ask: Ask
    _at: int

    def __getattr__(self, name: str) -> Value:
        ask, at = self.__dict__["_ask"], self.__dict__["_at"]
        return ask("get", at, name, (), {})


def _special(name: str) -> Callable[..., Value]:
    def operate(self: Borrowed, *args: Value, **kwargs: Value) -> Value:
        return self._ask("du", self._at, name, args, kwargs)

    operate.__name__ = name
    return operate


@functools.cache
def _class(special: tuple[str, ...]) -> type:
    space: dict[str, Value] = {name: _special(name) for name in special}
    if "__eq__" in space and "__hash__" not in space:
        space["__hash__"] = object.__hash__
    return type("object", (Borrowed, datetime.tzinfo) if "utcoffset" in special else (Borrowed,), space)


def borrow(ask: Ask, at: int, special: tuple[str, ...]) -> Borrowed:
    """Return a stand-in for the thing with this number."""
    made: Borrowed = _class(special)()
    made.__dict__.update(_ask=ask, _at=at)
    return made


@functools.cache
def _error_class(base: type) -> type:
    return type(base.__name__, (base,), {"__module__": base.__module__})


def borrow_error(at: int, base: str, args: list[Value]) -> BaseException:
    """Return an error that stands for one of the other side, of the same kind for `except`."""
    kind: Value = _error_class(library(base))
    made: BaseException = kind.__new__(kind, *args)
    with contextlib.suppress(TypeError):
        kind.__init__(made, *args)  # a StopIteration without a value crashes the interpreter
    made.__dict__["_at"] = at
    return made


def library(name: str) -> Value:
    """Return what the standard library holds under a name. Raises: ImportError, AttributeError."""
    module, _, inner = name.partition(":")
    if module.partition(".")[0] not in sys.stdlib_module_names:
        raise ImportError(name)
    found: Value = builtins if module == "builtins" else importlib.import_module(module)
    for part in inner.split(".") if inner else ():
        found = getattr(found, part)
    return found
