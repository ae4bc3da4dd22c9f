"""The side of a replay where the code under test is: takes one request a line, answers one line. Nothing of it is
trusted; it says what it says about itself alone.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import sys
import time
from typing import Any

Value = Any  # the code under test's own objects
PART_CHARS = 4000
SHOWN_HEADERS = ("content-type", "location")
ASGI_S = 30.0


class UnreadableError(Exception):
    """An answer that is none of the forms that can be compared."""


class Refused:
    """Stands where a declared effect was: raises PermissionError, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def at(self, target: str) -> None:
        """Take the place of `module:name`."""
        module, _, name = target.partition(":")
        holder: Value = importlib.import_module(module)
        *way, last = name.split(".")
        for part in way:
            holder = getattr(holder, part)
        getattr(holder, last)  # what is not there was not refused

        def refuse(*_: object, **__: object) -> None:
            self.count += 1
            raise PermissionError(f"{target} is refused in a replay")

        setattr(holder, last, refuse)


def found(target: str) -> Value:
    """Return what `module:name` names."""
    module, _, name = target.partition(":")
    value: Value = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def cut(text: str) -> str:
    """Return a text that is bounded and still another one for another text."""
    if len(text) <= PART_CHARS:
        return text
    return f"{text[: PART_CHARS - 80]}… #{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def canonical(value: Value, ignore: frozenset[str]) -> str:
    """Return JSON in one form, without what is ignored. Raises: UnreadableError for what is no JSON."""
    try:
        return cut(json.dumps(without(value, ignore), sort_keys=True, separators=(",", ":"), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as err:
        raise UnreadableError("the answer is no JSON") from err


def without(value: Value, ignore: frozenset[str]) -> Value:
    """Return a JSON value without the ignored keys, at any depth."""
    if isinstance(value, dict):
        return {key: without(held, ignore) for key, held in value.items() if key not in ignore}
    if isinstance(value, list | tuple):
        return [without(held, ignore) for held in value]
    return value


def call(target: Value, request: Value, ignore: frozenset[str]) -> dict[str, str]:
    """Call, and return the value or the name of what was raised."""
    try:
        value = target(*request["args"], **request["kwargs"])
        if hasattr(value, "__await__"):
            import asyncio

            value = asyncio.run(awaited(value))
    except BaseException as err:  # noqa: BLE001  (what is called may raise whatever it likes; that is the answer)
        return {"raised": type(err).__qualname__[:200]}
    return {"value": canonical(value, ignore)}


async def awaited(value: Value) -> Value:
    """Return what an awaitable gives."""
    return await value


def http(status: int, headers: list[tuple[str, str]], body: bytes, ignore: frozenset[str]) -> dict[str, str]:
    """Return an answer's parts: its status, its type, where it leads, its body."""
    parts = {name: cut(text) for name, text in headers if name in SHOWN_HEADERS}
    parts["status"] = str(status)
    if "json" in parts.get("content-type", "") and body:
        try:
            return {**parts, "body": canonical(json.loads(body), ignore)}
        except (ValueError, RecursionError, UnreadableError):
            pass
    try:
        return {**parts, "body": cut(body.decode())}
    except UnicodeDecodeError:
        return {**parts, "body": f"{len(body)} bytes #{hashlib.sha256(body).hexdigest()}"}


def read(parts: Value, ignore: frozenset[str]) -> dict[str, str]:
    """Return the parts of an answer that was given. What cannot be read is no answer, and equals none.

    Raises: UnreadableError.
    """
    try:
        status, headers, body = parts()
        return http(status, headers, body, ignore)
    except UnreadableError:
        raise
    except Exception as err:
        raise UnreadableError(f"no answer that can be read: {type(err).__name__}") from err


def wsgi(app: Value, request: Value, ignore: frozenset[str]) -> dict[str, str]:
    """Put one request to a WSGI app."""
    body, told = request["body"].encode(), {}  # type: tuple[bytes, dict[str, Value]]
    environ: dict[str, Value] = {
        "REQUEST_METHOD": request["method"], "SCRIPT_NAME": "", "PATH_INFO": request["path"],
        "QUERY_STRING": request["query"], "SERVER_NAME": "replay", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)), "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.multithread": False,
        "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    for name, text in request["headers"].items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    written: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], *_: Value) -> Value:
        told["status"], told["headers"] = status, headers
        return written.append

    try:
        answer = app(environ, start)
        try:
            written.extend(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
    except BaseException as err:  # noqa: BLE001
        return {"raised": type(err).__qualname__[:200]}
    return read(lambda: (
        int(told["status"].split(" ", 1)[0]), [(name.lower(), text) for name, text in told["headers"]],
        b"".join(written),
    ), ignore)  # fmt: skip


class Asgi:
    """An ASGI app with its lifespan started, in one event loop."""

    def __init__(self, app: Value) -> None:
        import asyncio

        self.asyncio, self.app = asyncio, app
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(asyncio.wait_for(self.start(), ASGI_S))

    async def start(self) -> None:
        """Start the lifespan; an app that knows none goes without."""
        asyncio = self.asyncio
        told: Value = asyncio.Queue()
        sent: Value = asyncio.Queue()
        await told.put({"type": "lifespan.startup"})
        self.state: dict[str, Value] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self.life = asyncio.ensure_future(self.app(scope, told.get, sent.put))
        first = asyncio.ensure_future(sent.get())
        await asyncio.wait({self.life, first}, return_when=asyncio.FIRST_COMPLETED)
        if first.done() and first.result().get("type") == "lifespan.startup.failed":
            raise RuntimeError("the app's start-up failed")
        if self.life.done():
            self.life.exception()  # no lifespan: PEP-less apps raise here, and that is how servers read it
        if not first.done():
            first.cancel()

    def __call__(self, request: Value, ignore: frozenset[str]) -> dict[str, str]:
        """Put one request to it."""
        try:
            got = self.loop.run_until_complete(self.one(request))
        except BaseException as err:  # noqa: BLE001
            return {"raised": type(err).__qualname__[:200]}
        return read(lambda: told(got), ignore)

    async def one(self, request: Value) -> list[Value]:
        """Return what the app sent."""
        headers = [[name.encode(), text.encode()] for name, text in request["headers"].items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": request["method"], "scheme": "http", "path": request["path"],
            "raw_path": request["path"].encode(), "query_string": request["query"].encode(), "root_path": "",
            "headers": headers, "client": ["127.0.0.1", 1], "server": ["replay", 80], "state": dict(self.state),
        }  # fmt: skip
        asked = [{"type": "http.request", "body": request["body"].encode(), "more_body": False}]
        got: list[Value] = []

        async def receive() -> Value:
            if asked:
                return asked.pop()
            await self.asyncio.sleep(3600)  # nobody hangs up before the answer is there
            return {"type": "http.disconnect"}

        async def send(message: Value) -> None:
            got.append(message)

        await self.app(scope, receive, send)
        return got


def told(got: list[Value]) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of what an ASGI app sent; headers may be left out."""
    begun = next(m for m in got if m["type"] == "http.response.start")
    body = b"".join(m.get("body", b"") for m in got if m["type"] == "http.response.body")
    headers = begun.get("headers", ())
    return begun["status"], [(bytes(k).decode("latin-1").lower(), bytes(v).decode("latin-1")) for k, v in headers], body


def main() -> None:
    """Bring the code up, then answer."""
    asked, tells = os.fdopen(int(sys.argv[1]), "rb"), int(sys.argv[2])

    def tell(doc: object) -> None:
        data = json.dumps(doc).encode() + b"\n"
        while data:
            data = data[os.write(tells, data) :]

    order = json.loads(asked.readline())
    sys.path[:0] = order["path"]
    refused = Refused()
    barred = bar(order["groups"], refused)
    puts = [(None, barred) if barred else up(group) for group in order["groups"]]
    tell([why for _, why in puts])
    for line in asked:
        number, group, request = json.loads(line)
        refused.count, began = 0, time.process_time()
        try:
            row = [number, "answer", puts[group][0](request)]
        except UnreadableError as err:
            row = [number, "unreadable", {"why": str(err)}]
        tell([*row, int((time.process_time() - began) * 1_000_000), refused.count])


def bar(groups: list[dict[str, Value]], refused: Refused) -> str:
    """Refuse what any group declares, before any of the code is asked for; return why that cannot be, or nothing.

    Later a module may hold a reference of its own already, by which the effect would be had and counted by nobody.
    """
    for one in dict.fromkeys(one for group in groups for one in group["refuse"]):
        try:
            refused.at(one)
        except BaseException as err:  # noqa: BLE001  (whatever the import raised: it was not refused)
            return f"{one} cannot be refused: {type(err).__qualname__}: {err}"[:200]
    return ""


def up(group: dict[str, Value]) -> tuple[Value, str]:
    """Return what answers a group's requests, or why nothing does."""
    ignore, kind = frozenset(group["ignore"]), group["kind"]
    try:
        target = found(group["target"])
        if kind == "asgi":
            target = Asgi(target)
    except BaseException as err:  # noqa: BLE001  (whatever the import raised: there is nothing to ask)
        return None, f"{group['target']} did not come up: {type(err).__qualname__}: {err}"[:200]
    if kind == "asgi":
        return (lambda request: target(request, ignore)), ""
    put = call if kind == "callable" else wsgi
    return (lambda request: put(target, request, ignore)), ""


if __name__ == "__main__":
    main()
