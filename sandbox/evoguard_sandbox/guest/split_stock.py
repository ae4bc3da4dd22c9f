"""The names that may cross towards the trusted side: types and functions that do nothing but compute on data.

What runs code, opens files, reads attributes by name or ends a process is not here, and must not be added.
"""

from __future__ import annotations

import binascii
import builtins
import collections
import datetime
import decimal
import fractions
import hashlib
import json
import operator
import pathlib
import re
import types
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_names as words
else:
    import split_names as words

Value = Any  # a type or a function
_QUIET = words.listed(
    """bool int float complex str bytes bytearray list tuple dict set frozenset range slice object enumerate zip map
    filter reversed property len repr sorted abs min max sum round ascii ord chr hex oct bin all any divmod hash iter"""
)
_EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit)
NAMED: dict[str, Value] = {f"builtins.{name}": getattr(builtins, name) for name in _QUIET}
NAMED |= {
    f"builtins.{name}": kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, _EXITS)
}
NAMED |= {f"types.{name}": getattr(types, name) for name in ("NoneType", "EllipsisType", "NotImplementedType")}
NAMED |= {
    f"datetime.{n}": getattr(datetime, n) for n in ("date", "datetime", "time", "timedelta", "timezone", "tzinfo")
}
NAMED |= {f"collections.{n}": getattr(collections, n) for n in ("OrderedDict", "defaultdict", "Counter", "deque")}
NAMED |= {f"pathlib.{n}": getattr(pathlib, n) for n in ("PurePath", "PurePosixPath", "PureWindowsPath")}
NAMED |= {f"hashlib.{n}": getattr(hashlib, n) for n in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")}
NAMED |= {
    f"operator.{n}": getattr(operator, n) for n in words.listed("add sub mul truediv mod eq ne lt le gt not_ neg")
}
NAMED |= {"decimal.Decimal": decimal.Decimal, "fractions.Fraction": fractions.Fraction, "uuid.UUID": uuid.UUID}
NAMED |= {"binascii.Error": binascii.Error, "re.error": re.error, "json.JSONDecodeError": json.JSONDecodeError}
_FIXED = 1 << 8  # the interpreter's mark of a class that cannot be changed
NAME_OF = {id(value): name for name, value in reversed(NAMED.items())}
CONTAINERS: tuple[type, ...] = (
    collections.Counter,
    collections.defaultdict,
    collections.OrderedDict,
    collections.deque,
    dict,
    list,
    set,
    bytearray,
)
STORAGES: tuple[type, ...] = (*CONTAINERS, datetime.tzinfo)
"""Classes with a layout of their own: an object of one that inherits from them is made by them."""


def shapes() -> list[tuple[type, dict[str, Value]]]:
    """Return what each of those classes holds that Python code can change, to see later whether it did."""
    kinds = [kind for kind in NAMED.values() if isinstance(kind, type) and not kind.__flags__ & _FIXED]
    return [(kind, {**vars(kind)}) for kind in kinds]


def changed(before: list[tuple[type, dict[str, Value]]]) -> bool:
    """Tell whether one of the classes does not hold the very same any more."""
    return any(
        len(vars(kind)) != len(held) or any(vars(kind).get(name) is not value for name, value in held.items())
        for kind, held in before
    )
