"""The hostile side of a split run: the code under test runs here and answers questions. Nothing of it is trusted.

One line of JSON on stdin says where the code is: {"path": [...], "packages": [...]}. Questions are read from the file
descriptor of the first argument, answers go to that of the second. Nothing in reach says what is being asked for.
"""

from __future__ import annotations

import codecs
import contextlib
import copy
import importlib
import json
import operator
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_wire as wire
    from evoguard_sandbox.guest.split_hold import Hold
else:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # -I leaves the folder of a program out
    import split_wire as wire
    from split_hold import Hold

Value = Any  # the code under test's own objects
OPERATORS: dict[str, Callable[..., Value]] = {
    "__iter__": iter,
    "__next__": next,
    "__len__": len,
    "__reversed__": reversed,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
    "__contains__": operator.contains,
    "__repr__": repr,
    "__str__": str,
    "__format__": format,
    "__bool__": bool,
    "__hash__": hash,
    "__fspath__": os.fspath,
}


def _operate(target: Value, name: str, *args: Value) -> Value:
    special = OPERATORS.get(name)
    if special is not None:
        return special(target, *args)
    return getattr(type(target), name)(target, *args)


def _encoding(name: str) -> codecs.CodecInfo | None:
    """Return a codec that is not one of the library, or None."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        return None
    module = str(getattr(found.encode, "__module__", "") or "")
    return found if module.partition(".")[0] not in ("encodings", "codecs", "_codecs", "") else None


def _codec_part(name: str, part: int) -> Value:
    found = _encoding(name)
    names = ("incrementalencoder", "incrementaldecoder", "streamreader", "streamwriter")
    return getattr(found, names[part], None)


DO: dict[str, Callable[..., Value]] = {
    "import": lambda name: importlib.import_module(name) and None,
    "get": getattr,
    "set": setattr,
    "del": delattr,
    "own": lambda owner, name: owner.__dict__[name],
    "owned": lambda owner: [str(name) for name in owner.__dict__],
    "dir": lambda value: [str(name) for name in dir(value)],
    "call": lambda function, *args, **kwargs: function(*args, **kwargs),
    "meth": lambda owner, name, *args, **kwargs: getattr(owner, name)(*args, **kwargs),
    "du": _operate,
    "isinstance": isinstance,
    "issubclass": issubclass,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "freeze": pickle.dumps,
    "thaw": pickle.loads,
    "codec": lambda name: _encoding(name) is not None,
    "codec_part": _codec_part,
    "encode": lambda name, text, errors: codecs.lookup(name).encode(text, errors),
    "decode": lambda name, data, errors: codecs.lookup(name).decode(data, errors),
}


def _shot(container: Value) -> Value:
    """Return what a container holds, to see later whether it changed."""
    if isinstance(container, bytearray):
        return bytes(container)
    return list(container.items()) if isinstance(container, dict) else list(container)


def _same(before: Value, now: Value) -> bool:
    if isinstance(now, bytes):
        return bool(before == now)
    if len(before) != len(now):
        return False
    if before and type(before[0]) is tuple and type(now[0]) is tuple:
        return all(a is c or (type(a) is tuple and _parts_same(a, c)) for a, c in zip(before, now, strict=True))
    return all(a is b for a, b in zip(before, now, strict=True))


def _parts_same(before: Value, now: Value) -> bool:
    return type(now) is tuple and len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


class Server:
    """Answers one question after the other, until the pipe ends."""

    def __init__(self, pipe: wire.Pipe, packages: list[str]) -> None:
        self.pipe = pipe
        self.hold = Hold(packages, self.ask)
        self.told: list[tuple[type, str]] = []
        self.lock = threading.RLock()
        """Held but while the code itself runs: what another thread asks for waits until a question is open."""
        self.now = 0
        warnings.simplefilter("always")
        warnings.showwarning = self._warned  # type: ignore[assignment]  # where it was does not matter

    def _warned(self, message: Value, category: type, *_where: Value) -> None:
        self.told.append((category, str(message)))

    def ask(self, op: str, at: int, name: str, args: Value, kwargs: Value) -> Value:
        """Ask for something that was lent; serve what is asked in between. Raises: what it raised."""
        with self.lock:
            now = self.now
            out = wire.Pack(self.hold)
            packed, named = out.values(args), out.pairs(kwargs.items())
            self.pipe.put(["c", now, self.hold.take_fresh(), op, at, name, packed, named])
            while True:
                frame = self.pipe.get()
                if frame[0] == "q":
                    self.answer(frame, nested=True)
                    self.now = now
                    continue
                value = wire.Unpack(self.hold).value(frame[1])
                if frame[0] == "x":
                    raise value
                return value

    def answer(self, frame: list[Value], *, nested: bool = False) -> None:
        """Answer one question; one within another thread's or our own call back keeps the line to itself."""
        _, number, op, args, kwargs, drops = frame
        self.now = number
        for at, count in zip(drops[::2], drops[1::2], strict=True):
            self.hold.drop(at, count)
        kind, value = "r", None
        into = wire.Unpack(self.hold)
        before: list[Value] = []
        try:
            given, named = into.values(args), dict(into.pairs(kwargs))
            before = [_shot(container) for container in into.held]
            with contextlib.nullcontext() if nested else self._listening():
                value = DO[op](*given, **named)
        except wire.WireError:
            raise
        except BaseException as err:  # noqa: BLE001 (whatever the code raises is the answer)
            kind, value = "e", err
        try:
            answer = self._packed(kind, number, value, into, before)
        except wire.WireError:
            raise
        except BaseException as err:  # noqa: BLE001 (an answer that cannot be packed is an error too)
            answer = self._packed(
                "e", number, BaseException(f"no answer: {type(err).__name__}"), wire.Unpack(self.hold), []
            )
        self.pipe.put(answer)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Let other threads ask for as long as the block runs."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    def _packed(self, kind: str, number: int, value: Value, into: wire.Unpack, before: list[Value]) -> list[Value]:
        out = wire.Pack(self.hold, into.held)
        changes = [
            [at, wire.contents(out, container)]
            for at, (was, container) in enumerate(zip(before, into.held, strict=False))
            if not _same(was, _shot(container))
        ]
        told, self.told = self.told, []
        packed = out.value(value)
        heard = [[out.value(category), text[:4000]] for category, text in told[:1000]]
        return [kind, number, self.hold.take_fresh(), changes, heard, packed]


def main() -> None:
    """Read where the code is, then serve until the other side ends."""
    order = json.loads(sys.stdin.readline())
    pipe = wire.Pipe(int(sys.argv[1]), int(sys.argv[2]))
    sys.argv[:] = ["app"]
    sys.path += order["path"]
    server = Server(pipe, order["packages"])
    server.lock.acquire()
    try:
        while True:
            server.answer(pipe.get())
    except wire.WireError:
        os._exit(0)


if __name__ == "__main__":
    main()
