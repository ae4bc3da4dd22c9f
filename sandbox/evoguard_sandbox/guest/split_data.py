"""What the trusted side can say of a stand-in by itself, from data: then nobody asks the code how it compares.

A stand-in of a kind of int, text, tuple and the like holds its value here. What a container holds is fetched before
the other operand has been seen over there, so it cannot be made to fit.
"""

from __future__ import annotations

import collections
import itertools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest.split_fields import FIELDS, VALUE_KINDS
    from evoguard_sandbox.guest.split_proxy import PxMeta, link_of
    from evoguard_sandbox.guest.split_stock import CONTAINERS
else:
    from split_fields import FIELDS, VALUE_KINDS
    from split_proxy import PxMeta, link_of
    from split_stock import CONTAINERS

Value = Any  # a stand-in, or a plain value
MOST_ITEMS = 10_000
COMPARE: dict[str, Callable[[Value, Value], Value]] = {
    "__eq__": operator.eq,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
}
UNKNOWN = object()
_BASE: dict[type, Callable[[Value], Value]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.__add__(value, b""),
    tuple: lambda value: (*tuple.__iter__(value),),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}


def is_own(value: Value) -> bool:
    """Tell whether a value is a stand-in of an object or a class of the other side."""
    return isinstance(type(value), PxMeta) or isinstance(value, PxMeta)


def data_of(value: Value) -> Value:
    """Return what a stand-in holds as a value of this side, other values as they are; `UNKNOWN` when it holds no data.

    Raises: what the code's own iteration raised.
    """
    if not is_own(value):
        return value
    line = type(value).__mro__
    if isinstance(value, type):
        return UNKNOWN
    base = next((kind for kind in VALUE_KINDS if kind in line), None)
    if base is not None:
        return _BASE[base](value) if base in _BASE else FIELDS[base][2](*FIELDS[base][1](value))
    kind = next((kind for kind in CONTAINERS if kind in line), None)
    if kind is None or type(value).__len__(value) > MOST_ITEMS:
        return UNKNOWN
    return _fetched(value, kind)


def counted(value: Value) -> Value:
    """Return what an object of the code's counts out, as a list, or `UNKNOWN` where that is not all that it does.

    Raises: what the code's own iteration raised.
    """
    ways: frozenset[str] = type(value)._split_counts if is_own(value) and not isinstance(value, type) else frozenset()
    if not ways:
        return UNKNOWN
    held = list(itertools.islice(iter(value), MOST_ITEMS + 1))
    whole = len(held) <= MOST_ITEMS and ("__len__" not in ways or len(value) == len(held))
    return held if whole else UNKNOWN


def _fetched(value: Value, kind: type) -> Value:
    """Return what a container holds, in one of ours."""
    link = link_of(value)
    if issubclass(kind, dict):
        pairs = [tuple(pair) for pair in link.ask("du", link.ask("meth", value, "items"), "__iter__")]
        return dict(pairs)
    items = list(link.ask("du", value, "__iter__"))
    plain = next(own for own in (bytearray, set, list, collections.deque) if issubclass(kind, own))
    return plain(items)


def by_data(name: str, left: Value, right: Value) -> Value:
    """Return how two values compare by what they hold, or `UNKNOWN`; never asks the code's own comparison of `left`."""
    try:
        held, other = data_of(left), data_of(right)
        if held is UNKNOWN or other is UNKNOWN:
            return UNKNOWN
        if name == "__contains__":
            return other in (list(held) if isinstance(held, dict | set) else held)
        return COMPARE[name](held, other)
    except Exception:  # noqa: BLE001 (an error of the candidate, or two kinds that have no order: no data)
        return UNKNOWN


def as_its_kind(name: str, left: Value, operands: tuple[Value, ...], said: Value) -> bool:
    """Tell whether the code says of a value that it holds here, and of others, what the value's own kind would say.

    Texts and rows of the code's own are often joined and scaled in another way: a test compares what comes of it.
    """
    if is_own(said) and isinstance(said, str | bytes | tuple | frozenset):
        return True
    known, held = by_operation(name, left, operands), data_of(said)
    return known is not UNKNOWN and type(known) is type(held) and bool(known == held)


def overrides(value: Value, name: str) -> bool:
    """Tell whether a value that is held here has a method of its own kind's name which the code may have replaced."""
    kind = next((kind for kind in VALUE_KINDS if kind in type(value).__mro__), None)
    return is_own(value) and kind is not None and hasattr(kind, name)


def by_operation(name: str, left: Value, operands: tuple[Value, ...]) -> Value:
    """Return what an operation gives with the value that a stand-in holds, or `UNKNOWN`."""
    base = next((kind for kind in VALUE_KINDS if kind in type(left).__mro__), None)
    if base is None or isinstance(left, type) or not hasattr(base, name):
        return UNKNOWN
    try:
        return getattr(base, name)(data_of(left), *operands)
    except Exception:  # noqa: BLE001 (an operation that is not for these values)
        return UNKNOWN
