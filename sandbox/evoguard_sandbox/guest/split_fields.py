"""Kinds of the library that travel by value: of each its fields, and how it is made again from them.

Makers read what a hostile side wrote: they raise ValueError, TypeError and the like, and do nothing but build data.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest.split_stock import NAMED as _NAMED
else:
    from split_stock import NAMED as _NAMED

Value = Any  # anything at all: tests hand over what they like
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}")


def zone_named(key: Value) -> Value:
    """Return a zone of the time zone database. Its module is loaded only for those who have one."""
    if type(key) is not str or not _ZONE_NAME.fullmatch(key):
        raise ValueError("no name of a time zone")
    from zoneinfo import ZoneInfo

    return ZoneInfo(key)


def _zone(offset: Value, name: Value) -> datetime.timezone:
    made = datetime.timezone(offset) if name is None else datetime.timezone(offset, name)
    return datetime.UTC if name is None and not offset else made


def _zone_fields(zone: Value) -> list[Value]:
    plain = datetime.timezone(zone.utcoffset(None))
    return [zone.utcoffset(None), None if zone.tzname(None) == plain.tzname(None) else zone.tzname(None)]


_FLAGS = int(re.A | re.I | re.L | re.M | re.S | re.U | re.X)


def _pattern(source: Value, flags: Value) -> re.Pattern[Any]:
    if type(source) not in (str, bytes) or len(source) > 20_000:
        raise ValueError("no pattern")
    return re.compile(source, flags & _FLAGS)


def _moment(*parts: Value) -> Value:
    return _DATETIME(*parts[:8], fold=parts[8])


def _hour(*parts: Value) -> Value:
    return _TIME(*parts[:5], fold=parts[5])


_DATETIME, _TIME = _NAMED["datetime.datetime"], _NAMED["datetime.time"]
_HOUR = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")


def _of(*attributes: str) -> Callable[[Value], list[Value]]:
    return lambda value: [getattr(value, name) for name in attributes]


def _text(value: Value) -> list[Value]:
    return [str(value)]


# In this order: a datetime is a date too.
FIELDS: dict[type, tuple[str, Callable[[Value], list[Value]], Callable[..., Value]]] = {
    _DATETIME: ("dt", _of("year", "month", "day", *_HOUR), _moment),
    datetime.date: ("da", _of("year", "month", "day"), datetime.date),
    _TIME: ("ti", _of(*_HOUR), _hour),
    datetime.timedelta: ("td", _of("days", "seconds", "microseconds"), datetime.timedelta),
    datetime.timezone: ("tz", _zone_fields, _zone),
    decimal.Decimal: ("de", _text, decimal.Decimal),
    fractions.Fraction: ("fr", _of("numerator", "denominator"), fractions.Fraction),
    uuid.UUID: ("uu", _text, uuid.UUID),
    pathlib.PosixPath: ("pp", _text, pathlib.PosixPath),
    pathlib.PurePosixPath: ("pq", _text, pathlib.PurePosixPath),
    pathlib.PureWindowsPath: ("pw", _text, pathlib.PureWindowsPath),
    complex: ("x", _of("real", "imag"), complex),
    range: ("R", _of("start", "stop", "step"), range),
    slice: ("S", _of("start", "stop", "step"), slice),
    re.Pattern: ("re", _of("pattern", "flags"), _pattern),
}
# Kinds of which a subclass of the candidate travels with its value: the last four by their fields.
VALUE_KINDS: tuple[type, ...] = (int, float, str, bytes, tuple, frozenset, *list(FIELDS)[:4])
