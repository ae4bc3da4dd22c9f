"""Operations on stand-ins, and what keeps a comparison of the code under test from deciding a test by itself.

Whoever is asked whether it equals 3 has been told what the test expects. So what can be said from data is said here,
and nobody is asked. Otherwise the true value stands once, at a random place, among neighbours that look like it: an
object that says yes to one of these is not believed. And wherever the code's own answer decides, the link takes a note:
such a test leaned on the code, and is not proved by running apart from it.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_names as words
    from evoguard_sandbox.guest.split_data import COMPARE, as_its_kind, by_data, is_own
    from evoguard_sandbox.guest.split_doubt import LETTERS, LonelyError, among, is_plain
    from evoguard_sandbox.guest.split_proxy import handle_of, is_object, link_of
else:
    import split_names as words
    from split_data import COMPARE, as_its_kind, by_data, is_own
    from split_doubt import LETTERS, LonelyError, among, is_plain
    from split_proxy import handle_of, is_object, link_of

Value = Any  # an operand is anything
Question = tuple[str, Value]
# Both true of one pair is a contradiction, whatever the class means by them.
OPPOSITE = {"__lt__": "__gt__", "__gt__": "__lt__", "__le__": "__gt__", "__ge__": "__lt__", "__ne__": "__eq__"}
SAME = ("__eq__", "__contains__")
EQUALITY = ("__eq__", "__ne__")
_UP = ("__lt__", "__le__")
_chance = random.SystemRandom()


def junk() -> str:
    """Return a text that nobody expects."""
    return "".join(_chance.choice(LETTERS) for _ in range(12))


def _ask_all(self: Value, questions: list[Question]) -> list[Value]:
    """Ask every question in random order; return the answers, errors among them, in the order given.

    All are asked whatever is answered: an end would tell which was the real one. That is the first; only its warnings
    are the test's to see.
    """
    link = link_of(self)
    said: list[Value] = [None] * len(questions)
    for at in _chance.sample(range(len(questions)), len(questions)):
        name, operand = questions[at]
        with warnings.catch_warnings():
            if at:
                warnings.simplefilter("ignore")
            try:
                said[at] = link.ask("du", self, name, operand)
            except Exception as err:  # noqa: BLE001 (any error of the candidate's comparison)
                said[at] = err
    return said


def _believed(said: Value) -> Value:
    if isinstance(said, Exception):
        raise said
    return said


def _accepts(self: Value, name: str, operand: Value) -> bool:
    """Tell whether the other side says yes; an error is not a yes."""
    (said,) = _ask_all(self, [(name, operand)])
    return said is True


def _values(self: Value, name: str, operand: Value) -> list[Value]:
    """Return the operand and its neighbours. Where it has none, the other side may say no. Raises: UnsplitError."""
    try:
        return among(operand)
    except LonelyError:
        if _accepts(self, name, operand):
            raise link_of(self).refuse(f"{name} with a value that cannot be hidden among others") from None
        return [operand]


def _equality(self: Value, other: Value) -> Value:
    link = link_of(self)
    if by_data("__eq__", self, other) is True:
        return True
    if is_own(other):
        return _between_own(self, "__eq__", other)
    if link.kinds.by_identity(other, own=False):
        return _other_than(self, "__eq__", other)
    said, *others = _ask_all(self, [("__eq__", value) for value in _values(self, "__eq__", other)])
    if _believed(said) is True:
        _doubt(link, [answer is True for answer in others])
        link.lean(told=True)
    elif said is not False and said is not NotImplemented:
        raise link.refuse("an equality that is neither true nor false")
    return said


def _doubt(link: Value, others: list[bool]) -> None:
    """Refuse who says yes to a neighbour as well. After a no there is nothing to doubt: one of them may be right."""
    if any(others):
        raise link.refuse("an equality that says yes to a value which only looks like the right one")


def _other_than(self: Value, name: str, other: Value) -> Value:
    """Compare with a value where the base's objects were compared by identity: now as then it must be another."""
    if not is_plain(other):
        return NotImplemented  # an object of the tests' says itself what it is like
    try:
        values = among(other)
    except LonelyError:
        values = [other]
    wanted = (NotImplemented, name == "__ne__")
    if not all(any(said is no for no in wanted) for said in _ask_all(self, [(name, value) for value in values])):
        why = "an object is compared otherwise than on the base, where the code was not asked"
        raise link_of(self).refuse(f"{name}: {why}")
    return NotImplemented


def _between_own(self: Value, name: str, other: Value) -> Value:
    """Compare two objects of the code: no neighbours are to be had, so a yes proves little."""
    link = link_of(self)
    said = link.ask("du", self, name, other)
    if name in EQUALITY and link.kinds.by_identity(other, own=is_object(other)):
        if said is not NotImplemented and said is not ((self is other) is (name == "__eq__")):
            raise link.refuse(f"{name}: objects are compared otherwise than on the base, where the code was not asked")
        return said
    if said is True and name in OPPOSITE and _accepts(self, OPPOSITE[name], other):
        raise link.accuse(f"{name} and {OPPOSITE[name]} both say yes")
    if said is True and name in SAME and _accepts(self, name, junk()):
        raise link.refuse(f"{name} says yes to anything")
    if said is (name != "__ne__") or (name in COMPARE and name not in SAME and said is False):
        link.lean(told=False)
    elif name == "__eq__" and said is not False and said is not NotImplemented:
        raise link.refuse("an equality that is neither true nor false")
    return said


def _ordering(name: str) -> Callable[[Value, Value], Value]:
    def compare(self: Value, other: Value) -> Value:
        link = link_of(self)
        if name in COMPARE and by_data(name, self, other) is True:
            return True
        if is_own(other):
            return _between_own(self, name, other)
        values = _values(self, name, other)
        said = _ask_all(self, [(each, value) for each in (name, OPPOSITE[name]) for value in values])
        yes, no = said[: len(values)], said[len(values) :]
        if any(a is True and b is True for a, b in zip(yes, no, strict=True)):
            raise link.accuse(f"{name} and {OPPOSITE[name]} both say yes")
        if name in COMPARE and not _steady(name, values, yes):
            raise link.refuse(f"{name} has no order in it")
        if isinstance(_believed(yes[0]), bool):  # "not less" decides as much as "less"
            link.lean(told=True)
        return yes[0]

    return compare


def _steady(name: str, values: list[Value], said: list[Value]) -> bool:
    """Tell whether the answers about numbers and dates have one bound: yes on one side of it, no on the other."""
    if isinstance(values[0], str | bytes | bytearray | list | tuple | set | frozenset | dict) or len(values) < 2:
        return True
    line = [said[at] is True for at in sorted(range(len(values)), key=values.__getitem__)]
    return line == sorted(line, reverse=name not in _UP)


def _unequal(self: Value, other: Value) -> Value:
    link = link_of(self)
    if by_data("__eq__", self, other) is True:
        return False
    if is_own(other):
        return _between_own(self, "__ne__", other)
    if link.kinds.by_identity(other, own=False):
        return _other_than(self, "__ne__", other)
    values = _values(self, "__eq__", other)
    said = _ask_all(self, [(each, value) for each in ("__ne__", "__eq__") for value in values])
    differs, same = said[: len(values)], said[len(values) :]
    if any(a is True and b is True for a, b in zip(differs, same, strict=True)):
        raise link.accuse("__ne__ and __eq__ both say yes")
    if _believed(differs[0]) is False:
        _doubt(link, [a is True or b is False for a, b in zip(same[1:], differs[1:], strict=True)])
        link.lean(told=True)
    return differs[0]


def _membership(self: Value, item: Value) -> Value:
    link = link_of(self)
    if by_data("__contains__", self, item) is True:
        return True
    if is_own(item):
        return _between_own(self, "__contains__", item)
    said, *others = _ask_all(self, [("__contains__", value) for value in _values(self, "__contains__", item)])
    if _believed(said) is True:
        if any(answer is True for answer in others):
            raise link.refuse("a container that holds what only looks like the right value")
        link.lean(told=True)
    return said


def _hash(self: Value) -> Value:
    """Ask once: what changes its hash in between would be in a set and not in it, as it likes."""
    if is_own(self) and not isinstance(self, type):
        handle = handle_of(self)
        if handle.hashed is None:
            handle.hashed = link_of(self).ask("du", self, "__hash__")
        return handle.hashed
    return link_of(self).ask("du", self, "__hash__")


def _truth(self: Value) -> Value:
    """Ask twice: no honest object is true and then false while nothing else happens."""
    link = link_of(self)
    said = link.ask("du", self, "__bool__")
    if link.ask("du", self, "__bool__") is not said:
        raise link.refuse("a truth that does not last")
    return said


def _arithmetic(name: str) -> Callable[..., Value]:
    """Return an operation. `f() - 3.0` tells what the test expects as much as `f() == 3.0` does."""

    def operate(self: Value, *args: Value) -> Value:
        link = link_of(self)
        said = link.ask("du", self, name, *args)
        if said is NotImplemented or is_object(said) or any(is_own(value) for value in args):
            return said
        if not as_its_kind(name, self, args, said):
            link.lean(told=True)
        return said

    return operate


def _leave(self: Value, kind: Value, error: Value, _trace: Value) -> bool:
    """Never suppress: an answer of the candidate must not make a failed assertion pass."""
    link_of(self).ask("du", self, "__exit__", kind, error, None)
    return False


def _call(self: Value, *args: Value, **kwargs: Value) -> Value:
    return link_of(self).call(self, args, kwargs)


def _plain(name: str) -> Callable[..., Value]:
    def ask(self: Value, *args: Value) -> Value:
        return link_of(self).ask("du", self, name, *args)

    return ask


FORWARD: dict[str, Callable[..., Value]] = {
    **{name: _plain(name) for name in (*words.DUNDERS, *words.DESCRIPTOR)},
    **{name: _arithmetic(name) for name in words.BINARY},
    **{name: _ordering(name) for name in OPPOSITE},
    "__eq__": _equality,
    "__ne__": _unequal,
    "__hash__": _hash,
    "__bool__": _truth,
    "__contains__": _membership,
    "__exit__": _leave,
    "__call__": _call,
}
