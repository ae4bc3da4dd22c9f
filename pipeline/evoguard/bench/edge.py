"""What the edge adds to a request at 500 requests a second, beside a plain reverse proxy of the same library and none.

All on loopback and on the same cores: the one that answers and the proxy are processes of their own, the sender is this
one. The sender keeps to its timetable: a request that starts late counts from when it was due. The plain proxy does
nothing but pass on; the difference to it is what splitting and counting cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from evoguard.bench import Figure
from evoguard.edge.delivery import Delivery
from evoguard.edge.flagging import FlagView
from evoguard.edge.proxy import Proxy, open_session
from evoguard.edge.serving import listen
from evoguard.edge.settings import EdgeSettings
from evoguard.errors import UnavailableError

BASE, NEXT = "a" * 40, "b" * 40
RATE, SECONDS, ROUNDS = 500, 4.0, 3
BARS_MS = {"p50": 1.0, "p99": 5.0}


class _Half:
    """A rollout at 50 %."""

    def meets_candidate(self, _flag: str, user: str) -> bool:
        return hash(user) % 2 == 0

    def views(self) -> dict[str, FlagView]:
        return {"f": FlagView(True, 50, 0.0, "ch-000000000001", "scoring", BASE, NEXT)}


async def answer(_: web.Request) -> web.Response:
    """Answer as a version does."""
    return web.json_response({"score": 1})


async def taken(request: web.Request) -> web.Response:
    """Take a batch."""
    await request.read()
    return web.Response(status=202)


async def serve(role: str, port: int, *upstreams: int) -> None:
    """Serve one role until ended: `version`, `plain` or `edge`."""
    app = web.Application()
    async with contextlib.AsyncExitStack() as stack:
        if role == "edge":
            await _edge(stack, port, upstreams)
        else:
            if role == "plain":
                http = await stack.enter_async_context(
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
                )
                app.router.add_get("/score", _plain(http, upstreams[0]))
            else:
                app.router.add_get("/score", answer)
                app.router.add_post("/kpi", taken)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
        print("ready", flush=True)
        await asyncio.Event().wait()


def _plain(http: aiohttp.ClientSession, port: int):  # type: ignore[no-untyped-def]  # aiohttp's handler
    async def passed_on(request: web.Request) -> web.Response:
        headers = {"X-User-Id": request.headers["X-User-Id"]}
        async with http.get(f"http://127.0.0.1:{port}{request.raw_path}", headers=headers) as found:
            return web.Response(body=await found.read(), status=found.status, content_type=found.content_type)

    return passed_on


async def _edge(stack: contextlib.AsyncExitStack, port: int, upstreams: tuple[int, ...]) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evoguard-edge-")))
    first, second = (f"http://127.0.0.1:{one}" for one in upstreams)
    settings = EdgeSettings(
        "scoring", "f", "127.0.0.1", port, BASE, first, folder, folder, {BASE: first, NEXT: second},
        unit_header="X-User-Id", answer_keys=("score",),
    )  # fmt: skip
    http = await stack.enter_async_context(open_session(settings))
    own = await stack.enter_async_context(aiohttp.ClientSession())
    delivery = Delivery(settings.guard, "only-for-the-bench", folder, own)
    proxy = Proxy(settings, _Half(), delivery, http)
    proxy.follow()
    await listen(proxy, settings)
    stack.push_async_callback(_ended, asyncio.create_task(delivery.run()))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def measure(*, quick: bool = False) -> list[Figure]:
    """Send the same requests to all three, in turns. Raises: UnavailableError when a request is not answered."""
    try:
        return asyncio.run(_measure(1.0 if quick else SECONDS, 1 if quick else ROUNDS))
    except* (UnavailableError, aiohttp.ClientError, TimeoutError) as failed:
        first = str(failed.exceptions[0])[:100]
    raise UnavailableError(
        "bench", f"a request was not answered, so nothing is told: {first}", fix="on a quiet machine"
    )


async def _measure(seconds: float, rounds: int) -> list[Figure]:
    one, two, plain, edge = (_free_port() for _ in range(4))
    async with contextlib.AsyncExitStack() as stack:
        for role, *ports in (("version", one), ("version", two), ("plain", plain, one), ("edge", edge, one, two)):
            await stack.enter_async_context(_process(str(role), *ports))
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        took: dict[int, list[float]] = {one: [], plain: [], edge: []}
        for port in took:
            await _send(http, port, 0.5)  # connections are open, code is warm
        for _ in range(rounds):
            for port, times in took.items():
                times.extend(await _send(http, port, seconds))
    found = []
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        direct, beside, ours = (sorted(times)[int(part * (len(times) - 1))] for times in took.values())
        note = f"direct {direct:.2f}, plain proxy {beside:.2f}, edge {ours:.2f} ms; baseline: what a plain proxy adds"
        found.append(Figure(f"added latency {name} at {RATE}/s", ours - direct, "ms", BARS_MS[name],
                            beside - direct, note=note))  # fmt: skip
    return found


async def _send(http: aiohttp.ClientSession, port: int, seconds: float) -> list[float]:
    """Return the milliseconds of each request, from when it was due."""
    times: list[float] = []

    async def once(due: float, user: int) -> None:
        async with http.get(f"http://127.0.0.1:{port}/score", headers={"X-User-Id": f"u{user}"}) as found:
            await found.read()
            if found.status != 200:
                raise UnavailableError("bench", f"status {found.status}")
        times.append((time.perf_counter() - due) * 1000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n in range(int(RATE * seconds)):
            due = began + n / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(once(due, n))
    return times


@asynccontextmanager
async def _process(role: str, *ports: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "evoguard.bench.edge", role, *map(str, ports), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101  (asked for above)
        if (await asyncio.wait_for(process.stdout.readline(), 30)).strip() != b"ready":
            raise UnavailableError("bench", f"the {role} did not start")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], *map(int, sys.argv[2:])))
