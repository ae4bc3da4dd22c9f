"""On the hostile side: the numbers of objects, and the records that describe classes to the other side."""

from __future__ import annotations

import collections
import collections.abc
import functools
import numbers
import os
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_names as words
    from evoguard_sandbox.guest import split_stock as stock
    from evoguard_sandbox.guest import split_wire as wire
    from evoguard_sandbox.guest.split_borrow import Borrowed, borrow, borrow_error, library
    from evoguard_sandbox.guest.split_fields import FIELDS
else:
    import split_names as words
    import split_stock as stock
    import split_wire as wire
    from split_borrow import Borrowed, borrow, borrow_error, library
    from split_fields import FIELDS

Value = Any  # the code under test's own objects
_FIELD: Value = type(vars(collections.namedtuple("_Field", "at"))["at"])
STOCK = sys.stdlib_module_names
VALUES: tuple[tuple[type, Callable[[Value], Value]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: b"".join([value, b""])),
    (tuple, lambda value: tuple(list(tuple.__iter__(value)))),
    (frozenset, lambda value: frozenset(list(frozenset.__iter__(value)))),
    *((kind, lambda value, kind=kind: _base_moment(kind, value)) for kind in list(FIELDS)[:4]),
)
VALUE_KINDS = [kind for kind, _ in VALUES]
_STEPS: tuple[Value, ...] = ([], (), {}, set(), {}.values(), {}.items(), "a", range(1), b"")
BOUND = (types.MethodType, types.BuiltinMethodType, type((1).__add__))
STEPPED = frozenset(type(iter(each)) for each in _STEPS)
ABSTRACT: dict[int, str] = {
    id(getattr(module, name)): f"{module.__name__}.{name}"
    for module in (collections.abc, numbers)
    for name in module.__all__
    if name != "ByteString"
}
ABSTRACT[id(os.PathLike)] = "os.PathLike"


def _base_moment(kind: Value, value: Value) -> Value:
    return kind(*[getattr(value, name) for name in _PARTS[kind][0]], **{n: getattr(value, n) for n in _PARTS[kind][1]})


_DAY, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second", "microsecond", "tzinfo")
_PARTS: dict[Value, tuple[tuple[str, ...], tuple[str, ...]]] = dict(
    zip(
        list(FIELDS)[:4],
        (
            ((*_DAY, *_CLOCK), ("fold",)),
            (_DAY, ()),
            (_CLOCK, ("fold",)),
            (("days", "seconds", "microseconds"), ()),
        ),
        strict=True,
    )
)


def _home(kind: type) -> str:
    return str(kind.__dict__.get("__module__", "")).partition(".")[0]


def _is_stock(kind: type) -> bool:
    return _home(kind) in STOCK or kind.__module__ == "builtins"


def _inheritable(kind: type) -> bool:
    """Tell whether the other side builds on this type itself."""
    named = id(kind) in stock.NAME_OF
    return named and (kind in VALUE_KINDS or kind in stock.STORAGES or issubclass(kind, BaseException))


def record(hold: Hold, kind: type, number: int) -> list[Value]:
    """Describe a class: bases, special methods, methods, and what overrides a type of the library."""
    line = type.__dict__["__mro__"].__get__(kind)
    bases: list[Value] = []
    for base in kind.__bases__:
        if _inheritable(base):
            bases.append(stock.NAME_OF[id(base)])
        elif _is_stock(base) and not issubclass(base, BaseException):  # an IntEnum is an int all the same
            bases += [stock.NAME_OF[id(part)] for part in base.__mro__ if part is not object and _inheritable(part)][:1]
        else:
            bases.append(hold.class_number(base))
    own = [part for part in line if part is not object and not _inheritable(part)]
    names: dict[str, Value] = {}
    for part in own:
        for name, value in part.__dict__.items():
            names.setdefault(name, value)
    offered = words.DUNDERS if _is_stock(kind) else (*words.DUNDERS, *words.DESCRIPTOR)
    less = words.COMPARING if kind in BOUND else ()  # a bound method may take a function's place
    special = [name for name in offered if names.get(name) is not None and name not in less]
    plain = [name for name in names if type(name) is str and not name.startswith("__")]
    methods = [name for name in plain if type(names[name]) is types.FunctionType]
    inherited = {name for part in line if part is not object and _inheritable(part) for name in dir(part)}
    abstract = [ABSTRACT[id(part)] for part in line if id(part) in ABSTRACT]
    flags = ["unhashable"] if kind.__hash__ is None else []
    if any(not _is_stock(p) and "__subclasshook__" in p.__dict__ for p in line) or getattr(kind, "_is_protocol", False):
        flags.append("asks")
    fields = {name: names[name] for name in plain if name in inherited and type(names[name]) is _FIELD}
    flags += [f"field {field.__reduce__()[1][0]} {name}" for name, field in fields.items()]
    over = [name for name in plain if name in inherited and name not in fields]
    texts = [str(kind.__name__)[:300], str(kind.__qualname__)[:300], str(kind.__module__)[:300]]
    return [number, *texts, bases, special, methods[:3000], over, abstract, flags]


class Hold:
    """The objects that the other side knows by number; each stays for as long as it does."""

    def __init__(self, packages: list[str], ask: Callable[..., Value]) -> None:
        self.packages = frozenset(packages)
        self.ask = ask
        self.objects: dict[int, Value] = {}
        self.numbers: dict[int, int] = {}
        self.counts: dict[int, int] = {}
        self.next = 0
        self.described: set[int] = set()
        self.fresh: list[list[Value]] = []
        self.borrowed: dict[int, Borrowed] = {}
        self.level = 0
        self.unpackers: dict[str, Callable[[wire.Unpack, list[Value]], Value]] = {
            "n": lambda _, p: library(p[1]),
            "M": lambda _, p: sys.modules[p[1]],
            "P": lambda _, p: self.objects[p[1]],
            "W": lambda into, p: getattr(into.value(p[1]), p[2]),
            "w": self._make,
            "L": self._lent,
            "e": lambda into, p: borrow_error(p[1], p[2], into.values(p[3:])),
        }

    def _make(self, into: wire.Unpack, packed: list[Value]) -> Value:
        _, how, function, args, kwargs = packed
        function, args, kwargs = into.value(function), into.value(args), into.value(kwargs)
        return functools.partial(function, *args, **kwargs) if how == "partial" else function(*args, **kwargs)

    def _lent(self, _into: wire.Unpack, packed: list[Value]) -> Value:
        _, at, _kind, special = packed
        if at not in self.borrowed:
            self.borrowed[at] = borrow(self.ask, at, tuple(special))
        return self.borrowed[at]

    def number(self, value: Value, *, sent: bool = True) -> int:
        """Return the number of an object, counting that it is sent."""
        at = self.numbers.get(id(value))
        if at is None:
            at, self.next = self.next, self.next + 1
            self.numbers[id(value)], self.objects[at] = at, value
        if sent:
            self.counts[at] = self.counts.get(at, 0) + 1
        return at

    def drop(self, at: int, count: int) -> None:
        """Forget an object when the other side let go of it as often as it was sent."""
        self.counts[at] = self.counts.get(at, 0) - count
        if self.counts[at] <= 0 and at not in self.described:
            del self.counts[at]
            self.numbers.pop(id(self.objects.pop(at)), None)

    def class_number(self, kind: type) -> int:
        """Return the number of a class, describing it when it is new; its bases come first."""
        at = self.number(kind, sent=False)
        if at not in self.described:
            self.described.add(at)
            self.fresh.append(record(self, kind, at))
        return at

    def take_fresh(self) -> list[list[Value]]:
        """Return the descriptions that the other side does not have yet."""
        fresh, self.fresh = self.fresh, []
        return fresh

    def pack(self, out: wire.Pack, value: Value) -> Value:
        """Return the JSON of what does not travel by value."""
        known = self._pack_known(value)
        if known is not None:
            return known
        kind = type(value)
        if kind in STEPPED:
            return ["I", *out.values(value)]
        if issubclass(kind, BaseException):
            return self._pack_error(out, value, kind)
        for base, plain in VALUES:
            if issubclass(kind, base):
                return ["V", self.number(value), self.class_number(kind), out.value(plain(value))]
        return ["O", self.number(value), self.class_number(kind)]

    def _pack_known(self, value: Value) -> Value:
        """Return what has a name or is no object of its own, or None."""
        name = stock.NAME_OF.get(id(value))
        if name is not None and stock.NAMED[name] is value:
            return ["n", name]
        kind = type(value)
        if issubclass(kind, Borrowed):
            return ["L", value.__dict__["_at"]]
        if kind is types.ModuleType and value.__name__.partition(".")[0] in self.packages:
            return ["M", value.__name__]
        if issubclass(kind, type):
            return ["K", self.class_number(value)]
        return None

    def _pack_error(self, out: wire.Pack, error: Value, kind: type) -> Value:
        if "_at" in error.__dict__:
            return ["L", error.__dict__["_at"]]
        name = stock.NAME_OF.get(id(kind))
        packed = ["n", name] if name else ["K", self.class_number(kind)]
        notes = [str(note)[:300] for note in error.__dict__.get("__notes__", ())]
        cause = error.__cause__
        args = list(BaseException.args.__get__(error))  # type: ignore[attr-defined]  # a slot of the interpreter
        return ["X", None if name else self.number(error), packed, out.values(args), out.value(cause), notes]
