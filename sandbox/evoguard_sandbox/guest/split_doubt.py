"""Neighbours: values that look like another one and are not it, among which a question hides the value it is about.

A walk leads away from the value in two directions, by steps of one and by long ones, so that each value on it has
another right beside it; the place of the true one is drawn. So nothing about the list tells which of its members is
meant: not a middle, not a length, not an end.
The same value has the same neighbours in one process, or two questions about it would have only that value in common.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import random
import secrets
import uuid
from collections.abc import Callable
from typing import Any

Value = Any  # a plain value
NEIGHBOURS = 8
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MOST_PARTS = 2000
MOST_TRIES = 40
_FAR = (3, 7, 10, 30, 100, 1000)
_KINDS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")
_secret = secrets.token_hex(16)
Step = Callable[[random.Random, Value, int], Value]


class LonelyError(Exception):
    """A value without enough neighbours of its kind, such as True or an empty list."""


def among(value: Value) -> list[Value]:
    """Return the value first and after it its neighbours: all of its type, no two equal. Raises: LonelyError."""
    if not is_plain(value):
        raise LonelyError
    if type(value) is float:  # by its digits: a step of a float may be lost, or lead to a zero that has none
        return [float(each) for each in among(decimal.Decimal(repr(value)))]
    draw = random.Random(f"{_secret}{type(value).__name__}{value!r}")  # noqa: S311 (seeded with a secret)
    found, gaps, at = [value], _gaps(draw), draw.randint(0, NEIGHBOURS)
    for way, steps in ((-1, reversed(gaps[:at])), (1, gaps[at:])):
        last = value
        for gap in steps:
            last = _next(draw, last, way * gap, found)
            found.append(last)
    return found


def _gaps(draw: random.Random) -> list[int]:
    """Return the steps of a walk: its members stand in groups of two or three, close together within a group."""
    groups = [2] * (NEIGHBOURS // 2 - 1) + [3]
    draw.shuffle(groups)
    return [gap for size in groups for gap in (*[1] * (size - 1), draw.choice(_FAR))][:-1]


def _next(draw: random.Random, value: Value, by: int, taken: list[Value]) -> Value:
    for _ in range(MOST_TRIES):
        made = _step(draw, value, by)
        if type(made) is type(taken[0]) and not any(made == other for other in taken):
            return made
    raise LonelyError


def is_plain(value: Value) -> bool:
    """Tell whether a value is data of this side through and through, and not too much of it."""
    todo, seen = [value], 0
    while todo:
        one = todo.pop()
        seen += 1
        if seen > MOST_PARTS or len(todo) > MOST_PARTS:
            return False
        kind = type(one)
        if kind in (list, tuple, set, frozenset):
            todo += one
        elif kind is dict:
            todo += [*one.keys(), *one.values()]
        elif kind not in _STEPS and one is not None and kind is not bool:
            return False
    return True


def _step(draw: random.Random, value: Value, by: int) -> Value:
    """Return a value that is one change away. Raises: LonelyError."""
    step = _STEPS.get(type(value))
    if step is None:
        raise LonelyError
    try:
        return step(draw, value, by)
    except (ArithmeticError, ValueError):  # past the end of what the type can hold
        raise LonelyError from None


def _float(draw: random.Random, value: float, by: int) -> float:
    return float(_decimal(draw, decimal.Decimal(repr(value)), by))


def _decimal(_draw: random.Random, value: decimal.Decimal, by: int) -> decimal.Decimal:
    if not value.is_finite():
        raise LonelyError
    return value + by * decimal.Decimal(1).scaleb(int(value.as_tuple().exponent))


def _letter(draw: random.Random, letter: str) -> str:
    """Return another letter of the same kind."""
    kind = next((kind for kind in _KINDS if letter in kind), None)
    if kind is not None:
        return draw.choice(kind.replace(letter, ""))
    return chr(ord(letter) ^ draw.choice((1, 2, 4, 8)))


def _text(draw: random.Random, value: str, by: int) -> str:
    """Change one character, or for a long step three: to another of its kind; sometimes one is doubled or left out."""
    for _ in range(min(3, abs(by))):
        if not value:
            raise LonelyError
        at, how = draw.randrange(len(value)), draw.random()
        if how < 0.15:
            value = value[:at] + value[at] + value[at:]
        elif how < 0.3 and len(value) > 2:
            value = value[:at] + value[at + 1 :]
        else:
            value = value[:at] + _letter(draw, value[at]) + value[at + 1 :]
    value.encode()  # half a pair is no text that travels
    return value


def _bytes(draw: random.Random, value: Value, by: int) -> Value:
    return type(value)(_text(draw, value.decode("latin-1"), by).encode("latin-1"))


def _list(draw: random.Random, value: Value, by: int) -> Value:
    parts = list(value)
    for at in draw.sample(range(len(parts)), len(parts)):
        try:
            parts[at] = _step(draw, parts[at], by)
        except LonelyError:
            continue
        return type(value)(parts)
    raise LonelyError


def _set(draw: random.Random, value: Value, by: int) -> Value:
    return type(value)(_list(draw, sorted(value, key=repr), by))


def _dict(draw: random.Random, value: Value, by: int) -> Value:
    keys, values = list(value), list(value.values())
    try:
        values = _list(draw, values, by)
    except LonelyError:
        keys = _list(draw, keys, by)
    return dict(zip(keys, values, strict=True))


def _path(draw: random.Random, value: Value, by: int) -> Value:
    return type(value)(_text(draw, str(value), by))


_STEPS: dict[type, Step] = {
    int: lambda _, value, by: value + by,
    float: _float,
    decimal.Decimal: _decimal,
    fractions.Fraction: lambda _, v, by: v + by * fractions.Fraction(1, v.denominator),
    datetime.date: lambda _, value, by: value + by * datetime.timedelta(days=1),
    datetime.datetime: lambda _, value, by: value + by * datetime.timedelta(seconds=1),
    datetime.timedelta: lambda _, value, by: value + by * datetime.timedelta(seconds=1),
    uuid.UUID: lambda _, value, by: uuid.UUID(int=(value.int + by) % (1 << 128)),
    str: _text,
    bytes: _bytes,
    bytearray: _bytes,
    list: _list,
    tuple: _list,
    set: _set,
    frozenset: _set,
    dict: _dict,
    pathlib.PosixPath: _path,
    pathlib.PurePosixPath: _path,
    pathlib.PureWindowsPath: _path,
}
