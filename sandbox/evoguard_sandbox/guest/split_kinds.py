"""What kind of answer each use of the code gets, and what each test tells it: on a candidate no more than on the base.

Where the base gives a number, a text or a set, the tests compare it here. An object of the code's own class in its
place would be told what the test expects (`f() - 3.0`, `f().startswith("EUR")`) and could answer as it likes. So an
answer may not decide more than the base's did, and a test may ask an object of the code only such questions with
values of its own in them as the same test asked on the base: tests are the same, so a new one comes of a new object.
"""

from __future__ import annotations

import hashlib

PLAIN, CALLED, DECIDES, FOREIGN = range(4)
"""Data by value, and what only hands it out one by one; what can be called; what can say that it is equal to something;
a module, or an object which the tests themselves lent: nobody counts what a test tells these.

A class is one of the second: it may take the place of a function.
"""
MOST_KEYS, KEY_CHARS = 100_000, 200
_ITERATES = frozenset(("__iter__", "__next__", "__length_hint__", "__reversed__"))
_HARMLESS = _ITERATES.union(("__repr__", "__str__", "__format__", "__hash__", "__enter__", "__exit__", "__get__"))
_OF_ITERATORS = frozenset(("send", "throw", "close"))
_TELLS_NOTHING = frozenset(("__format__", "__get__", "__exit__", "__next__"))
"""Operations whose operands are not a test's: they come from the interpreter, or from how a text is laid out."""
EQUALITY = ("__eq__", "__ne__")
OWN = " own"
"""Ends what is kept of an operation whose operands are all objects of the code's."""
OUTSIDE = ""
"""Where what is asked belongs while tests are collected."""


def level(special: list[str], methods: list[str], over: list[str], *, valued: bool) -> int:
    """Return what an object of a class can do, by the names that its record forwards."""
    extra = {*special, *over} - _HARMLESS
    if valued:
        return DECIDES if extra or over else PLAIN
    if "__call__" in extra:
        # A context manager made of a generator can be called, too, and a class may take its place.
        return CALLED if extra == {"__call__"} and "__enter__" not in special else DECIDES
    public = (name for name in methods if not name.startswith("_"))  # nobody but the code calls the others
    iterates = not extra and "__next__" in special and _OF_ITERATORS.issuperset(public)
    return PLAIN if iterates else DECIDES


def counts(special: list[str], over: list[str]) -> frozenset[str]:
    """Return by which names a class does no more than count out what it has, as a list does; none if it does more."""
    found = {*special, *over} - _HARMLESS.difference(_ITERATES)
    return frozenset(found if "__iter__" in found and found <= {"__iter__", "__len__", "__reversed__"} else ())


class Kinds:
    """The levels that were seen, by what was asked; `known` are the base's, where this is a candidate's run.

    What the base never asked is not refused: its name came from the code, since the tests are the same.
    """

    def __init__(self) -> None:
        self.known: dict[str, int] | None = None
        self.seen: dict[str, int] = {}
        self.fresh: dict[str, int] = {}
        self.names: dict[tuple[bool, int], set[str]] = {}
        self.got: dict[tuple[bool, int], str] = {}
        self.came: dict[int | None, str] = {}
        self.test = OUTSIDE

    def turn(self, test: str) -> None:
        """Begin what belongs to a test, or to none of them."""
        self.test = hashlib.blake2b(test.encode(), digest_size=6).hexdigest() if test else OUTSIDE

    def told(self, op: str, name: str, number: int | None, *, is_class: bool, own: bool = False) -> str:
        """Return what a question with a test's values in it is called; "" for one that every test may ask.

        A function by the name that a module has for it is what tests are about. A method and whatever else can be
        called under its name are one: which of them it is, is the code's business. An operation on objects of the
        code's alone (`own`) tells it no value, and is another question than the same with one.
        """
        if op == "call":
            if number is not None and (is_class, number) in self.names:
                return ""
            name = self.got.get((is_class, number), "()") if number is not None else "()"
        elif op == "du":
            return "" if name in _TELLS_NOTHING else f"{self.test} du {name}{OWN * own}"[:KEY_CHARS]
        return f"{self.test} {'use' if op in ('call', 'meth') else op} {name}"[:KEY_CHARS]

    def by_identity(self, other: object, *, own: bool) -> bool:
        """Tell whether this test compares objects of the code's as the base's did, which asked none for an answer.

        `own`: with each other; else with values, and of such a kind as `other` is.
        """
        keys = [self.told("du", name, None, is_class=False, own=own) for name in EQUALITY]
        known = self.known
        asked = known is None or any(key in known for key in keys)
        return not asked and (own or self._unlike(other) in (known or ()))

    def compared(self, other: object) -> None:
        """Note that a test compared an object of the code's with a value, and that the code was not asked."""
        self.may(self._unlike(other))

    def _unlike(self, other: object) -> str:
        return f"{self.test} unlike {type(other).__name__}"[:KEY_CHARS]

    def may(self, key: str) -> bool:
        """Note such a question; tell whether the base's run of the same test asked it."""
        if key and key not in self.seen and len(self.seen) < MOST_KEYS:
            self.seen[key] = self.fresh[key] = PLAIN
        return not key or self.known is None or key in self.known

    def compiles(self, text: str | bytes) -> bool:
        """Note a text that the test runner makes code of, which may be an answer; tell whether the base's run did."""
        data = text.encode(errors="replace") if isinstance(text, str) else text
        return self.may(f"code {hashlib.blake2b(data, digest_size=32).hexdigest()}")

    def name(self, number: int, name: str, *, is_class: bool) -> None:
        """Remember under which name of a module something was found; it may have more than one."""
        self.names.setdefault((is_class, number), set()).add(name)

    def keys(self, op: str, what: str, number: int | None, *, is_class: bool) -> list[str]:
        """Return what was asked: by the names of what was called, where a module or an object gave it, or by `what`.

        What an object gave under a name is its method, however it came to be one.
        """
        known = (is_class, -1 if number is None else number)
        found = [f"{op} {name}" for name in sorted(self.names.get(known, ()))]
        if op == "call" and known in self.got:
            found.append(f"meth {self.got[known]}")
        return [key[:KEY_CHARS] for key in found or [f"{op} {what}"]]

    def comes(self, number: int | None, key: str) -> None:
        """Remember which question brought an iterator: what one hands out says nothing of what another may."""
        if number is not None and len(self.came) < MOST_KEYS:
            self.came.setdefault(number, key)  # `iter` of an iterator gives it again

    def lends(self, got: int) -> bool:
        """Tell whether this test may be given a module, or back what it lent: whether it was on the base."""
        return got != FOREIGN or self.may(f"{self.test} foreign")

    def allows(self, keys: list[str], got: int, *, unknown: int = DECIDES) -> bool:
        """Note the level of an answer; tell whether the base gave such a one as well.

        `unknown` is what may be given where the base was never asked.
        """
        for key in keys:
            if got > self.seen.get(key, -1) and len(self.seen) < MOST_KEYS:
                self.seen[key] = self.fresh[key] = got
        known, may = self.known, self.lends(got)
        return known is None or got == PLAIN or (may and all(got <= known.get(key, unknown) for key in keys))

    def take(self) -> dict[str, int]:
        """Return what was learnt since the last time."""
        fresh, self.fresh = self.fresh, {}
        return fresh
