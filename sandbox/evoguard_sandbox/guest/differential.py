"""Makes a list of calls on the code in the working folder and writes what came of each, in one line at the end.

The code is called in a child that knows neither the rest of the list's file nor the way out; a child that ends, hangs
or writes what is no result is put away, and another goes on with the next call.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import enum
import hashlib
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import types
from typing import Any

CALLS = ".evoguard-calls"
IMPORT_S, CALL_S, ALL_S = 5.0, 1.0, 8.0
MOST_CHILDREN, LINE_BYTES = 12, 8192
CHILD_BYTES = 1 << 30
TEXT_CHARS, PART_CHARS, MOST_PARTS, DEEP, MOST_ITEMS = 600, 200, 2000, 12, 50
PLAIN = (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset)
SHOWN_BY_THEMSELVES = frozenset({"datetime", "decimal", "fractions", "uuid", "ipaddress", "pathlib", "zoneinfo"})
ONCE = (types.GeneratorType, map, filter, zip, enumerate, reversed)
Call = tuple[str, str, tuple[Any, ...], dict[str, Any], tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...]]


class Text:
    """A value as text that is the same for equal values of plain types; others are told by their type alone."""

    def __init__(self) -> None:
        self.left = MOST_PARTS

    def of(self, value: object, depth: int = 0) -> str:
        """Return the text; parts beyond the bounds read `...`."""
        self.left -= 1
        if self.left < 0 or depth > DEEP:
            return "..."
        kind = type(value)
        if value is None or value is Ellipsis:
            return repr(value)
        if kind in PLAIN:
            return self.plain(kind, value, depth)
        return self.made(kind, value, depth)

    def made(self, kind: type, value: Any, depth: int) -> str:  # noqa: ANN401  (whatever a call returned)
        """Return the text of what is no plain value: its type's name, and what is plain in it."""
        if isinstance(value, enum.Enum):
            text = f".{value.name}"
        elif kind.__module__.partition(".")[0] in SHOWN_BY_THEMSELVES:
            text = cut(repr(value))
        elif isinstance(value, ONCE):
            taken = [self.of(item, depth + 1) for item, _ in zip(value, range(MOST_ITEMS), strict=False)]
            text = f"({', '.join(taken)})"
        elif dataclasses.is_dataclass(kind):
            fields = (f"{f.name}={self.of(getattr(value, f.name, None), depth + 1)}" for f in dataclasses.fields(kind))
            text = f"({', '.join(fields)})"
        else:
            plain = next((known for known in PLAIN if isinstance(value, known)), None)
            text = " object" if plain is None else f"({self.plain(plain, value, depth)})"
        if isinstance(value, types.CoroutineType):
            value.close()
        return f"{kind.__qualname__}{text}"

    def plain(self, kind: type, value: Any, depth: int) -> str:  # noqa: ANN401
        """Return the text of a plain value by its type's own methods, whatever a subclass makes of them."""
        if kind is dict:
            pairs = sorted(f"{self.of(k, depth + 1)}: {self.of(v, depth + 1)}" for k, v in dict.items(value))
            return f"{{{', '.join(pairs)}}}"
        if kind in (tuple, list, set, frozenset):
            holder: Any = kind
            items = [self.of(item, depth + 1) for item in holder.__iter__(value)]
            inside = ", ".join(items if kind in (tuple, list) else sorted(items))
            return f"[{inside}]" if kind is list else f"({inside},)" if kind is tuple else f"{kind.__name__}({inside})"
        if kind is int and int.bit_length(value) > 4000:
            return cut(hex(value))
        printed: Any = kind
        return cut(printed.__repr__(value))


def cut(text: str, most: int = PART_CHARS) -> str:
    """Return a text that is bounded and still another one for another text."""
    if len(text) <= most:
        return text
    return f"{text[: most - 20]}… #{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def answer(call: Call) -> tuple[str, str]:
    """Make one call; return "value" or "raised" and the text of it, with arguments that the call changed."""
    module, name, args, kwargs, then = call
    before = Text().of((args, kwargs))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        value = found(*args, **kwargs)
        for method, more, named in then:
            value = getattr(value, method)(*more, **named)
        kind, text = "value", Text().of(value)
    except BaseException as err:  # noqa: BLE001  (what is called may raise whatever it likes; that is the answer)
        kind, text = "raised", type(err).__qualname__
    after = Text().of((args, kwargs))
    return kind, cut(text if after == before else f"{text}, and its arguments became {after}", TEXT_CHARS)


def serve(calls: list[Call], start: int, pipe: int) -> None:
    """Answer the calls from `start` on; runs in the child, where the code under test is."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    for module in dict.fromkeys(call[0] for call in calls):
        with contextlib.suppress(BaseException):
            importlib.import_module(module)
    os.write(pipe, b'["ready"]\n')
    for number in range(start, len(calls)):
        os.write(pipe, json.dumps([number, *answer(calls[number])]).encode() + b"\n")


class Child:
    """One process that answers calls, and what it wrote so far."""

    def __init__(self, calls: list[Call], start: int, way_out: int) -> None:
        self.pipe, far = os.pipe()
        self.buffer = b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(way_out)
                os.close(self.pipe)
                os.setsid()
                serve(calls, start, far)
            finally:
                os._exit(0)
        os.close(far)

    def line(self, until: float) -> bytes | None:
        """Return the next line, empty at the end; None when it did not come in time. Raises: ValueError."""
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.pipe], [], [], left)[0]:
                return None
            data = os.read(self.pipe, LINE_BYTES)
            if not data:
                return b""
            self.buffer += data
            if len(self.buffer) > 4 * LINE_BYTES:
                raise ValueError("a line without an end")
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def end(self) -> None:
        """Put it away, and what is still in its group."""
        for target in (-self.pid, self.pid):
            with contextlib.suppress(OSError):
                os.kill(target, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)


def ask(calls: list[Call], way_out: int) -> tuple[list[list[str]], str]:
    """Return a kind and a text for each call, and what was wrong with an answer's form, if anything."""
    results: list[list[str]] = []
    end = time.monotonic() + ALL_S
    for _ in range(MOST_CHILDREN):
        if len(results) == len(calls) or time.monotonic() > end:
            break
        child = Child(calls, len(results), way_out)
        try:
            if child.line(min(end, time.monotonic() + IMPORT_S)) != b'["ready"]':
                raise ValueError("it ended, hung or wrote something of its own while it was imported")
            while len(results) < len(calls):
                until = min(end, time.monotonic() + CALL_S)
                line = child.line(until)
                if not line:
                    late = line is None and time.monotonic() >= end
                    if not late:
                        results.append(["hung", ""] if line is None else ["died", ""])
                    break
                results.append(parsed(line, len(results)))
        except ValueError as err:
            return results, str(err)
        finally:
            child.end()
    return [*results, *([["unrun", ""]] * (len(calls) - len(results)))], ""


def parsed(line: bytes, number: int) -> list[str]:
    """Return an answer's kind and text. Raises: ValueError for anything else."""
    found = json.loads(line)
    if not isinstance(found, list) or len(found) != 3 or found[0] != number or type(found[0]) is not int:
        raise ValueError("an answer out of its order")
    kind, text = found[1:]
    if kind not in ("value", "raised") or not isinstance(text, str) or len(text) > 2 * TEXT_CHARS:
        raise ValueError("an answer of another form")
    return [kind, text]


def main() -> None:
    """Read the list, ask, and write one line."""
    with open(CALLS, encoding="utf-8") as source:
        calls: list[Call] = ast.literal_eval(source.read())
    os.unlink(CALLS)
    here = os.getcwd()
    sys.path[:0] = [here, f"{here}/src", *os.environ.get("PYTHONPATH", "").split(":")]
    way_out, nothing = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    results, wrong = ask(calls, way_out)
    data = json.dumps({"wrong": wrong, "results": results}).encode() + b"\n"
    while data:
        data = data[os.write(way_out, data) :]


if __name__ == "__main__":
    main()
