"""What the trusted side lends: its own functions, iterators, files and objects, by number.

The hostile side may do with a number what was said when it was handed over, and nothing more. Objects of the test
runner, modules and most objects of the standard library are never lent.
"""

from __future__ import annotations

import datetime
import io
import sys
import types
import unittest.mock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_names as words
    from evoguard_sandbox.guest import split_wire as wire
else:
    import split_names as words
    import split_wire as wire

Value = Any  # whatever tests hand over
_KEPT = (
    "pytest",
    "_pytest",
    "pluggy",
    "py",
    *(
        f"split_{n}"
        for n in words.listed("near link values proxy build probe doubt data fields kinds lend names stars stock wire")
    ),
)
_OPEN_STOCK = (types.SimpleNamespace, unittest.mock.NonCallableMock)
_ITERATOR = ("__iter__", "__next__", "__length_hint__")
_FILE = ("__iter__", "__next__", "__enter__", "__exit__")
_BUILTIN_SELVES = (list, dict, set, frozenset, str, bytes, bytearray, tuple, int, float)
STOCK = sys.stdlib_module_names


def _top(module: Value) -> str:
    return str(module).partition(".")[0]


def stock_name(value: Value) -> str | None:
    """Return the name under which the standard library holds `value` itself, or None."""
    if isinstance(value, types.ModuleType):
        own = value.__name__
        return own if _top(own) in STOCK and sys.modules.get(own) is value else None
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or _top(module) not in STOCK:
        return None
    seen: Value = sys.modules.get(module)
    for part in str(name).split("."):
        seen = getattr(seen, part, None)
    return f"{module}:{name}" if seen is value else None


class Lent:
    """One thing that was handed over, what may be done with it, and the test that handed it over last."""

    __slots__ = ("kind", "special", "turn", "value")

    def __init__(self, value: Value, kind: str, special: tuple[str, ...]) -> None:
        self.value, self.kind, self.special, self.turn = value, kind, special, ""

    def attribute(self, name: str) -> Value:
        """Return an attribute that may be read. Raises: AttributeError."""
        allowed = {
            "function": name in words.FUNCTION_WORDS,
            "file": name in words.FILE_WORDS,
            "iterator": name == "close" and isinstance(self.value, types.GeneratorType),
            "object": not name.startswith("_") and "pytest" not in name,
            "class": not name.startswith("_") and "pytest" not in name and name != "mro",
        }
        if not allowed.get(self.kind):
            raise AttributeError(name)
        found = getattr(self.value, name)
        if self.kind == "function" and isinstance(found, str) and "test" in found.lower():
            inner = found.rpartition(".")[2]  # the code under test must not learn that a test calls it
            return "function" if "test" in inner.lower() or name == "__doc__" else inner
        return found

    def used(self, test: str) -> str:
        """Return what it is called that a test has the code use what another has lent; "" where nothing is said."""
        return "" if self.turn in ("", test) else f"{test} lent {self.turn}"

    def shows(self, op: str, name: str, operands: list[Value]) -> str:
        """Return what the other side learns so of what a test keeps in an object of its own; "" for nothing.

        A table of cases holds what is expected, and the default of a callback's parameter does.
        """
        if self.kind == "function":
            return f"back {op} {name}" if name in words.DEFAULTS else ""
        if self.kind not in ("object", "class") or name == "__call__":
            return ""
        at = f" {operands[0]!r}" if name == "__getitem__" and type(operands[0]) in (int, str) else ""
        return f"back {op} {name}{at}"

    def operate(self, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
        """Do one of the special methods that were named when this was handed over. Raises: WireError."""
        if name not in self.special:
            raise wire.WireError("an operation that was never offered")
        if name == "__call__":
            return self.value(*args, **kwargs)
        return getattr(type(self.value), name)(self.value, *args)


def _special(kind: type) -> tuple[str, ...]:
    """Return the special methods that a class adds to `object`."""
    offered = (*words.DUNDERS, *words.DESCRIPTOR)
    return tuple(n for n in offered if getattr(kind, n, None) not in (None, getattr(object, n, None)))


def lend(value: Value) -> Lent | None:
    """Return `value` with what may be done with it; None when it must stay here."""
    kind = type(value)
    if _top(kind.__module__) in _KEPT:
        return None
    if isinstance(value, types.FunctionType | types.MethodType | types.BuiltinMethodType | type):
        return _callable(value)
    if _is_file(kind):
        return Lent(value, "file", _FILE)
    if kind is not object and _top(kind.__module__) in STOCK and not isinstance(value, _OPEN_STOCK):
        return Lent(value, "iterator", _ITERATOR) if hasattr(kind, "__next__") else None
    special = (*_special(kind), *(words.OF_ZONES if isinstance(value, datetime.tzinfo) else ()))
    # Lent once, it could come back as the answer to every later question.
    return None if "__eq__" in special and value == object() else Lent(value, "object", special)


def _callable(value: Value) -> Lent | None:
    """Return a function, a method or a class of the tests with its permission; None when it is somebody else's."""
    home = _top(value.__module__)
    if isinstance(value, types.FunctionType):
        stays = home in _KEPT
    elif isinstance(value, types.BuiltinMethodType):
        owner = type(value.__self__)
        stays = owner not in _BUILTIN_SELVES and not _is_file(owner)
    else:
        stays = home in _KEPT or home in STOCK
    if stays:
        return None
    return Lent(value, "class" if isinstance(value, type) else "function", ("__call__",))


def _is_file(kind: type) -> bool:
    return issubclass(kind, io.IOBase)
