"""Which object of this side stands for which of the other: the tables of a connection, and their part of the codec."""

from __future__ import annotations

import contextlib
import functools
import operator
import re
import sys
import types
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_kinds as kinds
    from evoguard_sandbox.guest import split_lend as lending
    from evoguard_sandbox.guest import split_names as words
    from evoguard_sandbox.guest import split_proxy as proxy
    from evoguard_sandbox.guest import split_stars as stars
    from evoguard_sandbox.guest import split_stock as stock
    from evoguard_sandbox.guest import split_wire as wire
    from evoguard_sandbox.guest.split_fields import FIELDS, VALUE_KINDS
else:
    import split_kinds as kinds
    import split_lend as lending
    import split_names as words
    import split_proxy as proxy
    import split_stars as stars
    import split_stock as stock
    import split_wire as wire
    from split_fields import FIELDS, VALUE_KINDS

Value = Any  # whatever tests and the candidate exchange
MOST_PINNED = 20_000
_LEVELS = {"function": kinds.CALLED, "class": kinds.CALLED, "iterator": kinds.PLAIN, "error": kinds.PLAIN}
"""What something lent is when it comes back."""
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_REBUILT = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
_LOCAL = frozenset(("__spec__", "__loader__", "__package__", "__path__", "__file__", "__cached__"))
_space: Value = vars(types.ModuleType)["__dict__"]
_own = _space.__get__  # the true namespace of a module


class ProxyModule(types.ModuleType):
    """A module of the other side."""

    def __init__(self, name: str, link: Value) -> None:
        super().__init__(name)
        # A path of no file: one that the other side chose could be that of a test, and then its answers would be tests.
        _own(self).update(_split_link=link, __path__=[], __file__=f"/split/{name}/__init__.py")
        del _own(self)["__doc__"]

    @property
    def __dict__(self) -> Value:  # type: ignore[override]  # what the candidate's module holds
        link, held = _own(self)["_split_link"], proxy.Own(_own(self)["_split_link"], self)
        return stars.spread(link, held, sys._getframe(1))

    def __getattr__(self, name: str) -> Value:
        if words.private(name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = _own(self)["_split_link"].ask("get", self, name)
        return value if name != "__all__" else stars.listed(_own(self)["_split_link"], value, sys._getframe(1))

    def __setattr__(self, name: str, value: Value) -> None:
        if name in _LOCAL:
            _own(self)[name] = value
        elif not (isinstance(value, ProxyModule) and value.__name__ == f"{self.__name__}.{name}"):
            _own(self)["_split_link"].ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        _own(self)["_split_link"].ask("del", self, name)

    def __dir__(self) -> Value:
        return _own(self)["_split_link"].ask("dir", self)


class Values:
    """Numbers and what they stand for. Everything that reads an answer raises WireError or one of `wire.BROKEN`."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)
        self.classes: dict[int, Value] = {}
        self.live: weakref.WeakValueDictionary[int, Value] = weakref.WeakValueDictionary()
        self.pinned: dict[int, Value] = {}
        self.where: dict[int, tuple[str, str]] = {}
        self.dropped: list[int] = []
        self.lent: list[lending.Lent] = []
        self.lent_at: dict[int, int] = {}
        self.modules: dict[str, types.ModuleType] = {}
        self.kinds = kinds.Kinds()
        self.level = kinds.PLAIN
        """The highest that was met since it was last reset."""
        self.inside = kinds.PLAIN
        """The highest that was met in the arguments of an error."""
        self.unpackers: dict[str, Callable[[wire.Unpack, list[Value]], Value]] = {
            "n": lambda _, p: self._met(stock.NAMED[p[1]], kinds.CALLED),
            "K": lambda _, p: self._met(self.classes[p[1]], kinds.CALLED),
            "M": lambda _, p: self._met(self.module(p[1]), kinds.FOREIGN),
            "L": self._returned,
            "I": lambda into, p: iter(into.values(p[1:])),
            "O": self._object,
            "V": self._valued,
            "X": self._error,
        }

    def refuse(self, what: str) -> proxy.UnsplitError:
        """Return what to raise for something that cannot cross."""
        raise NotImplementedError(what)

    def let_go(self, number: int, count: int) -> None:
        """Note that no stand-in is left of an object; the next question says so."""
        self.dropped += (number, count)

    # --- towards the other side
    def pack(self, out: wire.Pack, value: Value) -> Value:
        """Return the JSON of what does not travel by value. Raises: UnsplitError."""
        out.plain = False
        kind = type(value)
        if kind is types.TracebackType:
            return None
        if isinstance(kind, proxy.DeadMeta) or kind is proxy.DeadMeta:
            raise self.refuse("an object of a class that inherits from one of the candidate")
        known = self._pack_known(out, value, kind)
        if known is None and isinstance(value, BaseException):
            return self._pack_error(out, value)
        return known or self._pack_copy(out, value, kind) or self._pack_lent(value, kind)

    def _pack_known(self, out: wire.Pack, value: Value, kind: type) -> Value:
        """Return what the other side has itself, by number or by name, or None."""
        if isinstance(kind, proxy.PxMeta):
            return ["P", proxy.handle_of(value).number]
        if isinstance(value, proxy.PxMeta):
            return ["P", type.__getattribute__(value, "_split_number")]
        if kind is proxy.Method:
            return ["W", out.value(value._split_owner), value._split_name]
        if kind is ProxyModule:
            return ["M", value.__name__]
        name = lending.stock_name(value)
        return None if name is None else ["n", name]

    def _pack_copy(self, out: wire.Pack, value: Value, kind: type) -> Value:
        """Return what the other side can make again from parts, or None."""
        if kind is functools.partial:
            return ["w", *out.values(("partial", value.func, value.args, value.keywords))]
        if kind in _REBUILT:
            made_of, parts = value.__reduce__()
            return ["w", *out.values(("call", made_of, parts, {}))]
        base = next((b for b in VALUE_KINDS if b in kind.__mro__ and b not in (tuple, frozenset)), None)
        if base is None:
            return None
        if base in FIELDS:
            tag, fields, _ = FIELDS[base]
            return [tag, *out.values(fields(value))]
        return ["w", "call", out.value(base), out.value((base(value),)), out.value({})]

    def _pack_lent(self, value: Value, kind: type) -> Value:
        at = self.lent_at.get(id(value))
        if at is None:
            lent = lending.lend(value)
            if lent is None:
                raise self.refuse(f"a {kind.__module__}.{kind.__name__} cannot be handed over")
            at = self._number(lent)
        self.lent[at].turn = self.kinds.test
        return ["L", at, self.lent[at].kind, list(self.lent[at].special)]

    def _number(self, lent: lending.Lent) -> int:
        self.lent.append(lent)
        self.lent_at[id(lent.value)] = len(self.lent) - 1
        return len(self.lent) - 1

    def _pack_error(self, out: wire.Pack, error: BaseException) -> Value:
        at = self.lent_at.get(id(error))
        if at is None:
            at = self._number(lending.Lent(error, "error", ()))
        base = next(name for name in map(lending.stock_name, type(error).__mro__) if name)
        args = [arg if isinstance(arg, str | int | float | bytes | None) else str(arg) for arg in error.args]
        return ["e", at, base, *out.values(args)]

    # --- from the other side
    def _met(self, thing: Value, level: int) -> Value:
        self.level = max(self.level, level)
        return thing

    def _returned(self, _into: wire.Unpack, packed: list[Value]) -> Value:
        lent = wire.pick(self.lent, packed[1])
        return self._met(lent.value, _LEVELS.get(lent.kind, kinds.FOREIGN))

    def module(self, name: Value) -> types.ModuleType:
        """Return the stand-in of one of the named packages."""
        if type(name) is not str or len(name) > 300 or not _DOTTED.fullmatch(name):
            raise wire.WireError("no module name")
        if name.partition(".")[0] not in self.packages:
            raise wire.WireError("a module outside the packages")
        if name not in self.modules:
            self.modules[name] = ProxyModule(name, self)
        return self.modules[name]

    def _standing(self, number: Value, kind: Value) -> Value:
        """Return the stand-in that already stands for an object, or None."""
        if type(number) is not int or number < 0 or not isinstance(kind, proxy.PxMeta):
            raise wire.WireError("no object")
        found = self.live.get(number)
        found = self.pinned.get(number) if found is None else found
        if found is not None and type(found) is not kind:
            raise wire.WireError("an object of two classes")
        if found is not None:
            proxy.handle_of(found).count += 1
        return found

    def _keep(self, number: int, made: Value) -> Value:
        object.__setattr__(made, "_split_handle", proxy.Handle(self, number))  # type: ignore[arg-type]
        try:
            self.live[number] = made
        except TypeError:  # an int or a tuple takes no weak reference
            if len(self.pinned) < MOST_PINNED:
                self.pinned[number] = made
        return made

    def _object(self, _into: wire.Unpack, packed: list[Value]) -> Value:
        _, number, kind_number = packed
        kind = self.classes[kind_number]
        self._met(kind, kind._split_level)
        found = self._standing(number, kind)
        if found is not None:
            return found
        base: Value = next((b for b in kind.__mro__ if b in stock.STORAGES), object)
        made = base.__new__(kind)
        if base in stock.CONTAINERS:
            self._spoil(made, base)
        return self._keep(number, made)

    def _spoil(self, made: Value, base: Value) -> None:
        """Put something unusable in the storage: what reads it past the methods must not find it empty."""
        dregs = proxy.dead("storage", self)()  # type: ignore[arg-type]  # a Link is a Values
        if issubclass(base, dict):
            dict.__setitem__(made, dregs, dregs)
        elif base is bytearray:
            bytearray.extend(made, b"storage")
        else:
            (set.add if base is set else base.append)(made, dregs)

    def _valued(self, into: wire.Unpack, packed: list[Value]) -> Value:
        _, number, kind_number, plain = packed
        kind = self.classes[kind_number]
        self._met(kind, kind._split_level)
        value = into.value(plain)
        found = self._standing(number, kind)
        if found is not None:
            return found
        base: Value = next((b for b in VALUE_KINDS if b in kind.__mro__), None)
        if base is None or type(value) is not base:
            raise wire.WireError("a value of another kind")
        if base not in FIELDS:
            return self._keep(number, base.__new__(kind, value))
        fields = FIELDS[base][1](value)
        more = {"fold": fields.pop()} if hasattr(base, "fold") else {}
        return self._keep(number, base.__new__(kind, *fields, **more))

    def _error(self, into: wire.Unpack, packed: list[Value]) -> Value:
        _, number, packed_kind, packed_args, packed_cause, notes = packed
        level, kind = self.level, into.value(packed_kind)
        self.level = level if packed_kind[0] == "n" else max(level, kinds.DECIDES)
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise wire.WireError("an error class that is none")
        owned = isinstance(kind, proxy.PxMeta)
        found = self._standing(number, kind) if owned else None
        args = self._inside(into, packed_args)
        cause = into.value(packed_cause)
        if found is None:
            found = new_error(kind, args)
            if owned:
                self._keep(number, found)
        if cause is not None:
            BaseException.__setattr__(found, "__cause__", cause)
        for note in wire.names(notes) if not owned else ():
            BaseException.add_note(found, note)
        return found

    def _inside(self, into: wire.Unpack, packed: list[Value]) -> list[Value]:
        """Return the arguments of an error; what they are counts apart from the class of the error itself."""
        outer, self.level = self.level, kinds.PLAIN
        found = into.values(packed)
        self.inside = max(self.inside, self.level)
        self.level = max(outer, self.level)
        return found


def new_error(kind: type, args: list[Value]) -> Value:
    """Return an error made by the constructor of the library's class, never by one of the candidate."""
    base: Value = next(b for b in kind.__mro__ if issubclass(b, BaseException) and not isinstance(b, proxy.PxMeta))
    made = base.__new__(kind, *args)
    if base.__module__ == "builtins":  # a StopIteration without a value crashes the interpreter
        with contextlib.suppress(TypeError):  # a class of the candidate with arguments of its own
            base.__init__(made, *args)
    return made
