"""What the trusted side lets pass: no answer, error or change that is more than the base's, and no new question.

`split_kinds` keeps what was seen on the base; here each question and answer is held against it.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_proxy as proxy
    from evoguard_sandbox.guest.split_kinds import EQUALITY, FOREIGN, KEY_CHARS, OUTSIDE, OWN, PLAIN
    from evoguard_sandbox.guest.split_names import DUNDERS
    from evoguard_sandbox.guest.split_values import Values
else:
    import split_proxy as proxy
    from split_kinds import EQUALITY, FOREIGN, KEY_CHARS, OUTSIDE, OWN, PLAIN
    from split_names import DUNDERS
    from split_values import Values

Value = Any  # whatever tests and the candidate exchange
LINKS = ("__wrapped__", "__func__", "__self__")
"""What leads from one callable to another; nobody calls it under this name.

Nor does anybody call an operation so that was found in a class: the library looks whether a class has it.
"""


def _ends(op: str, error: Value) -> bool:
    """Tell whether an error brings the result of a generator or a coroutine, which is an answer like others."""
    return op in ("du", "meth") and isinstance(error, StopIteration)


class Judge(Values):
    """Values, and what of them may cross."""

    changed: tuple[int, ...] = ()
    """Which containers of its question the last answer changed; `put` is the level of what it put there."""
    put = PLAIN

    def _tell(self, op: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> None:
        """Raises: UnsplitError where a test would tell an object of the code something that it did not on the base."""
        named = op in ("meth", "du", "set")
        if op not in ("call", "isinstance", "issubclass", "encode", "decode") and not named:
            return
        if op in ("call", "meth", "du") and len(args) == 1 + named and not kwargs:
            return  # nothing of the test's is in it
        asked, name = args[0], str(args[1]) if named else ""
        is_class = isinstance(asked, proxy.PxMeta)
        number = proxy.number_of(asked) if op == "call" else None
        own = op == "du" and all(map(proxy.is_object, args[2:]))
        key = self.kinds.told(op, name, number, is_class=is_class, own=own)
        same = (
            op == "du"
            and name in EQUALITY
            and (proxy.number_of(args[2]) is not None or self.kinds.by_identity(args[2], own=False))
        )
        (self.kinds.may if same else self._may)(key)  # there who asks judges what is said

    def _may(self, key: str, why: str = "an object of the code's is asked what the base never was") -> None:
        if not self.kinds.may(key):
            raise self.refuse(f"{key.partition(' ')[2]}: {why}")

    def _compare(self, op: str, args: tuple[Value, ...], kind: str, value: Value, places: list[str]) -> str:
        """Return in which way the answer is more than the base's was, if so. Keeps what a module calls things.

        `places` are the arguments that come back changed.
        Raises: UnsplitError for what nobody could give in its place.
        """
        if places:
            self._changes(self._keys(op, args, is_class=isinstance(args[0], proxy.PxMeta))[1], places)
        if kind == "e" and not _ends(op, value):
            self._raises()
            return ""
        asked, is_class = args[0], isinstance(args[0], proxy.PxMeta)
        if op in ("get", "own", "meth"):
            self._got(op, str(args[1]), value, of_module=isinstance(asked, types.ModuleType))
        what, keys = self._keys(op, args, is_class=is_class)
        if not self.kinds.allows(keys, self.level):
            why = f"{keys[0]}: an object of the code's where the base has plain data"
            if self.level == FOREIGN or kind == "e":
                raise self.refuse(why)
            return why
        if proxy.steps(value):
            self.kinds.comes(proxy.number_of(value), keys[0])
        if op == "get" and isinstance(asked, types.ModuleType) and (known := proxy.number_of(value)) is not None:
            self.kinds.name(known, what, is_class=isinstance(value, proxy.PxMeta))
        return ""

    def _keys(self, op: str, args: tuple[Value, ...], *, is_class: bool) -> tuple[str, list[str]]:
        """Return what a question asked for, and what its answer's level is kept under."""
        asked, number, what = args[0], None, ""
        if op == "call":
            number = proxy.number_of(asked)
        elif len(args) > 1 and type(args[1]) is str:
            what = f"{asked.__name__}.{args[1]}" if isinstance(asked, types.ModuleType) else args[1]
        if op == "du" and len(args) > 2 and all(map(proxy.is_object, args[2:])):
            what += OWN  # `2 * v` may be an object where `v * w` is a number
        keys = self.kinds.keys(op, what, number, is_class=is_class)
        if op in ("du", "meth") and (came := self.kinds.came.get(proxy.number_of(asked))):
            keys.append(f"{keys[0]} of {came}")
        return what, keys

    def _changes(self, keys: list[str], places: list[str]) -> None:
        """Raises: UnsplitError where the code puts more into a value of the test's than it did on the base.

        Each argument of each use counts by itself: who fills one may not empty another that it is compared with.
        """
        asked = [f"{self.kinds.test} changes {place} of {key}"[:KEY_CHARS] for key in keys for place in places]
        if not all([self.kinds.may(key) for key in asked]):
            raise self.refuse("a value of the test's comes back changed where the base's test got it back as it was")
        if not self.kinds.allows([f"{self.kinds.test} puts"], self.put):
            raise self.refuse("an object of the code's is put into a test's value where the base puts plain data")

    def _raises(self) -> None:
        """Raises: UnsplitError where an error brings more than the same test's errors did on the base."""
        if not self.kinds.lends(self.level):
            raise self.refuse("an error with a module, or with what the tests lent, where the base's had none")
        if self.inside != PLAIN and not self.kinds.allows([f"{self.kinds.test} raises"], self.inside, unknown=PLAIN):
            raise self.refuse("an error with an object of the code's where the base's has plain data")

    def _got(self, op: str, name: str, value: Value, *, of_module: bool) -> None:
        """Note what can be called under a name; what was called is one that could be.

        Raises: UnsplitError for something to call where the base's test had none: it would hear what is expected.
        """
        if op == "meth":
            self.kinds.may(self.kinds.told("meth", name, None, is_class=False))
            return
        if not callable(value) or of_module or name in LINKS or (op == "own" and name in DUNDERS):
            return
        number = proxy.number_of(value)
        known = isinstance(value, proxy.PxMeta), -1 if number is None else number
        if number is not None:
            self.kinds.got[known] = name
        if self.kinds.may(self.kinds.told("meth", name, None, is_class=False)):
            return
        if self.kinds.test == OUTSIDE and number is not None and known not in self.kinds.names:
            return  # whoever collects tests looks at every attribute; calling one is another question
        raise self.refuse(f"{name}: something to call where the base's test had none")
