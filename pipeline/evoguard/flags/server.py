"""The Unleash-compatible HTTP surface. Every request reads the latches fresh; a kill never waits for a database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evoguard.domain.canonical import canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.errors import InputError, UnavailableError
from evoguard.flags import document
from evoguard.flags.boards import Boards
from evoguard.flags.bounds import (
    MAX_KPI_BYTES,
    MAX_SDK_BYTES,
    MAX_STREAMS,
    RefusedError,
    body_of,
    label,
    object_of,
    refusal,
)
from evoguard.flags.clients import EPOCH, ClientRoll
from evoguard.flags.doors import Doors
from evoguard.flags.feed import Feed
from evoguard.flags.frontend import KIND as FRONTEND
from evoguard.flags.frontend import Frontend
from evoguard.flags.impact_metrics import NO_COUNTERS, SELF_REPORTED, Counted, Reports
from evoguard.flags.memory import Copy, Memory
from evoguard.flags.store import FlagStore
from evoguard.flags.unguarded import NONE, Unguarded
from evoguard.ports.clock import Clock
from evoguard.ports.latches import Latches

log = logging.getLogger(__name__)
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
KEEP_ALIVE_S = 10.0
"""A stream with nothing to tell says so this often; stock SDKs give up after 30 s of silence."""
RETRY_MS = 500
"""How long a client that lost its stream waits before it asks again."""
ANY_PAGE = [
    Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"],
               expose_headers=["ETag"], max_age=600)
]  # fmt: skip
"""Pages of any origin may ask: what lets one in is the token in its header, which no browser sends by itself."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The place that kills are filed in.

    `mark` is anything that differs once something was filed there, and costs next to nothing to ask; `place` is what
    only this place is called.
    """

    mark: Callable[[], object]
    place: Callable[[], str]


NOWHERE = Watched(int, str)


@dataclass(frozen=True, slots=True)
class _Made:
    """What is served, as bytes, and what it was made of."""

    copy: Copy
    beside: Unguarded
    board: LatchBoard
    served: document.Served
    page: document.Page


class FlagServer:
    """The endpoints over a memory copy. Latches and store have threads of their own: neither starves the other."""

    def __init__(
        self, store: FlagStore, latches: Latches, clock: Clock, *, bootstrap: Path, watched: Watched, poll_s: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._store_pool = ThreadPoolExecutor(4, thread_name_prefix="store")
        self._boards = Boards(latches)
        self.memory = Memory(store, bootstrap, self._store_pool)
        self._doors = Doors(self.memory)
        self._watched = watched
        self.feed = Feed(self._boards, self._served, mark=watched.mark, every_s=poll_s)
        self.frontend = Frontend(self._doors, self._current)
        self.memory.told = self.feed.stir
        self._last: _Made | None = None
        self.reports = Reports(NO_COUNTERS)

    async def features(self, request: Request) -> Response:
        """Serve what SDKs poll; 304 when they have exactly these bytes."""
        await self._doors.admitted(request, "flags.read")
        board = await self._boards.now()
        page = self._page_of(board)
        # A Node SDK that polls changes to the stream by itself when it reads the second header.
        headers = {"ETag": page.etag, "Cache-Control": "no-cache", "fetch-mode": "streaming", EPOCH: str(board.epoch)}
        if page.etag in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(page.body, media_type="application/json", headers=headers)

    async def feature(self, request: Request) -> Response:
        """Serve one flag's document."""
        await self._doors.admitted(request, "flags.read")
        one = (await self._current()).features.get(request.path_params["name"])
        if one is None:
            raise RefusedError(404, "flag.unknown", "no flag has this name")
        return Response(one, media_type="application/json")

    async def streaming(self, request: Request) -> Response:
        """Serve everything and then each change as server-sent events, a kill within milliseconds.

        What is served first was read after the request came. A client that names the last event it had gets what it
        missed. The stream ends when its token is no longer valid.
        """
        await self._doors.admitted(request, "flags.read")
        if self.feed.streams >= MAX_STREAMS:
            raise RefusedError(503, "flags.streams_full", f"{MAX_STREAMS} streams are open", retry_s=5)
        await self._current()  # nothing known: the SDK keeps what it has
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=STREAM_HEADERS)

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        self.feed.join()
        try:
            await self.feed.look()
            at = self.feed.known(request.headers.get("last-event-id", "")[:100])
            # Bytes that all streams share, not a copy for each: whoever sends holds on to them until the next ones.
            news, at = self.feed.since(at), self.feed.number
            yield b"retry: %d\n\n" % RETRY_MS
            if news:
                yield news
            while not self.feed.ended and self._doors.open(request, "flags.read"):
                if await self.feed.after(at, wait_s=KEEP_ALIVE_S):
                    news, at = self.feed.since(at), self.feed.number
                    yield news
                else:
                    yield b": still here\n\n"
        finally:
            self.feed.leave()

    async def off(self, request: Request) -> Response:
        """Serve the acknowledgement of kills: what is off right now."""
        await self._doors.admitted(request, "flags.read")
        board = await self._boards.now()
        copy, beside = self.memory.copy, self.memory.unguarded.features if self.memory.copy.known else {}
        shown = {name: both for name, both in beside.items() if name not in copy.guarded}
        place = self._watched.place()
        return Response(
            canonical(document.off_list(copy.flags, board, known=copy.known, folder=place, beside=shown)),
            media_type="application/json",
        )

    async def health(self, _: Request) -> Response:
        """Tell that the server answers, and whether the database could be read at the last look."""
        found = {"status": "ok", "rows": self.memory.copy.known, "database": self.memory.fresh}
        return JSONResponse({**found, "unguarded": why} if (why := self.memory.unguarded_wrong) else found)

    async def register(self, request: Request) -> Response:
        """Remember an SDK instance."""
        return await self._seen(request, "flags.read")

    async def metrics(self, request: Request) -> Response:
        """Remember how often an SDK instance met each known flag; what it counted itself may only speak against.

        Raises: UnavailableError when that could not be kept, so that the SDK sends it again.
        """
        instance, doc = await self._noted(request, "flags.read")
        flags = {state.flag: state for state in self.memory.copy.flags}
        loop, now = asyncio.get_running_loop(), self._clock.now_ms()
        for batch in self.reports.batches(doc, instance, flags, now):
            keep = partial(self._store.store_kpi, canonical(batch), SELF_REPORTED, now_ms=now)
            await loop.run_in_executor(self._store_pool, keep)
        return Response(status_code=202)

    async def frontend_seen(self, request: Request) -> Response:
        """Remember what a frontend client tells of itself."""
        return await self._seen(request, FRONTEND)

    async def kpi(self, request: Request) -> Response:
        """Store one KPI batch durably before answering 202; the same one again answers 200."""
        assurance = await self._doors.admitted(request, "kpi.write")
        raw = await body_of(request, most=MAX_KPI_BYTES)
        loop = asyncio.get_running_loop()
        now = self._clock.now_ms()
        stored = await loop.run_in_executor(self._store_pool, lambda: self._store.store_kpi(raw, assurance, now_ms=now))
        return JSONResponse({"status": stored}, 202 if stored == "stored" else 200)

    async def close(self) -> None:
        """Let go of the threads; calls that run may end within a moment."""
        self._store_pool.shutdown(wait=False, cancel_futures=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.to_thread(self._store_pool.shutdown, wait=True)
        self._boards.close()
        self.frontend.close()

    async def _current(self) -> document.Served:
        """Return what is served under latches that are read now. Raises: RefusedError 503."""
        return self._served(await self._boards.now())

    def _page_of(self, board: LatchBoard) -> document.Page:
        return self._made(board).page

    def _served(self, board: LatchBoard) -> document.Served:
        return self._made(board).served

    def _made(self, board: LatchBoard) -> _Made:
        """Return what is served under a board; the last one is kept, for thousands ask between two changes."""
        states, copy = self._states(board), self.memory.copy
        beside = self.memory.unguarded if copy.known else NONE
        last = self._last
        if last is None or last.copy is not copy or last.beside is not beside or last.board != board:
            now = document.served(states, board, beside, copy.guarded)
            if last is not None and now == last.served:
                now = last.served
            self._last = last = _Made(copy, beside, board, now, document.page(now))
        return last

    def _states(self, board: LatchBoard) -> tuple[FlagState, ...]:
        """Return the rows to serve. Raises: RefusedError 503 when none are known, so that SDKs keep what they have.

        While a kill is in force, knowing nothing means serving nothing: every SDK then takes every flag as off.
        """
        copy = self.memory.copy
        if not copy.known and not board.unreadable and all(latch.lifted for latch in board.latches):
            raise RefusedError(503, "flags.unknown", "the rows could not be read yet", retry_s=1)
        return copy.flags

    async def _seen(self, request: Request, kind: str) -> Response:
        await self._noted(request, kind)
        return Response(status_code=202)

    async def _noted(self, request: Request, kind: str) -> tuple[str, Mapping[str, object]]:
        """Return the SDK instance that reports, and its report. Raises: RefusedError, InputError."""
        await self._doors.admitted(request, kind)
        doc = object_of(await body_of(request, most=MAX_SDK_BYTES))
        app = label(doc, "appName")
        instance = f"{app}/{label(doc, 'instanceId', default='-')}/{label(doc, 'connectionId', default='-')}"
        body = canonical(_uses(doc, {state.flag for state in self.memory.copy.flags})).decode()
        loop = asyncio.get_running_loop()
        now = self._clock.now_ms()
        with suppress(UnavailableError):  # nothing depends on it, so a locked database costs the note only
            await loop.run_in_executor(self._store_pool, lambda: self._store.seen(instance, app, body, now_ms=now))
        return instance, doc


def build_app(  # noqa: PLR0913  (each is one part that it stands on)
    store: FlagStore,
    latches: Latches,
    clock: Clock,
    *,
    bootstrap: Path,
    watched: Watched = NOWHERE,
    poll_s: float = 0.2,
    counters: Mapping[str, Counted] = NO_COUNTERS,
) -> Starlette:
    """Return the flag server; `bootstrap` is the file it may start from when the database cannot be read.

    `counters`: what SDKs count of which flag, when an operator has named any.
    """
    server = FlagServer(store, latches, clock, bootstrap=bootstrap, watched=watched, poll_s=poll_s)
    server.reports = Reports(counters)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await server.memory.start()
        tasks = [asyncio.create_task(work) for work in (server.memory.poll(poll_s), server.feed.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.close()

    routes = [
        Route("/api/client/features", server.features),
        Route("/api/client/features/{name}", server.feature),
        Route("/api/client/streaming", server.streaming),
        Route("/api/client/register", server.register, methods=["POST"]),
        Route("/api/client/metrics", server.metrics, methods=["POST"]),
        Route("/api/frontend", server.frontend.toggles, methods=["GET", "POST", "OPTIONS"], middleware=ANY_PAGE),
        Route("/api/frontend/client/register", server.frontend_seen, methods=["POST", "OPTIONS"], middleware=ANY_PAGE),
        Route("/api/frontend/client/metrics", server.frontend_seen, methods=["POST", "OPTIONS"], middleware=ANY_PAGE),
        Route("/kpi", server.kpi, methods=["POST"]),
        Route("/internal/off", server.off),
        Route("/health", server.health),
    ]
    handlers = {RefusedError: _refused, InputError: _bad_input, UnavailableError: _unavailable, HTTPException: _http}
    app = Starlette(routes=routes, exception_handlers={**handlers, Exception: _broken}, lifespan=lifespan)
    app.state.end_streams = server.feed.end
    app.add_middleware(ClientRoll, feed=server.feed, clock=clock, authorised=server._doors.admitted)
    return app


def _uses(doc: object, known: set[str]) -> dict[str, dict[str, int]]:
    """Return yes and no counts of known flags from a metrics body; anything else is left out."""
    bucket = doc.get("bucket") if isinstance(doc, dict) else None
    toggles = bucket.get("toggles") if isinstance(bucket, dict) else None
    uses = {}
    for name in known & set(toggles if isinstance(toggles, dict) else ()):
        row = toggles[name] if isinstance(toggles, dict) else None
        if isinstance(row, dict):
            uses[name] = {key: _whole(row.get(key)) for key in ("yes", "no")}
    return uses


def _whole(value: object) -> int:
    return min(value, 10**12) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


async def _refused(_: Request, err: Exception) -> Response:
    assert isinstance(err, RefusedError)  # noqa: S101  (what the handler was registered for)
    return refusal(err.status, err.code, err.message, retry_s=err.retry_s)


async def _bad_input(_: Request, err: Exception) -> Response:
    assert isinstance(err, InputError)  # noqa: S101  (what the handler was registered for)
    status = {"kpi.repeated": 409, "kpi.too_big": 413}.get(err.code, 400)
    return refusal(status, err.code, err.message)


async def _unavailable(_: Request, err: Exception) -> Response:
    assert isinstance(err, UnavailableError)  # noqa: S101  (what the handler was registered for)
    return refusal(503, err.code, err.message, retry_s=1)


async def _http(_: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)  # noqa: S101  (what the handler was registered for)
    code = {404: "request.unknown", 405: "request.method"}.get(err.status_code, "request.invalid")
    return refusal(err.status_code, code, str(err.detail))


async def _broken(_: Request, err: Exception) -> Response:
    log.error("flags.broken %s", type(err).__name__)
    return refusal(500, "flags.broken", "the flag server failed on this request")
