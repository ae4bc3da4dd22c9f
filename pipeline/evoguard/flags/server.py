"""The Unleash-compatible HTTP surface. Every request reads the latches fresh; a kill never waits for a database."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evoguard.domain.canonical import canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.errors import ConfigError, InputError, UnavailableError
from evoguard.flags import document
from evoguard.flags.boards import Boards
from evoguard.flags.bounds import (
    MAX_KPI_BYTES,
    MAX_SDK_BYTES,
    RefusedError,
    body_of,
    check_headers,
    label,
    object_of,
    refusal,
)
from evoguard.flags.clients import EPOCH, ClientRoll
from evoguard.flags.feed import Feed
from evoguard.flags.memory import Memory
from evoguard.flags.store import FlagStore
from evoguard.ports.clock import Clock
from evoguard.ports.latches import Latches

log = logging.getLogger(__name__)
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
SWITCH_S = 0.0005
"""The thread that reads latches gets its turn this soon: each call to the kernel would cost it ten times as long."""
MAX_STREAMS = 2_000
KEEP_ALIVE_S = 10.0
"""A stream with nothing to tell says so this often; stock SDKs give up after 30 s of silence."""
RETRY_MS = 500
"""How long a client that lost its stream waits before it asks again."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The place that kills are filed in.

    `mark` is anything that differs once something was filed there, and costs next to nothing to ask; `place` is what
    only this place is called.
    """

    mark: Callable[[], object]
    place: Callable[[], str]


NOWHERE = Watched(int, str)


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
        self._watched = watched
        self.feed = Feed(self._boards, self._states, mark=watched.mark, every_s=poll_s)
        self.memory.told = self.feed.stir
        self._last: tuple[tuple[FlagState, ...], LatchBoard, document.Page] | None = None

    async def features(self, request: Request) -> Response:
        """Serve what SDKs poll; 304 when they have exactly these bytes."""
        await self._authorised(request, "flags.read")
        board = await self._boards.now()
        page = self._page_of(board)
        # A Node SDK that polls changes to the stream by itself when it reads the second header.
        headers = {"ETag": page.etag, "Cache-Control": "no-cache", "fetch-mode": "streaming", EPOCH: str(board.epoch)}
        if page.etag in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(page.body, media_type="application/json", headers=headers)

    async def feature(self, request: Request) -> Response:
        """Serve one flag's document."""
        await self._authorised(request, "flags.read")
        board = await self._boards.now()
        name = request.path_params["name"]
        state = next((s for s in self._states(board) if s.flag == name), None)
        if state is None:
            raise RefusedError(404, "flag.unknown", "no flag has this name")
        return Response(canonical(document.feature(state, board)), media_type="application/json")

    async def streaming(self, request: Request) -> Response:
        """Serve everything and then each change as server-sent events, a kill within milliseconds.

        What is served first was read after the request came. A client that names the last event it had gets what it
        missed. The stream ends when its token is no longer valid.
        """
        await self._authorised(request, "flags.read")
        if self.feed.streams >= MAX_STREAMS:
            raise RefusedError(503, "flags.streams_full", f"{MAX_STREAMS} streams are open", retry_s=5)
        self._states(await self._boards.now())  # nothing known: the SDK keeps what it has
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=STREAM_HEADERS)

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        self.feed.join()
        try:
            await self.feed.look()
            at = self.feed.known(request.headers.get("last-event-id", "")[:100])
            yield b"retry: %d\n\n%s" % (RETRY_MS, self.feed.since(at))
            at = self.feed.number
            while not self.feed.ended and _key(request) in self.memory.copy.tokens:
                if await self.feed.after(at, wait_s=KEEP_ALIVE_S):
                    news, at = self.feed.since(at), self.feed.number
                    yield news
                else:
                    yield b": still here\n\n"
        finally:
            self.feed.leave()

    async def off(self, request: Request) -> Response:
        """Serve the acknowledgement of kills: what is off right now."""
        await self._authorised(request, "flags.read")
        board = await self._boards.now()
        copy = self.memory.copy
        return Response(
            canonical(document.off_list(copy.flags, board, known=copy.known, folder=self._watched.place())),
            media_type="application/json",
        )

    async def health(self, _: Request) -> Response:
        """Tell that the server answers, and whether the database could be read at the last look."""
        return JSONResponse({"status": "ok", "rows": self.memory.copy.known, "database": self.memory.fresh})

    async def register(self, request: Request) -> Response:
        """Remember an SDK instance."""
        return await self._seen(request)

    async def metrics(self, request: Request) -> Response:
        """Remember how often an SDK instance met each known flag; SDK metrics are never evidence."""
        return await self._seen(request)

    async def kpi(self, request: Request) -> Response:
        """Store one KPI batch durably before answering 202; the same one again answers 200."""
        assurance = await self._authorised(request, "kpi.write")
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

    def _page_of(self, board: LatchBoard) -> document.Page:
        """Return the page under a board; the last one is kept, for thousands ask between two changes."""
        states = self._states(board)
        if self._last is None or self._last[0] is not states or self._last[1] != board:
            self._last = (states, board, document.features(states, board))
        return self._last[2]

    def _states(self, board: LatchBoard) -> tuple[FlagState, ...]:
        """Return the rows to serve. Raises: RefusedError 503 when none are known, so that SDKs keep what they have.

        While a kill is in force, knowing nothing means serving nothing: every SDK then takes every flag as off.
        """
        copy = self.memory.copy
        if not copy.known and not board.unreadable and all(latch.lifted for latch in board.latches):
            raise RefusedError(503, "flags.unknown", "the rows could not be read yet", retry_s=1)
        return copy.flags

    async def _authorised(self, request: Request, kind: str) -> str:
        """Return the assurance of the request's token. Raises: RefusedError 401, 403, 431 or 503."""
        check_headers(request)
        key = _key(request)
        found = self.memory.copy.tokens.get(key)
        if found is None and "authorization" in request.headers:
            if not await self.memory.refresh(unless_within_s=0.05):
                raise RefusedError(503, "token.unknown", "tokens cannot be looked up right now", retry_s=1)
            found = self.memory.copy.tokens.get(key)
        if found is None:
            raise RefusedError(401, "token.invalid", "no valid token in the Authorization header")
        if found[0] != kind:
            raise RefusedError(403, "token.kind", f"this needs a {kind} token")
        return found[1]

    async def _seen(self, request: Request) -> Response:
        await self._authorised(request, "flags.read")
        doc = object_of(await body_of(request, most=MAX_SDK_BYTES))
        app = label(doc, "appName")
        instance = f"{app}/{label(doc, 'instanceId', default='-')}/{label(doc, 'connectionId', default='-')}"
        body = canonical(_uses(doc, {state.flag for state in self.memory.copy.flags})).decode()
        loop = asyncio.get_running_loop()
        now = self._clock.now_ms()
        with suppress(UnavailableError):  # nothing depends on it, so a locked database costs the note only
            await loop.run_in_executor(self._store_pool, lambda: self._store.seen(instance, app, body, now_ms=now))
        return Response(status_code=202)


def build_app(
    store: FlagStore,
    latches: Latches,
    clock: Clock,
    *,
    bootstrap: Path,
    watched: Watched = NOWHERE,
    poll_s: float = 0.2,
) -> Starlette:
    """Return the flag server; `bootstrap` is the file it may start from when the database cannot be read."""
    server = FlagServer(store, latches, clock, bootstrap=bootstrap, watched=watched, poll_s=poll_s)

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
        Route("/kpi", server.kpi, methods=["POST"]),
        Route("/internal/off", server.off),
        Route("/health", server.health),
    ]
    handlers = {RefusedError: _refused, InputError: _bad_input, UnavailableError: _unavailable, HTTPException: _http}
    app = Starlette(routes=routes, exception_handlers={**handlers, Exception: _broken}, lifespan=lifespan)
    app.state.end_streams = server.feed.end
    app.add_middleware(ClientRoll, feed=server.feed, clock=clock, authorised=server._authorised)
    return app


class _Server(uvicorn.Server):
    """Ends the streams before it ends: they would keep it waiting."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    def end(self) -> None:
        """Let open answers finish."""
        self._app.state.end_streams()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End as a signal asks."""
        self._app.state.end_streams()
        super().handle_exit(sig, frame)


async def serve(app: Starlette, host: str, port: int, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve on a loopback address until a signal or a cancellation; `ready` is told the port.

    Raises: ConfigError for an address that is not loopback, or a port that is taken.
    """
    listener = _listen(host, port)
    _more_files()
    sys.setswitchinterval(SWITCH_S)
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
        h11_max_incomplete_event_size=16_384, timeout_keep_alive=20, limit_concurrency=MAX_STREAMS + 500, backlog=256,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    if ready is not None:
        ready(int(listener.getsockname()[1]))
    server = _Server(config, app)
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.end()
        await running
        raise
    finally:
        listener.close()


def _more_files() -> None:
    """Let this process hold a descriptor for each stream, as far as its hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_STREAMS if hard == resource.RLIM_INFINITY else min(hard, 2 * MAX_STREAMS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as err:
        raise ConfigError("the flag server needs a numeric loopback address", code="flags.not_loopback") from err
    if not address.is_loopback:
        raise ConfigError("the flag server binds loopback only", code="flags.not_loopback", fix="use 127.0.0.1")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # TCP is named, for asyncio sets TCP_NODELAY only then; without it every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(256)
    except (OSError, OverflowError) as err:
        listener.close()
        raise ConfigError(f"port {port} cannot be bound", code="flags.port_taken", fix="choose another port") from err
    return listener


def _key(request: Request) -> str:
    """Return what the request's token is kept as."""
    return sha256(request.headers.get("authorization", "").encode("utf-8", "surrogateescape")).hexdigest()


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
