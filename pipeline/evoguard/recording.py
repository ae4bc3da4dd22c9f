"""Live requests kept for a replay before the first user: an ASGI middleware, and the file that any service can write.

    app = Recorder(app, "/var/lib/lending/requests.jsonl", percent=1.0, redact=("iban",))

One JSON object a line: `{"v": 1, "at": ms, "request": {"method", "path", "query", "headers", "body"}, "status": 200,
"ms": 12}`; a service without HTTP writes the request as `{"args": [...], "kwargs": {...}}`. Nothing here needs the rest
of evoguard, and nothing of it can fail a request: what cannot be recorded is counted in `Recorder.counts`.

What is secret or personal is replaced before anything reaches the disk: values under keys that say so, and texts that
look so under any key. Equal values become equal stand-ins within one process, so that requests still fit together; the
key is random and kept nowhere. Only bodies of JSON are recorded, only headers of a short list. Answers are not kept.
Source: docs/adr/0019-before-one-percent.md
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import random
import re
import secrets
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from evoguard.domain.cases import request_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_BODY_BYTES, MOST_LINE_BYTES, MOST_FILE_BYTES = 32 << 10, 64 << 10, 16 << 20
LOCK_TRIES, LOCK_S, MOST_WAITING = 20, 0.01, 64
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
KEPT_HEADERS = frozenset({"accept", "accept-language", "content-type"})
WORDS = (
    "account", "address", "apikey", "auth", "bic", "birth", "bsn", "card", "city", "cookie", "credential", "cvv", "dob",
    "email", "firstname", "fullname", "iban", "lastname", "login", "mail", "mobile", "name", "nonce", "otp", "owner",
    "passport", "passphrase", "passwd", "password", "phone", "pin", "postcode", "secret", "session", "signature", "ssn",
    "street", "surname", "tax", "tel", "token", "user", "vat", "zip",
)  # fmt: skip
"""A key that holds one of these, whatever its case and marks, has its value replaced; too many rather than too few."""
LOOKS = re.compile(
    r"[^\s@\"'<>]{1,64}@[^\s@\"'<>]{1,255}"  # an address
    r"|\+?\d[\d ()./-]{7,}\d"  # a phone, card or account number
    r"|\b[A-Z]{2}\d{2}[A-Z0-9]{10,30}\b"  # an IBAN
    r"|\b(?:\d{1,3}\.){3}\d{1,3}\b"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?:[0-9A-Fa-f]{1,4}:){3,7}[0-9A-Fa-f]{0,4}|(?:[0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f:]*"  # an address of a machine
    r"|\b[A-Z0-9]{20}\b"  # the id of a key
    r"|(?<![A-Za-z0-9])[A-Za-z0-9_+/-]{24,}={0,2}"  # a token, a hash
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
)


class Redactor:
    """Replaces what is secret or personal by stand-ins that are equal for equal values."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._words = (*WORDS, *(_bare(word) for word in more))
        self._key = secrets.token_bytes(32)

    def value(self, held: object, key: str = "", depth: int = 0) -> object:
        """Return a JSON value with everything replaced that its key or its look gives away."""
        if depth > 40:
            return None
        if isinstance(held, dict):
            return {self.text(str(name)): self.value(one, f"{key} {name}", depth + 1) for name, one in held.items()}
        if isinstance(held, list):
            return [self.value(one, key, depth + 1) for one in held]
        named = any(word in _bare(key) for word in self._words)
        if isinstance(held, str):
            return self.stand_in(held) if named and held else self._inside(held, key, depth)
        if isinstance(held, bool) or held is None:
            return held
        return 0 if named or LOOKS.search(str(held)) else held

    def _inside(self, held: str, key: str, depth: int) -> str:
        """Return a text redacted; one that is JSON itself by what its keys say."""
        if held.lstrip()[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                return json.dumps(self.value(json.loads(held), key, depth + 1))
        return self.text(held)

    def text(self, text: str) -> str:
        """Return a text with what looks secret or personal replaced."""
        return LOOKS.sub(lambda found: self.stand_in(found.group()), text)

    def stand_in(self, text: str) -> str:
        """Return what stands for a text."""
        return f"r-{hmac.new(self._key, text.encode('utf-8', 'replace'), hashlib.sha256).hexdigest()[:12]}"

    def query(self, query: str) -> str:
        """Return a query with its values replaced as those of a body."""
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=200)
        return urlencode([(self.text(name), str(self.value(text, name))) for name, text in pairs])


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def append(path: Path, doc: object, most_bytes: int = MOST_FILE_BYTES) -> bool:
    """Append one line, whole or not at all, also beside other processes; False when the file is full.

    Raises: OSError; ValueError for a line that is too long.
    """
    data = json.dumps(doc, separators=(",", ":")).encode() + b"\n"
    if len(data) > MOST_LINE_BYTES:
        raise ValueError("the line is too long")
    file = os.open(path, _APPEND, 0o600)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise OSError("a recording is a file that nobody else may read")
        _lock(file)
        size = os.fstat(file).st_size
        if size + len(data) > most_bytes:
            return False
        if os.write(file, data) != len(data):
            os.ftruncate(file, size)
            raise OSError("the disk took a part of the line")
        return True
    finally:
        os.close(file)


def _lock(file: int) -> None:
    """Take the lock, or give up soon: whoever holds it for long must not hold the service. Raises: OSError."""
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOCK_S)
    raise OSError("another process holds the recording")


class Recorder:
    """An ASGI app around another that records a share of its HTTP requests. `percent` is 0 to 100."""

    def __init__(
        self, app: App, path: str | Path, *, percent: float = 1.0, redact: Iterable[str] = (),
        keep_headers: Iterable[str] = (), most_bytes: int = MOST_FILE_BYTES,
    ) -> None:  # fmt: skip
        if not 0 <= percent <= 100:
            raise ValueError("percent is a number from 0 to 100")
        self._app, self._path, self._percent, self._most = app, Path(path), percent, most_bytes
        self._redactor = Redactor(redact)
        self._headers = KEPT_HEADERS | {name.lower() for name in keep_headers}
        self._waiting = 0
        self._one = ThreadPoolExecutor(1, "evoguard-recording")
        """A thread of its own: a disk that hangs takes none of those that the service works with."""
        self.counts = {"recorded": 0, "left out": 0, "full": 0, "failed": 0}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve the request; record it afterwards when it is of the share."""
        if scope["type"] != "http" or random.random() * 100 >= self._percent:  # noqa: S311  (a sample, no secret)
            await self._app(scope, receive, send)
            return
        body, seen, began = bytearray(), {"status": 0}, time.monotonic()

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(body) <= MOST_BODY_BYTES:
                body.extend(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            took = int((time.monotonic() - began) * 1000)
            with contextlib.suppress(Exception):
                await self._later(scope, bytes(body), seen["status"], took)

    async def _later(self, scope: Message, body: bytes, status: int, took_ms: int) -> None:
        """Have it recorded; where many wait already it is left out, and nobody waits for long."""
        if self._waiting >= MOST_WAITING:
            self.counts["failed"] += 1
            return
        self._waiting += 1
        writing = self._one.submit(self._record, scope, body, status, took_ms)
        writing.add_done_callback(self._written)
        await asyncio.wait({asyncio.wrap_future(writing)}, timeout=1)

    def _written(self, _: object) -> None:
        self._waiting -= 1

    def _record(self, scope: Message, body: bytes, status: int, took_ms: int) -> None:
        try:
            request = self.request(scope, body)
            if request is None or not _readable(request):
                self.counts["left out"] += 1
                return
            line = {"v": 1, "at": int(time.time() * 1000), "request": request, "status": status, "ms": took_ms}
            self.counts["recorded" if append(self._path, line, self._most) else "full"] += 1
        except Exception:  # noqa: BLE001  (a recording never fails a request)
            self.counts["failed"] += 1

    def request(self, scope: Message, body: bytes) -> dict[str, object] | None:
        """Return a request as it is recorded, redacted; None when its body is too long or no JSON."""
        if len(body) > MOST_BODY_BYTES:
            return None
        try:
            text = json.dumps(self._redactor.value(json.loads(body))) if body else ""
        except (ValueError, RecursionError):
            return None
        headers = {
            name.decode("latin-1").lower(): str(self._redactor.value(value.decode("latin-1"), name.decode("latin-1")))
            for name, value in scope["headers"]
            if name.decode("latin-1").lower() in self._headers
        }
        return {
            "method": str(scope["method"]), "path": "/".join(map(self._redactor.text, str(scope["path"]).split("/"))),
            "query": self._redactor.query(scope["query_string"].decode("latin-1")), "headers": headers, "body": text,
        }  # fmt: skip


def _readable(request: dict[str, object]) -> bool:
    """Tell whether whoever reads the recording takes this request: one that it does not would spoil all others."""
    try:
        request_of(request, "asgi")
    except ValueError:
        return False
    return True
