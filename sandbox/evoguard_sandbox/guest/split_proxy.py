"""Stand-ins, on the trusted side, for classes and objects of the hostile side. They hold a number and ask.

Nothing here runs a byte of the candidate: every attribute, call and operation is a question, every answer is data.
"""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_names as words
else:
    import split_names as words

Value = Any  # a stand-in is whatever the candidate's object is


class TamperError(BaseException):
    """The hostile side broke the protocol or accepts anything. No `except Exception` of a test swallows it."""


class UnsplitError(BaseException):
    """This cannot be done across two processes; the test fails, and proves nothing of the candidate."""


class Link(Protocol):
    """What stand-ins need of the connection."""

    calls: int
    kinds: Value

    def ask(self, op: str, *args: Value) -> Value:
        """Do one thing on the other side."""

    def call(self, target: Value, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        """Call something of the other side."""

    def accuse(self, what: str) -> TamperError:
        """Return what to raise, for good."""

    def refuse(self, what: str) -> UnsplitError:
        """Return what to raise, once."""

    def lean(self, *, told: bool) -> None:
        """Note that the code's own comparison decides something."""

    def show(self, moment: Value) -> None:
        """Note that the code's own time zone is asked about a moment, which may be the one that a test expects."""

    def let_go(self, number: int, count: int) -> None:
        """Say that nothing here stands for this object any more."""


_OF_ERRORS = frozenset(("__traceback__", "__cause__", "__context__", "__suppress_context__", "__notes__"))


class Handle:
    """The number of an object over there, and how often it was received."""

    __slots__ = ("count", "hashed", "link", "number")

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number
        self.count = 1
        self.hashed: Value = None

    def __del__(self) -> None:
        self.link.let_go(self.number, self.count)


class Method:
    """A method of a stand-in, asked for by name only when it is called."""

    __slots__ = ("_split_link", "_split_name", "_split_owner")

    def __init__(self, link: Link, owner: Value, name: str) -> None:
        self._split_link, self._split_owner, self._split_name = link, owner, name

    def __call__(self, *args: Value, **kwargs: Value) -> Value:
        """Call it over there."""
        return self._split_link.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Value:
        if words.private(name):
            raise AttributeError(name)
        return self._split_link.ask("get", self, name)

    def __eq__(self, other: object) -> bool:
        same = type(other) is Method and other._split_owner is self._split_owner
        return same and other._split_name == self._split_name  # type: ignore[attr-defined]  # a Method by the line above

    def __hash__(self) -> int:
        return hash((id(self._split_owner), self._split_name))


class Own(collections.abc.Mapping[str, Value]):
    """The namespace of a class or a module over there; only what is looked up is asked for."""

    def __init__(self, link: Link, owner: Value) -> None:
        self.link, self.owner = link, owner

    def __getitem__(self, name: str) -> Value:
        if words.private(name):
            raise KeyError(name)
        return self.link.ask("own", self.owner, name)

    def __iter__(self) -> Value:
        return iter(self.link.ask("owned", self.owner))

    def __len__(self) -> int:
        return len(self.link.ask("owned", self.owner))


def number_of(value: Value) -> int | None:
    """Return the number of a stand-in, or of a stand-in's class; None for anything else."""
    if isinstance(value, PxMeta):
        number: int = type.__getattribute__(value, "_split_number")
        return number
    return handle_of(value).number if isinstance(type(value), PxMeta) else None


def is_object(value: Value) -> bool:
    """Tell whether a value is a stand-in that holds no value here, so that whoever gets it is told none."""
    kind = type(value)
    return isinstance(value, PxMeta) or (isinstance(kind, PxMeta) and not kind._split_valued)


def steps(value: Value) -> bool:
    """Tell whether a value stands for an iterator of the other side."""
    kind = type(value)
    return isinstance(kind, PxMeta) and kind._split_steps


class DeadMeta(type):
    """Makes the classes of `dead`."""


def dead(name: str, link: Link, cell: Value = None) -> type:
    """Return a class whose instances cannot be used; the module which makes them still loads."""

    def refuse(*_args: Value, **_kwargs: Value) -> Value:
        raise link.refuse("an object of a class that inherits from one of the candidate")

    def __getattr__(_self: Value, attribute: str) -> Value:  # noqa: N807 (it is one, of the class made here)
        if words.private(attribute) or attribute in words.READ:
            raise AttributeError(attribute)
        return refuse()

    quiet = ("__repr__", "__str__", "__hash__", "__format__")
    space: dict[str, Value] = {name: refuse for name in words.DUNDERS if name not in quiet}
    space |= {"__init__": lambda *_args, **_kwargs: None, "__getattr__": __getattr__, "__hash__": object.__hash__}
    if cell is not None:
        space["__classcell__"] = cell
    return DeadMeta(name, (), {**space, "_split_link": link})


_ANYTHING = words.listed(
    "__getattribute__ __setattr__ __delattr__ __dir__ __reduce_ex__ __await__ __aiter__ __anext__ __aenter__ __aexit__"
)


def sealed(link: Link, why: str, *, called: bool) -> Value:
    """Return an object of which nothing can be learnt but that it is one, and, if it is `called`, can be called."""

    def refuse(*_args: Value, **_kwargs: Value) -> Value:
        raise link.refuse(why)

    space: dict[str, Value] = dict.fromkeys((*words.DUNDERS, *_ANYTHING), refuse)
    if not called:
        del space["__call__"]
    return DeadMeta("sealed", (), space)()


_space = type.__dict__["__dict__"].__get__  # the true namespace of a class


def _held(cls: Value) -> Value:
    return Own(cls._split_link, cls) if "_split_number" in _space(cls) else _space(cls)


class PxMeta(type):
    """The class of stand-in classes."""

    _split_link: Link
    _split_number: int
    _split_methods: frozenset[str]
    _split_asks: bool
    _split_steps: bool
    _split_valued: bool

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Value]) -> Value:
        """Make a dead class: only `build` makes live ones."""
        link = next(base for base in bases if isinstance(base, PxMeta))._split_link
        return dead(name, link, space.get("__classcell__"))

    def __call__(cls, *args: Value, **kwargs: Value) -> Value:
        """Make an instance over there."""
        return cls._split_link.call(cls, args, kwargs)

    def __getattr__(cls, name: str) -> Value:
        if words.private(name):
            raise AttributeError(name)
        return cls._split_link.ask("get", cls, name)

    __dict__ = property(_held)  # type: ignore[misc]  # what the candidate's class holds

    def __setattr__(cls, name: str, value: Value) -> None:
        cls._split_link.ask("set", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        cls._split_link.ask("del", cls, name)

    def __bool__(cls) -> bool:
        return True

    def __dir__(cls) -> Value:
        return cls._split_link.ask("dir", cls)

    def __instancecheck__(cls, value: Value) -> bool:
        return type.__instancecheck__(cls, value) or (cls._split_asks and _asked(cls, "isinstance", value, object()))

    def __subclasscheck__(cls, value: type) -> bool:
        return type.__subclasscheck__(cls, value) or (cls._split_asks and _asked(cls, "issubclass", value, object))


def _asked(cls: PxMeta, op: str, value: Value, junk: Value) -> bool:
    if cls._split_link.ask(op, value, cls) is not True:
        return False
    if cls._split_link.ask(op, junk, cls) is True:
        raise cls._split_link.refuse("a class that everything is an instance of")
    return True


def handle_of(stand_in: Value) -> Handle:
    """Return the handle of an instance. Raises: UnsplitError when it was made without one."""
    try:
        handle: Handle = object.__getattribute__(stand_in, "_split_handle")
    except AttributeError:
        raise type(stand_in)._split_link.refuse("a stand-in that stands for nothing") from None
    return handle


def link_of(stand_in: Value) -> Link:
    """Return the connection of an instance or a class."""
    if isinstance(type(stand_in), PxMeta):
        return handle_of(stand_in).link
    link: Link = stand_in._split_link
    return link


class _Px:
    """The root of all stand-ins."""

    _split_link: Link
    _split_asks = False
    _split_steps = _split_valued = False
    _split_counts: frozenset[str] = frozenset()
    _split_methods: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Value:
        if words.private(name):
            raise AttributeError(name)
        link = handle_of(self).link
        if name in type(self)._split_methods:
            return Method(link, self, name)
        return link.ask("get", self, name)

    @property
    def __dict__(self) -> Value:  # type: ignore[override]  # what the candidate's object holds, not what this one does
        return handle_of(self).link.ask("get", self, "__dict__")

    def __setattr__(self, name: str, value: Value) -> None:
        if name in _OF_ERRORS:
            object.__setattr__(self, name, value)  # the interpreter's own notes on an error that passes
        else:
            handle_of(self).link.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        handle_of(self).link.ask("del", self, name)

    def __dir__(self) -> Value:
        return handle_of(self).link.ask("dir", self)

    def __eq__(self, other: object) -> Value:
        # Of a class that has none of its own: so it was on the base, and the code was told nothing.
        if not isinstance(type(other), PxMeta):
            handle_of(self).link.kinds.compared(other)
        return NotImplemented

    __hash__ = object.__hash__

    def __copy__(self) -> Value:
        return handle_of(self).link.ask("copy", self)

    def __deepcopy__(self, _memo: Value) -> Value:
        return handle_of(self).link.ask("deepcopy", self)

    def __reduce_ex__(self, protocol: Value) -> Value:
        link = handle_of(self).link
        frozen = link.ask("freeze", self, protocol)
        if type(frozen) is not bytes:
            raise link.accuse("a frozen object that is not bytes")
        return thaw, (frozen,)


del _Px.__annotations__  # those of a function over there would be hidden by them
Px: Value = type.__new__(PxMeta, "Px", (_Px,), {})
_links: list[Link] = []


def thaw(frozen: bytes) -> Value:
    """Make a stand-in out of the candidate's own pickle, over there."""
    return _links[-1].ask("thaw", frozen)


def serve_thaw(link: Link) -> None:
    """Make `link` the one that thaws."""
    _links.append(link)
