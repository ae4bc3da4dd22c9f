"""Builds stand-in classes out of records. Names are all that is taken over; this side decides what each name does."""

from __future__ import annotations

import collections.abc
import datetime
import functools
import numbers
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_kinds as kinds
    from evoguard_sandbox.guest import split_names as words
    from evoguard_sandbox.guest import split_stock as stock
    from evoguard_sandbox.guest import split_wire as wire
    from evoguard_sandbox.guest.split_fields import VALUE_KINDS
    from evoguard_sandbox.guest.split_probe import FORWARD
    from evoguard_sandbox.guest.split_proxy import Link, Method, Px, PxMeta, link_of
else:
    import split_kinds as kinds
    import split_names as words
    import split_stock as stock
    import split_wire as wire
    from split_fields import VALUE_KINDS
    from split_probe import FORWARD
    from split_proxy import Link, Method, Px, PxMeta, link_of

Value = Any  # a class built at run time
_INHERITED = (*VALUE_KINDS, datetime.tzinfo)
ABSTRACT: dict[str, Value] = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (collections.abc, numbers)
    for name in module.__all__
    if name != "ByteString"  # deprecated
}
ABSTRACT["os.PathLike"] = os.PathLike
# Asked for by the interpreter itself or by Px; forwarding them would loop or lie.
_OWN = frozenset(
    words.listed(
        """__class__ __new__ __init__ __init_subclass__ __subclasshook__ __getattribute__ __getattr__ __setattr__
    __delattr__ __dir__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __sizeof__ __doc__ __class_getitem__
    __copy__ __hash__     __deepcopy__ __del__ __dict__ __weakref__ __module__ __slots__ __alloc__ __exit__"""
    )
)


def _forwarded(name: str) -> Value:
    """Return what stands in a class for `name`: an operation, or an attribute that is asked for."""
    if name in FORWARD:
        return FORWARD[name]

    def read(self: Value) -> Value:
        if name in type(self)._split_methods:
            return Method(link_of(self), self, name)
        return link_of(self).ask("get", self, name)

    def store(self: Value, value: Value) -> None:
        link_of(self).ask("set", self, name, value)

    return property(read, store)


def _field(flag: str) -> tuple[str, Value]:
    """Return the name of a tuple's field, and what reads it here, from the value. Raises: ValueError, WireError."""
    _, at, name = flag.split(" ", 2)
    place = int(at)
    if name.startswith("_"):
        raise wire.WireError("a field that hides a special name")
    return name, property(lambda self: tuple.__getitem__(self, place))


def _of_zone(name: str) -> Value:
    """Return a method of a time zone, which the library calls with whatever is compared, printed or converted."""

    def ask(self: Value, moment: Value) -> Value:
        link_of(self).show(moment)
        return link_of(self).ask("meth", self, name, moment)

    return ask


@functools.cache
def container_class(kind: type) -> Value:
    """Return a class that is a `kind` for isinstance, and asks for everything a `kind` can do."""
    space: dict[str, Value] = {name: _forwarded(name) for name in dir(kind) if name not in _OWN}
    if kind.__hash__ is None:
        space["__hash__"] = None
    space["_split_methods"] = frozenset(name for name in dir(kind) if not name.startswith("_"))
    space["_split_level"] = kinds.DECIDES
    return type.__new__(PxMeta, kind.__name__, (kind, Px), space)


def _bases(known: dict[int, Value], packed: Value) -> list[Value]:
    """Return the bases of a record: classes given before, or types of the short table."""
    found: list[Value] = []
    for base in packed:
        if type(base) is int:
            found.append(known[base])
            continue
        kind = stock.NAMED[base]
        if kind in stock.CONTAINERS:
            kind = container_class(kind)
        elif not (isinstance(kind, type) and (issubclass(kind, BaseException) or kind in _INHERITED)):
            raise wire.WireError("a base that cannot be inherited")
        found.append(kind)
    return found


def _operations(special: Value, over: Value, flags: Value, kind: Value) -> dict[str, Value]:
    """Return what a class forwards; `kind` is what it is a value of, or None.

    How a value is counted out and hashed is its kind's own doing, whatever it or another base of it says: else it
    could be another one each time.
    """
    space: dict[str, Value] = {n: FORWARD[n] for n in wire.names(special)}
    space |= {n: _forwarded(n) for n in wire.names(over) if n in FORWARD or not n.startswith(("__", "_split"))}
    if "unhashable" in wire.names(flags):
        space["__hash__"] = None
    elif "__eq__" in space and "__hash__" not in space:
        space["__hash__"] = object.__hash__
    elif kind is not None and "__eq__" not in space:
        space["__hash__"] = kind.__hash__
    if hasattr(kind, "__iter__"):
        space["__iter__"] = kind.__iter__
        space.pop("__length_hint__", None)
        if hasattr(kind, "__getitem__"):
            space["__reversed__"] = lambda self: reversed(kind.__getitem__(self, slice(None)))
    return space


def build(link: Link, known: dict[int, Value], record: Value) -> None:
    """Add one class to `known`. Raises: WireError and the like when the record is not one."""
    number, name, qualified, module, bases, special, methods, over, abstract, flags = record
    if type(number) is not int or number < 0 or number in known:
        raise wire.WireError("a class defined twice or never")
    wire.names([name, qualified, module])
    parents = _bases(known, bases)
    kind = next((kind for base in parents for kind in base.__mro__ if kind in VALUE_KINDS), None)
    space = _operations(special, over, flags, kind)
    space |= {
        **dict(_field(flag) for flag in flags if flag.startswith("field ")),
        "__module__": module,
        "__qualname__": qualified,
        "_split_link": link,
        "_split_number": number,
        "_split_asks": False,
        "_split_steps": "__next__" in special,
        "_split_valued": kind is not None,
        "_split_counts": kinds.counts(special, over) if kind is None else frozenset(),
    }
    if any(issubclass(base, datetime.tzinfo) for base in parents):
        space |= {n: _of_zone(n) for n in words.OF_ZONES if n in over}
    inherited = [getattr(base, "_split_methods", ()) for base in parents]
    space["_split_methods"] = frozenset(wire.names(methods)).union(*inherited)
    own = kinds.level(special, methods, over, valued=kind is not None)
    space["_split_level"] = max([own, *(getattr(base, "_split_level", kinds.PLAIN) for base in parents)])
    if not any(isinstance(base, PxMeta) for base in parents):
        parents.append(Px)
    try:
        made = type.__new__(PxMeta, name, tuple(parents), space)
    except TypeError:  # an order of bases that holds over there and not here: then it is an object like others
        made = type.__new__(PxMeta, name, (Px,), {**space, "_split_level": kinds.DECIDES})
    known[number] = made  # first: who is registered is asked what it has, and that may be refused
    for each in wire.names(abstract):
        ABSTRACT[each].register(made)
    if "asks" in flags and not abstract:  # an abstract type asks all that were registered about any type
        type.__setattr__(made, "_split_asks", True)


def _meta(name: str) -> None:
    setattr(PxMeta, name, FORWARD[name])


for _name in words.OF_CLASSES:
    _meta(_name)
