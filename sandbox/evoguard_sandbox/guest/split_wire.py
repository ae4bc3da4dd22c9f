"""The wire of a split run: frames of JSON between two interpreters, and which values travel by value.

One side is trusted and decodes what a hostile side wrote. So the codec builds plain data and nothing else, every list
has a fixed shape, depth and size are bounded, and no name is looked up outside one short table.
Raises WireError, or one of `BROKEN`, on what is not of this wire: readers treat all alike.
"""

from __future__ import annotations

import base64
import collections
import json
import re
import select
import sys
import types
from collections.abc import Callable
from os import read, set_blocking, write
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evoguard_sandbox.guest.split_fields import FIELDS, zone_named
else:
    from split_fields import FIELDS, zone_named

Value = Any  # anything at all: tests hand over what they like
MOST_BYTES = 1 << 24
MOST_DEPTH = 80
BIG = 1 << 63
# What decoding of hostile data may raise; each of them means that the data is not of this wire.
BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, re.error)

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode


class WireError(Exception):
    """The other side broke the protocol."""


class GoneError(WireError):
    """The other side ended or fell silent: a crash or an endless loop of honest code looks just so."""


class DepthError(Exception):
    """A value of our own is too deep to travel."""


class Pipe:
    """Frames on two pipes. With `wait_ms` silence of that length is a GoneError."""

    def __init__(self, read_fd: int, write_fd: int, wait_ms: int | None = None) -> None:
        self.fds = (read_fd, write_fd)
        self.wait_ms = wait_ms
        self.held = bytearray()
        self.readable, self.writable = select.poll(), select.poll()
        self.readable.register(read_fd, select.POLLIN)
        self.writable.register(write_fd, select.POLLOUT)
        if wait_ms is not None:
            set_blocking(write_fd, False)

    def put(self, frame: list[Value]) -> None:
        """Write one frame."""
        data = _encode(frame).encode()
        if len(data) > MOST_BYTES:
            raise DepthError("a value too large to travel")
        view = memoryview(len(data).to_bytes(4, "big") + data)
        while view:
            try:
                view = view[write(self.fds[1], view) :]
            except BlockingIOError:
                if not self.writable.poll(self.wait_ms):
                    raise GoneError("the other side stopped reading") from None
            except BrokenPipeError:
                raise GoneError("the other side has ended") from None

    def get(self) -> list[Value]:
        """Return the next frame."""
        size = int.from_bytes(self._take(4), "big")
        if size > MOST_BYTES:
            raise WireError("a frame over the bound")
        try:
            frame = _decode(self._take(size).decode())
        except (ValueError, RecursionError):
            raise WireError("a frame that is no JSON") from None
        if type(frame) is not list or not frame:
            raise WireError("a frame of an unknown shape")
        return frame

    def idle(self) -> bool:
        """Tell whether nothing is waiting to be read. Raises: GoneError when nothing ever will be."""
        if not self.held and self.readable.poll(0):
            self._more()
        return not self.held

    def _more(self) -> None:
        data = read(self.fds[0], 1 << 16)
        if not data:
            raise GoneError("the other side has ended")
        self.held += data

    def _take(self, size: int) -> bytes:
        while len(self.held) < size:
            if self.wait_ms is not None and not self.readable.poll(self.wait_ms):
                raise GoneError("the other side fell silent")
            self._more()
        taken = bytes(self.held[:size])
        del self.held[:size]
        return taken


class Side(Protocol):
    """What an interpreter adds to the codec: its own objects."""

    level: int
    unpackers: dict[str, Callable[[Unpack, list[Value]], Value]]

    def pack(self, out: Pack, value: Value) -> Value:
        """Return the JSON of a value that does not travel by value."""


class Pack:
    """Turns the values of one message into JSON. Mutable containers are numbered, so that sharing survives."""

    __slots__ = ("depth", "given", "held", "plain", "seen", "side")

    def __init__(self, side: Side, given: list[Value] | None = None) -> None:
        self.side = side
        self.depth = 0
        self.plain = True
        self.seen: dict[int, int] = {}
        self.held: list[Value] = []
        self.given = {id(value): at for at, value in enumerate(given or ())}

    def value(self, value: Value) -> Value:
        """Return the JSON of one value. Raises: DepthError."""
        kind = type(value)
        if value is None or kind in _NATIVE:
            return value
        if kind is int:
            return value if -BIG < value < BIG else ["i", hex(value)]
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise DepthError("a value too deep to travel")
        make = _PACKERS.get(kind) or _late_packer(kind)
        made = make(self, value) if make else self.side.pack(self, value)
        self.depth -= 1
        return made

    def values(self, values: Value) -> list[Value]:
        """Return the JSON of each value."""
        return [self.value(value) for value in values]

    def pairs(self, items: Value) -> list[Value]:
        """Return keys and values, one after the other."""
        return [self.value(part) for pair in items for part in pair]


class Unpack:
    """Builds the values of one message; `given` are the containers which the other side may refer to."""

    __slots__ = ("depth", "given", "held", "side")

    def __init__(self, side: Side, given: list[Value] | None = None) -> None:
        self.side = side
        self.depth = 0
        self.held: list[Value] = []
        self.given = given or []

    def value(self, packed: Value) -> Value:
        """Return one value."""
        if type(packed) is not list:
            if type(packed) is dict:
                raise WireError("an unknown tag")
            return packed
        tag = packed[0]
        make = UNPACKERS.get(tag) or self.side.unpackers.get(tag)
        if make is None:
            raise WireError("an unknown tag")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise WireError("a value too deep")
        made = make(self, packed)
        self.depth -= 1
        return made

    def values(self, packed: Value) -> list[Value]:
        """Return the values of a list."""
        if type(packed) is not list:
            raise WireError("a list was expected")
        return [self.value(part) for part in packed]

    def pairs(self, packed: Value) -> list[tuple[Value, Value]]:
        """Return the pairs of a flat list."""
        flat = self.values(packed)
        return list(zip(flat[::2], flat[1::2], strict=True))

    def keep(self, container: Value) -> Value:
        """Number a new container before its content is read: the content may refer to it."""
        self.held.append(container)
        return container


def pick(values: list[Value], at: Value) -> Value:
    """Return `values[at]` for a true index. Raises: WireError."""
    if type(at) is not int or not 0 <= at < len(values):
        raise WireError("an index never given")
    return values[at]


def names(packed: Value, most: int = 4000) -> list[str]:
    """Return a list of strings. Raises: WireError."""
    if type(packed) is not list or len(packed) > most or not all(type(n) is str and len(n) <= 300 for n in packed):
        raise WireError("a list of names was expected")
    return packed


_NATIVE = frozenset({bool, float, str})


def contents(out: Pack, container: Value) -> Value:
    """Return the JSON of what a mutable container holds."""
    if isinstance(container, bytearray):
        return base64.b64encode(container).decode()
    return out.pairs(dict.items(container)) if isinstance(container, dict) else out.values(container)


def fill(into: Unpack, container: Value, packed: Value) -> None:
    """Make `container` hold exactly what was packed."""
    if isinstance(container, dict):
        pairs = into.pairs(packed)
        container.clear()
        for key, value in pairs:
            container[key] = value
        return
    new = base64.b64decode(packed, validate=True) if isinstance(container, bytearray) else into.values(packed)
    container.clear()
    (container.update if isinstance(container, set) else container.extend)(new)


_MAKERS: dict[str, Callable[[Value], Value]] = {
    "l": lambda _: [],
    "d": lambda _: {},
    "s": lambda _: set(),
    "B": lambda _: bytearray(),
    "od": lambda _: collections.OrderedDict(),
    "co": lambda _: collections.Counter(),
    "dd": collections.defaultdict,
    "dq": lambda most: collections.deque(maxlen=most),
}


def _container(tag: str, extra: str = "") -> Callable[[Pack, Value], Value]:
    def make(out: Pack, value: Value) -> Value:
        at = out.seen.get(id(value))
        if at is not None:
            return ["r", at]
        at = out.given.get(id(value))
        if at is not None:
            return ["a", at]
        out.seen[id(value)] = len(out.held)
        out.held.append(value)
        more = out.value(getattr(value, extra)) if extra else None
        return [tag, more, contents(out, value)]

    return make


def _fielded(tag: str, fields: Callable[[Value], list[Value]]) -> Callable[[Pack, Value], Value]:
    return lambda out, value: [tag, *out.values(fields(value))]


def _late_packer(kind: type) -> Callable[[Pack, Value], Value] | None:
    """Return how a time zone by name travels; its module is not loaded for those who have none."""
    if kind.__name__ != "ZoneInfo" or kind is not getattr(sys.modules.get("zoneinfo"), "ZoneInfo", None):
        return None
    return _PACKERS.setdefault(kind, _pack_zone)


def _pack_zone(out: Pack, zone: Value) -> Value:
    return ["zi", zone.key] if zone.key is not None else out.side.pack(out, zone)


def _make_zone(_into: Unpack, packed: list[Value]) -> Value:
    _, key = packed
    return zone_named(key)


def _make_container(into: Unpack, packed: list[Value]) -> Value:
    tag, more, content = packed
    level = into.side.level  # a type that makes missing items is none of the items
    made = into.keep(_MAKERS[tag](into.value(more)))
    if tag == "dd" and type(more) is list and more[0] == "n":
        into.side.level = level
    fill(into, made, content)
    return made


def _make_fielded(make: Callable[..., Value]) -> Callable[[Unpack, list[Value]], Value]:
    return lambda into, packed: make(*into.values(packed[1:]))


_PACKERS: dict[type, Callable[[Pack, Value], Value]] = {
    bytes: lambda _, v: ["b", base64.b64encode(v).decode()],
    tuple: lambda out, v: ["t", *out.values(v)],
    frozenset: lambda out, v: ["z", *out.values(v)],
    type(...): lambda *_: ["E"],
    type(NotImplemented): lambda *_: ["N"],
    types.MappingProxyType: lambda out, v: ["mp", out.value(dict(v))],
    type({}.keys()): lambda out, v: ["dk", *out.values(v)],
    type({}.values()): lambda out, v: ["dv", *out.values(v)],
    type({}.items()): lambda out, v: ["di", *out.pairs(v)],
    list: _container("l"),
    dict: _container("d"),
    set: _container("s"),
    bytearray: _container("B"),
    collections.OrderedDict: _container("od"),
    collections.Counter: _container("co"),
    collections.defaultdict: _container("dd", "default_factory"),
    collections.deque: _container("dq", "maxlen"),
    **{kind: _fielded(tag, fields) for kind, (tag, fields, _) in FIELDS.items()},
}
UNPACKERS: dict[str, Callable[[Unpack, list[Value]], Value]] = {
    "i": lambda _, p: int(p[1], 16),
    "b": lambda _, p: base64.b64decode(p[1], validate=True),
    "t": lambda into, p: tuple(into.values(p[1:])),
    "z": lambda into, p: frozenset(into.values(p[1:])),
    "E": lambda *_: ...,
    "N": lambda *_: NotImplemented,
    "mp": lambda into, p: types.MappingProxyType(dict(into.value(p[1]))),
    "dk": lambda into, p: dict.fromkeys(into.values(p[1:])).keys(),
    "dv": lambda into, p: dict(enumerate(into.values(p[1:]))).values(),
    "di": lambda into, p: dict(into.pairs(p[1:])).items(),
    "r": lambda into, p: pick(into.held, p[1]),
    "a": lambda into, p: pick(into.given, p[1]),
    "zi": _make_zone,
    **{tag: _make_container for tag in _MAKERS},
    **{tag: _make_fielded(make) for tag, _, make in FIELDS.values()},
}
