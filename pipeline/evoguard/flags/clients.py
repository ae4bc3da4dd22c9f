"""Who reads flags here, what each was told and when: kept beside the server, from requests that it has accepted.

A client is what it says about itself together with its token; its connection id, which no answer ever shows, is part of
that, so nobody can acknowledge for another. Memory is bounded: whoever comes when it is full is counted, not kept, and
nobody who is heard is pushed out.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evoguard.domain.canonical import canonical
from evoguard.domain.clients import DEFAULT_INTERVAL_MS, Client
from evoguard.flags.bounds import MAX_KPI_BYTES, MAX_LABEL, MAX_SDK_BYTES, RefusedError, refusal
from evoguard.ports.clock import Clock

EPOCH = "evoguard-epoch"
"""The header of a poll's answer: the newest kill that it was made under."""
PATH = "/internal/clients"
MOST = 1_000
EPOCHS = 8
"""Epochs remembered of a client: the newest."""
MOST_INTERVAL_MS = 600_000
_POSTS = {"/api/client/register": MAX_SDK_BYTES, "/api/client/metrics": MAX_SDK_BYTES, "/kpi": MAX_KPI_BYTES}


class Versions(Protocol):
    """What streams show: the version that is newest, and under which epoch it was made."""

    number: int
    epoch: int


class ClientRoll:
    """ASGI middleware that listens to accepted requests; it changes none, and what it cannot read it leaves out."""

    def __init__(
        self, app: ASGIApp, *, feed: Versions, clock: Clock, authorised: Callable[[Request, str], Awaitable[str]]
    ) -> None:
        self._app, self._feed, self._clock, self._authorised = app, feed, clock, authorised
        self._clients: dict[str, Client] = {}
        self._streams: dict[str, int] = {}
        self._counted: dict[str, int] = {}
        """When a client's metrics last came."""
        self._strangers: dict[str, int] = {}
        self._batches: deque[tuple[int, str]] = deque(maxlen=256)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the roll, or pass the request on and listen."""
        path = scope.get("path", "")
        if scope["type"] != "http" or (not path.startswith("/api/client") and path not in (PATH, "/kpi")):
            await self._app(scope, receive, send)
        elif path == PATH:
            await (await self._roll(Request(scope, receive)))(scope, receive, send)
        elif path == "/api/client/streaming":
            await self._stream(scope, receive, send)
        else:
            await self._heard(scope, receive, send)

    def clients(self) -> tuple[Client, ...]:
        """Return everybody who is remembered; an open stream that has the newest version was told its epoch."""
        for key, number in self._streams.items():
            if number == self._feed.number:
                self._told(key, self._feed.epoch)
        return tuple(self._clients.values())

    async def _roll(self, request: Request) -> Response:
        try:
            await self._authorised(request, "flags.read")
        except RefusedError as err:
            return refusal(err.status, err.code, err.message, retry_s=err.retry_s)
        now = self._clock.now_ms()
        self._strangers = {key: at for key, at in self._strangers.items() if now - at < MOST_INTERVAL_MS}
        rows = [
            {"id": c.id, "app": c.app, "instance": c.instance, "seen_at": c.seen_at, "interval_ms": c.interval_ms,
             "streams": c.streams, "told": {str(k): v for k, v in c.told.items()}, "exposing": sorted(c.exposing),
             "skew_ms": c.skew_ms}
            for c in self.clients()
        ]  # fmt: skip
        batches = [{"at": at, "component": component} for at, component in self._batches]
        doc = {"now": now, "overflow": len(self._strangers), "clients": rows, "batches": batches}
        return Response(canonical(doc), media_type="application/json")  # type: ignore[arg-type]  # plain JSON

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = ""

        async def listening(message: Message) -> None:
            nonlocal key
            number, epoch = self._feed.number, self._feed.epoch  # what a chunk was just made from
            if message["type"] == "http.response.start" and message["status"] == 200:
                key = self._met(scope, streams=True)
            await send(message)
            if key and message.get("body", b"")[:3] in (b"ret", b"id:"):
                self._streams[key] = number
                self._told(key, epoch)

        try:
            await self._app(scope, receive, listening)
        finally:
            if key:
                self._streams.pop(key, None)
                self._change(key, streams=False, seen_at=self._clock.now_ms())

    async def _heard(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, most = bytearray(), _POSTS.get(scope["path"], 0)

        async def reading() -> Message:
            message = await receive()
            if len(body) <= most:
                body.extend(message.get("body", b""))
            return message

        async def listening(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 202, 304):
                with suppress(ValueError, TypeError, KeyError, RecursionError):
                    self._note(scope, message, bytes(body))
            await send(message)

        await self._app(scope, reading, listening)

    def _note(self, scope: Scope, message: Message, body: bytes) -> None:
        path = scope["path"]
        if path == "/kpi":
            self._batch(json.loads(body))
        elif path == "/api/client/features":
            found = dict(message.get("headers", ()))
            self._told(self._met(scope), int(found[EPOCH.encode()]))
        elif path in _POSTS:
            self._said(scope, json.loads(body), metrics=path.endswith("metrics"))

    def _batch(self, doc: Mapping[str, object]) -> None:
        exposed = doc["exposed"]
        if isinstance(exposed, Mapping) and int(exposed.get("candidate", 0)) > 0:
            self._batches.append((self._clock.now_ms(), _label(str(doc["component"]))))

    def _said(self, scope: Scope, doc: Mapping[str, object], *, metrics: bool) -> None:
        """Take in a registration or metrics: its clock, and what it met as on since it was told otherwise."""
        key = self._met(scope, metrics_interval=True)
        if key not in self._clients:
            return
        now, bucket = self._clock.now_ms(), doc.get("bucket") if metrics else None
        said = (bucket.get("stop") if isinstance(bucket, Mapping) else None) if metrics else doc.get("started")
        if isinstance(said, str):
            self._change(key, skew_ms=_ms(said) - now)
        before, self._counted[key] = self._counted.get(key, 0), now
        toggles = bucket.get("toggles") if isinstance(bucket, Mapping) else None
        told = max(self._clients[key].told.values(), default=now)
        if isinstance(toggles, Mapping) and before > told:
            on = (n for n, row in toggles.items() if isinstance(row, Mapping) and int(row.get("yes", 0)) > 0)
            self._change(key, exposing=frozenset(_label(str(name)) for name in sorted(on)[:50]))

    def _met(self, scope: Scope, *, streams: bool | None = None, metrics_interval: bool = False) -> str:
        """Remember that a client was heard, and return its key."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        who = [headers.get(n, "") for n in (b"unleash-appname", b"unleash-instanceid", b"unleash-connection-id")]
        key = sha256("\0".join([headers.get(b"authorization", ""), *who]).encode()).hexdigest()
        now = self._clock.now_ms()
        held = self._clients.get(key)
        if held is None:
            if not any(who) or not self._room(now):
                self._strangers.update({key: now} if any(who) and len(self._strangers) < MOST else {})
                return ""
            held = Client(key, _label(who[0]), _label(who[1]), now)
        interval = held.interval_ms if metrics_interval else _interval(headers.get(b"unleash-interval", ""))
        streaming = held.streams if streams is None else streams
        self._clients[key] = replace(held, seen_at=now, interval_ms=interval, streams=streaming)
        return key

    def _room(self, now: int) -> bool:
        if len(self._clients) >= MOST:
            for key in [key for key, client in self._clients.items() if client.is_gone(now)]:
                del self._clients[key]
                self._counted.pop(key, None)
        return len(self._clients) < MOST

    def _told(self, key: str, epoch: int) -> None:
        held = self._clients.get(key)
        if held is None or epoch in held.told:
            return
        told = {**held.told, epoch: self._clock.now_ms()}
        self._change(key, told={known: told[known] for known in sorted(told)[-EPOCHS:]}, exposing=frozenset())

    def _change(self, key: str, **changed: object) -> None:
        if key in self._clients:
            self._clients[key] = replace(self._clients[key], **changed)  # type: ignore[arg-type]  # fields by name


def _interval(text: str) -> int:
    """Return an interval as a client says it, in milliseconds and within reason."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return DEFAULT_INTERVAL_MS
    return min(max(int(text), 100), MOST_INTERVAL_MS)


def _ms(text: str) -> int:
    """Return an instant of ISO 8601 as unix milliseconds. Raises: ValueError."""
    at = datetime.fromisoformat(text[:40])
    if at.tzinfo is None:
        raise ValueError("an instant without a zone")
    return int(at.timestamp() * 1000)


def _label(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:MAX_LABEL]
