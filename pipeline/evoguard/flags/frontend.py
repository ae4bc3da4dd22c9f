"""Flags evaluated here, for clients that must not see the rules: browsers and phones ask with their context.

The engine is the SDKs' own, over the very document that SDKs would be served at this moment, kills included. What a
client says of the time or of its environment is not taken: a lease ends by this machine's clock, whoever asks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from yggdrasil_engine.engine import UnleashEngine  # type: ignore[import-untyped]  # the package has no types

from evoguard.domain.canonical import Json, canonical
from evoguard.errors import InputError
from evoguard.flags.bounds import MAX_SDK_BYTES, RefusedError, body_of, object_of
from evoguard.flags.document import Served, page
from evoguard.flags.doors import Doors

KIND = "frontend.read"
MAX_QUERY, MAX_FIELDS, MAX_KEY, MAX_VALUE = 8_192, 100, 100, 1_000
ROOT = ("userId", "sessionId", "remoteAddress", "appName")
NOT_TAKEN = ("currentTime", "environment")

Context = dict[str, object]


class Frontend:
    """Answers with the flags that are on for a context; `current` gives what is served, read after the request came."""

    def __init__(self, doors: Doors, current: Callable[[], Awaitable[Served]]) -> None:
        self._doors, self._current = doors, current
        # One thread: an engine is not made for two callers, and a long queue of evaluations keeps no poll waiting.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="frontend")
        self._held: tuple[Served, UnleashEngine] | None = None

    async def toggles(self, request: Request) -> Response:
        """Serve the flags that are on for the context of the query or the body; 304 when they are as they were."""
        environment = await self._doors.admitted(request, KIND)
        context = await _context(request, environment)
        now = await self._current()
        body = await asyncio.get_running_loop().run_in_executor(self._pool, self._evaluated, now, context)
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Cache-Control": "no-cache"}
        if headers["ETag"] in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    def close(self) -> None:
        """Let go of the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _evaluated(self, now: Served, context: Context) -> bytes:
        if self._held is None or self._held[0] is not now:
            engine = UnleashEngine()
            engine.take_state(page(now).body.decode())
            self._held = (now, engine)
        rows = [_toggle(self._held[1], name, context) for name in sorted(now.features)]
        return canonical({"toggles": [row for row in rows if row is not None]})


def _toggle(engine: UnleashEngine, name: str, context: Context) -> dict[str, Json] | None:
    """Return a flag that is on; None for one that is off, and for one that could not be evaluated."""
    found = engine.check_enabled(name, context)
    if not found.is_enabled:
        return None
    variant = engine.check_variant(name, context).variant
    shown: dict[str, Json] = {
        "name": variant.name, "enabled": variant.enabled,
        "feature_enabled": variant.feature_enabled, "featureEnabled": variant.feature_enabled,
    }  # fmt: skip
    if variant.payload:
        shown["payload"] = {str(key): str(value) for key, value in variant.payload.items()}
    impression = bool(found.requires_impression_event_emission)
    return {"name": name, "enabled": True, "variant": shown, "impressionData": impression}


async def _context(request: Request, environment: str) -> Context:
    """Return the context to evaluate for. Raises: RefusedError 413, InputError."""
    fields: dict[str, object] = {}
    more: dict[str, object] = {}
    for key, value in await _told(request):
        if key.startswith("properties[") and key.endswith("]"):
            more[key[11:-1]] = value
        elif key in ROOT:
            fields[key] = value
        elif key not in NOT_TAKEN:
            more.setdefault(key, value)
    if len(fields) + len(more) > MAX_FIELDS or any(len(key) > MAX_KEY for key in more):
        raise InputError(f"a context has at most {MAX_FIELDS} fields of {MAX_KEY} characters", code="request.invalid")
    properties = {key: value for key, value in _texts(more.items()) if key not in NOT_TAKEN}
    return {**dict(_texts(fields.items())), "environment": environment, "properties": properties}


async def _told(request: Request) -> list[tuple[str, object]]:
    if request.method != "POST":
        query = request.url.query
        if len(query) > MAX_QUERY:
            raise RefusedError(413, "request.too_big", f"a query has at most {MAX_QUERY} characters")
        if query.count("&") >= MAX_FIELDS:
            raise InputError(f"a context has at most {MAX_FIELDS} fields", code="request.invalid")
        return list(parse_qsl(query))
    doc = object_of(await body_of(request, most=MAX_SDK_BYTES))
    context = doc.get("context", {})
    if not isinstance(context, dict):
        raise InputError("context is an object", code="request.invalid")
    properties = context.pop("properties", None) or {}
    if not isinstance(properties, dict):
        raise InputError("properties is an object", code="request.invalid")
    return [*context.items(), *((f"properties[{key}]", value) for key, value in properties.items())]


def _texts(rows: Iterable[tuple[str, object]]) -> Iterable[tuple[str, str]]:
    """Yield texts as they are and numbers as texts, as SDKs do; leave out nulls. Raises: InputError."""
    for key, value in rows:
        if value is None:
            continue
        text = value
        if isinstance(value, bool | int | float):
            text = str(value).lower()[:MAX_VALUE]
        if not isinstance(text, str) or len(text) > MAX_VALUE or "\x00" in text:
            raise InputError(f"a context's values are texts of at most {MAX_VALUE} characters", code="request.invalid")
        yield key, text.encode("utf-8", "replace").decode()
