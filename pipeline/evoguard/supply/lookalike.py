"""Names that are taken for others: one edit away, two letters swapped, or letters that look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

How = Literal["", "other script", "same look", "one edit"]
MOST_NAME = 120
SHORTEST = 5
"""Of shorter names, one edit makes too many honest ones."""
_LOOKS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("0", "o"), ("1", "l"), ("i", "l"), ("5", "s"), ("$", "s"))
_OTHERS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u043a\u043c\u0442\u043d\u0432"
    "\u03bf\u03b1\u03b5\u03b9\u03ba\u03bd\u03c1\u03c4\u03c5\u03c7\u0131\u0261\u0269\u057d\u0585\u04cf",
    "aeopcyxijshdqwkmthboaeikvptuxigisol",
)
"""Letters of Cyrillic, Greek and Armenian, each with the Latin one that it looks like."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Which known name another looks like, and how."""

    name: str = ""
    how: How = ""


class Known:
    """The names that a project uses or that everybody knows, ready to be compared with."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name for name in names if 0 < len(name) <= MOST_NAME)
        self._looks = {look(name): name for name in sorted(self._names, reverse=True)}
        self._near: dict[str, list[str]] = {}
        for name in sorted(self._names):
            if len(name) >= SHORTEST:
                for key in _shorter(name):
                    self._near.setdefault(key, []).append(name)

    def alike(self, said: str, name: str) -> Alike:
        """Return the known name that this one, which is none of them, may be taken for. `said`: as it is written."""
        if not said.isascii():
            latin = latin_of(said)
            return Alike(latin if latin in self._names else self._looks.get(look(latin), latin), "other script")
        if name in self._names or not 0 < len(name) <= MOST_NAME:
            return Alike()
        if (other := self._looks.get(look(name))) is not None:
            return Alike(other, "same look")
        if len(name) >= SHORTEST:
            for key in _shorter(name):
                for other in self._near.get(key, ()):
                    if one_edit(name, other):
                        return Alike(other, "one edit")
        return Alike()


def look(name: str) -> str:
    """Return what a name looks like at a glance: separators left out, letters that look alike made one."""
    bare = re.sub(r"[-_.]", "", name.lower())
    for one, other in _LOOKS:
        bare = bare.replace(one, other)
    return bare


def latin_of(said: str) -> str:
    """Return a name with letters of other scripts replaced by the Latin ones that they look like."""
    folded = unicodedata.normalize("NFKD", said.lower().translate(_OTHERS))
    return "".join(char for char in folded if not unicodedata.combining(char)).translate(_OTHERS)


def one_edit(a: str, b: str) -> bool:
    """Tell whether one letter more, less or other, or two neighbours swapped, makes one name of the other."""
    if a == b or abs(len(a) - len(b)) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) != len(b):
        long, small = (a, b) if len(a) > len(b) else (b, a)
        return long[at + 1 :] == small[at:]
    swapped = a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :]
    return a[at + 1 :] == b[at + 1 :] or swapped


def _shorter(name: str) -> Iterator[str]:
    """Yield the name and all that one letter less makes of it: two names one edit apart share one of these."""
    yield name
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]
