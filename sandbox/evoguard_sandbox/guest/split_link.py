"""The connection of the trusted side: questions out, answers in, and callbacks only into what was lent.

Every answer is checked before it has an effect. The first that is not of the protocol is kept in `tamper`, and from
then on every question raises TamperError. What cannot cross raises UnsplitError before anything is sent.
"""

from __future__ import annotations

import bisect
import datetime
import os
import threading
import types
import unittest
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_proxy as proxy
    from evoguard_sandbox.guest import split_stock as stock
    from evoguard_sandbox.guest import split_wire as wire
    from evoguard_sandbox.guest.split_build import build
    from evoguard_sandbox.guest.split_data import UNKNOWN, as_its_kind, counted, data_of, is_own, overrides
    from evoguard_sandbox.guest.split_doubt import is_plain
    from evoguard_sandbox.guest.split_judge import Judge
    from evoguard_sandbox.guest.split_kinds import PLAIN
    from evoguard_sandbox.guest.split_lend import Lent
    from evoguard_sandbox.guest.split_values import new_error
else:
    import split_proxy as proxy
    import split_stock as stock
    import split_wire as wire
    from split_build import build
    from split_data import UNKNOWN, as_its_kind, counted, data_of, is_own, overrides
    from split_doubt import is_plain
    from split_judge import Judge
    from split_kinds import PLAIN
    from split_values import new_error

Value = Any  # whatever tests and the candidate exchange
MOST_LOG = 2000
MOST_LOG_BYTES = 2000
MOST_NESTED = 60
MOST_MOMENTS = 64
MOST_CALLBACKS = 500_000
_STEPS = ("__next__", "send", "throw")
LEARNS = "the code asks this of an object of the test's, and the base did not"
_getpid = os.getpid


def _naive(moment: datetime.datetime) -> Value:
    """Return what a moment holds beside zone and fold, whatever its class says of itself.

    Comparing asks the zone for both folds.
    """
    return datetime.datetime.__reduce__(moment)[1][0]


class Link(Judge):
    """One connection.

    `calls` counts questions, `log` holds (module, name, packed arguments) of calls with plain data, `unsplit` counts
    what could not cross; a test in which it grew did not run split, whatever its outcome. `leaned` counts what
    the code's own comparison decided, also between two objects of its own; a test in which it grew is no proof.
    `decided` counts those of them in which it was told what is expected.
    `most` bounds the questions and callbacks of one test, where it is not 0.
    """

    def __init__(self, pipe: wire.Pipe, packages: Sequence[str]) -> None:
        super().__init__(packages)
        self.pipe = pipe
        self.calls = 0
        self.tamper = ""
        self.gone = ""
        self.unsplit = 0
        self.leaned = self.decided = 0
        self.log: list[tuple[str, str, list[Value]]] = []
        self.callbacks = 0
        self.nested = 0
        self.pid = _getpid()
        self.lock = threading.RLock()
        self.pending: BaseException | None = None
        self.most = 0
        self.upto = 0
        self.library = stock.shapes()
        self.moments: set[bytes] = set()
        """The first moments that the code answered with in this test."""

    # --- saying no
    def accuse(self, what: str) -> proxy.TamperError:
        """Keep the first protocol violation for good; return what to raise."""
        self.tamper = self.tamper or what[:300] or "tamper"
        return proxy.TamperError(self.tamper)

    def lose(self, what: str) -> proxy.TamperError:
        """Note that nobody answers any more, which honest code can come to as well; no test that asks ran split."""
        self.gone = self.gone or what
        self.unsplit += 1
        return proxy.TamperError(self.gone)

    def refuse(self, what: str) -> proxy.UnsplitError:
        """Count something that cannot run split; return what to raise."""
        self.unsplit += 1
        return proxy.UnsplitError(what)

    def lean(self, *, told: bool) -> None:
        """Note that the code's own comparison decided something.

        `told`: it was told what the test expects. Then the test proves nothing, as if it could not run split.
        """
        self.leaned += 1
        self.decided += told
        self.unsplit += told

    def let_go(self, number: int, count: int) -> None:
        """Note that no stand-in is left of an object; the next question says so."""
        self.dropped += (number, count)

    def show(self, moment: Value) -> None:
        """Note that the code's own time zone is asked about a moment, which may be the one that a test expects.

        Its answer decides how aware moments compare. Only one that the code has just given tells it nothing new.
        """
        if isinstance(moment, datetime.datetime) and _naive(moment) not in self.moments:
            self.lean(told=True)

    def begin(self) -> None:
        """Begin a test: what it may ask is counted from here."""
        self.moments.clear()
        self.upto = self.calls + self.callbacks + self.most if self.most else 0

    def end(self) -> None:
        """End a test. Once a class of the library is changed, as a pickle can, no test proves anything."""
        self.unsplit += stock.changed(self.library)

    def _spend(self) -> None:
        """Raises: UnsplitError when the test has asked as often as it may; others wait for the same connection."""
        if self.upto and self.calls + self.callbacks >= self.upto:
            raise self.refuse("more questions than a test may ask apart from the code")

    # --- questions
    def ask(self, op: str, *args: Value) -> Value:
        """Do one thing over there and return its answer, or raise the error it raised."""
        return self._question(op, args, {})

    def call(self, target: Value, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        """Call a class, a function or a method over there."""
        if type(target) is proxy.Method:
            owner, name = target._split_owner, target._split_name
            said = self._question("meth", (owner, name, *args), kwargs)
            if args and overrides(owner, name) and not (proxy.is_object(said) or as_its_kind(name, owner, args, said)):
                self.lean(told=True)
            return said
        return self._question("call", (target, *args), kwargs)

    def _question(self, op: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        with self.lock:
            if self.tamper:
                raise proxy.TamperError(self.tamper)
            if self.gone:
                raise self.lose(self.gone)
            if _getpid() != self.pid:
                raise self.refuse("a fork of the test process")
            self._spend()
            self._tell(op, args, kwargs)
            out = wire.Pack(self)
            try:
                packed, named, ends = self._packed(out, args, kwargs)
            except wire.DepthError as err:
                raise self.refuse(str(err)) from None
            self.calls += 1
            if op == "call" and out.plain and len(self.log) < MOST_LOG:
                self._note(args[0], packed[1:], named)
            # Of an answer whose reading asks this: a set wants to know hashes.
            outer = self.level, self.changed, self.put, self.inside
            try:
                kind, value, told = self._exchange(["q", self.calls, op, packed, named], out.held)
                places = {(*map(str, range(len(args))), *kwargs)[bisect.bisect(ends, at)] for at in self.changed}
                more = self._compare(op, args, kind, value, sorted(places))
            finally:
                self.level, self.changed, self.put, self.inside = outer
        settled = self._settle(op, args, kind, value, told)
        return self._less(value, more) if more else settled

    def _packed(
        self, out: wire.Pack, args: tuple[Value, ...], kwargs: dict[str, Value]
    ) -> tuple[list[Value], list[Value], list[int]]:
        """Pack a question; return also how many containers there were after each of its arguments."""
        packed, named, ends = [], [], []
        for at, value in enumerate(args):
            if at == 1:
                out.plain = True  # so far only what is called was packed
            packed.append(out.value(value))
            ends.append(len(out.held))
        for name, value in kwargs.items():
            named += [name, out.value(value)]
            ends.append(len(out.held))
        return packed, named, ends

    def _less(self, value: Value, why: str) -> Value:
        """Return what a test gets in place of an answer that is more than the base's was.

        A copy of what a container holds, as the base's own would be one, where that is data; else an object that
        refuses whatever is done with it: a test that drops it tells it nothing.
        """
        if isinstance(value, stock.CONTAINERS) and is_own(value) and is_plain(held := data_of(value)):
            return held
        if (listed := counted(value)) is not UNKNOWN and is_plain(listed):
            return listed
        return proxy.sealed(self, why, called=callable(value))

    def _exchange(self, question: list[Value], given: list[Value]) -> tuple[str, Value, list[Value]]:
        """Send a question and return its answer; keep what kind of silence or lie comes in its place."""
        drops, self.dropped = self.dropped, []
        try:
            if not self.pipe.idle():
                raise wire.WireError("an answer that nobody asked for")
            self.pipe.put([*question, drops])
            return self._answer(question[1], given)
        except wire.DepthError as err:
            raise self.refuse(str(err)) from None
        except wire.GoneError as err:
            raise self.lose(str(err)) from None
        except wire.WireError as err:
            raise self.accuse(str(err)) from None

    def _note(self, target: Value, packed: list[Value], named: list[Value]) -> None:
        if isinstance(target, proxy.PxMeta):
            where = (type.__getattribute__(target, "__module__"), type.__getattribute__(target, "__qualname__"))
        else:
            where = (
                self.where.get(proxy.handle_of(target).number, ("", "")) if isinstance(target, proxy.Px) else ("", "")
            )
        if where[0] and not named and len(str(packed)) <= MOST_LOG_BYTES:
            self.log.append((*where, packed))

    def _settle(self, op: str, args: tuple[Value, ...], kind: str, value: Value, told: list[Value]) -> Value:
        """Re-issue warnings, then give the value or raise the error of an answer."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            raise pending
        for category, text in told:
            own = isinstance(category, proxy.PxMeta)  # made here: the code's class is asked nothing
            warnings.warn(new_error(category, [text]) if own else text, category, stacklevel=5)
        if kind == "r":
            if op == "get" and isinstance(args[0], types.ModuleType) and isinstance(value, proxy.Px):
                self.where[proxy.handle_of(value).number] = (args[0].__name__, args[1])
            if isinstance(value, datetime.datetime) and len(self.moments) < MOST_MOMENTS:
                self.moments.add(_naive(value))
            return value
        if not isinstance(value, Exception) or isinstance(value, unittest.SkipTest):
            raise self.refuse(f"the code under test raised {type(value).__name__}") from None
        step = op in ("du", "meth")
        if isinstance(value, StopIteration | StopAsyncIteration) and not (step and args[1] in _STEPS):
            raise self.refuse(f"the code under test raised {type(value).__name__}") from None
        raise value

    # --- answers
    def _answer(self, number: int, given: list[Value]) -> tuple[str, Value, list[Value]]:
        """Serve callbacks until the answer is there. Raises: WireError, UnsplitError."""
        while True:
            frame = self.pipe.get()
            try:
                if frame[0] == "c" and frame[1] == number:
                    self._define(frame[2])
                    self._callback(*frame[3:])
                    continue
                kind, seen, classes, changes, told, value = frame
                if kind not in ("r", "e") or seen != number or type(seen) is not int:
                    raise wire.WireError("an answer to another question")
                return self._read_answer(kind, given, classes, changes, told, value)
            except (wire.WireError, wire.DepthError):
                raise
            except Exception as err:  # noqa: BLE001 (whatever goes wrong with an answer, the answer is to blame)
                raise wire.WireError(f"an answer of an unknown shape: {type(err).__name__}") from None

    def _read_answer(self, kind: str, given: list[Value], *parts: Value) -> tuple[str, Value, list[Value]]:
        classes, changes, told, packed = parts
        self._define(classes)
        self.level, self.inside, self.changed = PLAIN, PLAIN, ()
        into = wire.Unpack(self, given)
        if len({at for at, _ in changes}) != len(changes):
            raise wire.WireError("an argument changed twice")
        for at, content in changes:
            wire.fill(into, wire.pick(given, at), content)
        self.changed = tuple(at for at, _ in changes)
        self.put, self.level = self.level, PLAIN
        value = into.value(packed)
        if kind == "e" and not isinstance(value, BaseException):
            raise wire.WireError("an error that is none")
        level = self.level  # a warning is heard beside the answer
        heard = [(into.value(category), text) for category, text in told]
        self.level = level
        if len(heard) > 1000 or not all(
            type(text) is str and isinstance(category, type) and issubclass(category, Warning)
            for category, text in heard
        ):
            raise wire.WireError("a warning that is none")
        return kind, value, heard

    def _define(self, records: Value) -> None:
        for record in records:
            build(self, self.classes, record)

    def _callback(self, op: Value, at: Value, name: Value, args: Value, kwargs: Value) -> None:
        """Do what the other side asks of something lent, and answer it."""
        thing = wire.pick(self.lent, at)
        self.callbacks += 1
        if self.callbacks > MOST_CALLBACKS:
            raise wire.GoneError("more callbacks than a run may have")
        if op not in ("get", "du") or type(name) is not str:
            raise wire.WireError("an unknown callback")
        into, self.level = wire.Unpack(self), PLAIN
        operands, named = into.values(args), dict(into.pairs(kwargs))
        if not all(type(key) is str for key in named):
            raise wire.WireError("an unknown callback")
        self.nested += 1
        try:
            if self.nested > MOST_NESTED:
                raise self.refuse("callbacks within callbacks without end")
            if not self.kinds.allows([f"back {name}", f"{self.kinds.test} back {name}"], self.level):
                raise self.refuse("a callback with an object of the code's where the base has plain data")
            self._spend()
            frame = ["k", wire.Pack(self).value(self._given(thing, op, name, operands, named))]
        except wire.WireError:
            raise
        except BaseException as err:  # noqa: BLE001 (whatever the tests raise goes back through the candidate)
            frame = ["x", self._raised(err)]
        finally:
            self.nested -= 1
        self.pipe.put(frame)

    def _given(self, thing: Lent, op: str, name: str, operands: list[Value], named: dict[str, Value]) -> Value:
        """Return what is asked of something lent. Raises: UnsplitError where the base's run did not learn as much."""
        self._may(thing.used(self.kinds.test), LEARNS)
        given = thing.attribute(name) if op == "get" else thing.operate(name, operands, named)
        self._may(thing.shows(op, name, operands), LEARNS)
        return given

    def _raised(self, err: BaseException) -> Value:
        """Pack an error of a callback. A failed check is not the candidate's to swallow: it is raised in the end."""
        if isinstance(err, AssertionError | proxy.TamperError | proxy.UnsplitError):
            self.pending = self.pending or err
        elif not isinstance(err, Exception) or isinstance(err, unittest.SkipTest):
            self.pending = self.pending or RuntimeError(f"a callback raised {type(err).__name__}")
        else:
            return wire.Pack(self).value(err)
        return ["n", "builtins:RuntimeError"]
