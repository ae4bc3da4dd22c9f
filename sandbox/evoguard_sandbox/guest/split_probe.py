"""Operations on stand-ins, and the second questions that find out answers which accept anything.

An equality that is right says no to a value that was changed at random. The changed value looks like the true one and
the order of the two questions is random, so code under test cannot tell them apart without knowing the right answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_names as words
    from evoguard_sandbox.guest.split_proxy import link_of
else:
    import split_names as words
    from split_proxy import link_of

Value = Any  # an operand is anything
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
AGAIN = 3
# Both true of one pair is a contradiction, whatever the class means by them.
OPPOSITE = {"__lt__": "__gt__", "__gt__": "__lt__", "__le__": "__gt__", "__ge__": "__lt__", "__ne__": "__eq__"}
_chance = random.SystemRandom()


def junk() -> str:
    """Return a text that nobody expects."""
    return "".join(_chance.choice(LETTERS) for _ in range(12))


def _number(value: Value) -> Value:
    return value + _chance.choice((-1, 1)) * _chance.randint(1, 9)


def _text(value: Value) -> Value:
    text = str.__str__(value)
    at = _chance.randint(0, len(text))
    return text[:at] + _chance.choice(LETTERS) + text[at:] if text else junk()[:3]


def _one_of(values: list[Value], extra: Value) -> list[Value]:
    if not values:
        return [extra]
    at = _chance.randrange(len(values))
    return [*values[:at], changed(values[at]), *values[at + 1 :]]


def _mapping(value: Value) -> Value:
    made = dict(value)
    if not made:
        return {junk(): 1}
    key = _chance.choice(list(made))
    made[key] = changed(made[key])
    return made


# In this order: a truth value is an int.
_CHANGES: tuple[tuple[type, Callable[[Value], Value]], ...] = (
    (bool, lambda value: not value),
    (int, lambda value: _number(int.__int__(value))),
    (float, lambda value: _number(float.__float__(value)) if abs(value) < 1e15 else 0.5),
    (complex, _number),
    (str, _text),
    (bytes, lambda value: value + junk().encode()[:1]),
    (bytearray, lambda value: value + junk().encode()[:1]),
    (list, lambda value: _one_of(list(value), junk())),
    (tuple, lambda value: tuple(_one_of(list(value), junk()))),
    (dict, _mapping),
    (set, lambda value: {*value, junk()}),
    (frozenset, lambda value: frozenset({*value, junk()})),
)


def changed(value: Value) -> Value:
    """Return a value of the same kind that is not equal to `value`; of what has no such neighbour, a text."""
    kinds = type(value).__mro__
    asks = hasattr(type(value), "_split_link")
    for kind, change in _CHANGES:
        if kind in kinds and (not asks or kind in (int, float, str)):
            return change(value)
    return junk()


def _accepts(link: Value, left: Value, name: str, right: Value) -> bool:
    """Tell whether the other side says yes; an error is not a yes."""
    try:
        return link.ask("du", left, name, right) is True
    except Exception:  # noqa: BLE001 (any error of the candidate's comparison)
        return False


def _equality(self: Value, other: Value) -> Value:
    link = link_of(self)
    first = _chance.random() < 0.5
    fooled = first and _accepts(link, self, "__eq__", changed(other))
    said = link.ask("du", self, "__eq__", other)
    if said is False or said is NotImplemented:
        return said
    if said is not True:
        raise link.refuse("an equality that is neither true nor false")
    fooled = fooled or (not first and _accepts(link, self, "__eq__", changed(other)))
    if fooled and all(_accepts(link, self, "__eq__", changed(other)) for _ in range(AGAIN)):
        if all(_accepts(link, self, "__eq__", junk()) for _ in range(AGAIN)):
            raise link.accuse("an equality that accepts anything")
        raise link.refuse("an equality that accepts whatever looks like the right value")
    return True


def _ordering(name: str) -> Callable[[Value, Value], Value]:
    def compare(self: Value, other: Value) -> Value:
        link = link_of(self)
        said = link.ask("du", self, name, other)
        if said is True and _accepts(link, self, OPPOSITE[name], other):
            raise link.accuse(f"{name} and {OPPOSITE[name]} both say yes")
        return said

    return compare


def _membership(self: Value, item: Value) -> Value:
    link = link_of(self)
    said = link.ask("du", self, "__contains__", item)
    if said is True and _accepts(link, self, "__contains__", junk()):
        raise link.refuse("a container that holds anything")
    return said


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
    **{name: _ordering(name) for name in OPPOSITE},
    "__eq__": _equality,
    "__contains__": _membership,
    "__exit__": _leave,
    "__call__": _call,
}
