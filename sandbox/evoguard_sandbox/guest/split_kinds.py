"""What kind of answer each use of the code gets: on a candidate none that decides more than the base's did.

Where the base gives a number, a text or a set, the tests compare it here. An object of the code's own class in its
place would be told what the test expects (`f() - 3.0`, `f().startswith("EUR")`) and could answer as it likes.
"""

from __future__ import annotations

PLAIN, CALLED, DECIDES = range(3)
"""Data by value, and what only hands it out one by one; what can be called; what can say that it is equal to something.

A class is one of the second: it may take the place of a function.
"""
MOST_KEYS, KEY_CHARS = 20_000, 200
_ITERATES = frozenset(("__iter__", "__next__", "__length_hint__", "__reversed__"))
_HARMLESS = _ITERATES.union(("__repr__", "__str__", "__format__", "__hash__", "__enter__", "__exit__", "__get__"))
_OF_ITERATORS = frozenset(("send", "throw", "close"))


def level(special: list[str], methods: list[str], over: list[str], *, valued: bool) -> int:
    """Return what an object of a class can do, by the names that its record forwards."""
    extra = {*special, *over} - _HARMLESS
    if valued:
        return DECIDES if extra or over else PLAIN
    if "__call__" in extra:
        return CALLED if extra == {"__call__"} else DECIDES
    iterates = not extra and "__next__" in special and _OF_ITERATORS.issuperset(methods)
    return PLAIN if iterates else DECIDES


class Kinds:
    """The levels that were seen, by what was asked; `known` are the base's, where this is a candidate's run.

    What the base never asked is not refused: its name came from the code, since the tests are the same.
    """

    def __init__(self) -> None:
        self.known: dict[str, int] | None = None
        self.seen: dict[str, int] = {}
        self.fresh: dict[str, int] = {}
        self.names: dict[tuple[bool, int], set[str]] = {}

    def name(self, number: int, name: str, *, is_class: bool) -> None:
        """Remember under which name of a module something was found; it may have more than one."""
        self.names.setdefault((is_class, number), set()).add(name)

    def keys(self, op: str, what: str, number: int | None, *, is_class: bool) -> list[str]:
        """Return what was asked: by the names of what was called, where a module gave it, or else by `what`."""
        found = self.names.get((is_class, number)) if number is not None else None
        return [f"{op} {name}"[:KEY_CHARS] for name in sorted(found or (what,))]

    def allows(self, keys: list[str], got: int) -> bool:
        """Note the level of an answer; tell whether the base gave such a one as well."""
        for key in keys:
            if got > self.seen.get(key, -1) and len(self.seen) < MOST_KEYS:
                self.seen[key] = self.fresh[key] = got
        known = self.known
        return known is None or got == PLAIN or all(got <= known.get(key, DECIDES) for key in keys)

    def take(self) -> dict[str, int]:
        """Return what was learnt since the last time."""
        fresh, self.fresh = self.fresh, {}
        return fresh
