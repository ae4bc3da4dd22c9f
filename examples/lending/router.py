"""Split real traffic between known-good and candidate, and count outcomes where no version can touch the count.

    python examples/lending/router.py --port 8080 --flags http://127.0.0.1:4242 --kpi http://127.0.0.1:4242 \\
        --tokens tokens.json --git-dir repos/lending.git --cache versions/ \\
        --component scoring:/score:lending-scoring:COMMIT --component pricing:/price:lending-pricing:COMMIT

The user is the `X-User-Id` header. COMMIT is what runs while there is no flag document yet. Nothing a version says
about itself is believed but HTTP status and body; `GET /_router/status` shows its own counters, marked as such.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web
from counting import Arm, Counting, Counts, Rollout
from versions import Version, Versions

from evoguard.edge.flagging import Flags, FlagView

ANSWER_S = 2.0
MOST_REQUEST_BYTES, MOST_ANSWER_BYTES = 64 * 1024, 1 << 20
MOST_USER_CHARS = 200
TICK_S = 0.25
CONTENT_TYPES = ("application/json", "text/plain")
TRANSPORT = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version answered; status 0 means it did not."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


class Lane:
    """One component: which version its users meet, and what is counted."""

    def __init__(self, spec: str) -> None:
        self.name, self.path, self.flag, self.first = spec.split(":")
        self.view = FlagView(known_good=self.first)
        self.known_good: Version | None = None
        self.next_known_good: Version | None = None
        self.candidate: Version | None = None
        self.counts: Counts | None = None

    def rollout(self) -> Rollout:
        """Return the rollout that the flag document names."""
        return Rollout(self.view.change, self.name, self.view.known_good, self.view.candidate)


class Router:
    """Routes, counts, and keeps the version processes as the flags say."""

    def __init__(
        self, lanes: list[Lane], flags: Flags, versions: Versions, counting: Counting, http: aiohttp.ClientSession
    ) -> None:
        self.lanes = {lane.path: lane for lane in lanes}
        self.flags = flags
        self.versions = versions
        self.counting = counting
        self.http = http

    def reconcile(self) -> None:
        """Make processes and counts follow the flags as last polled; cheap, safe to call at any time."""
        views = self.flags.views()
        for lane in self.lanes.values():
            self._follow(lane, views.get(lane.flag))

    def _follow(self, lane: Lane, seen: FlagView | None) -> None:
        if seen is not None and seen.known_good and seen.component == lane.name:
            lane.view = seen
        elif lane.view.enabled:
            lane.view = FlagView(known_good=lane.view.known_good)  # the flag vanished or is unreadable: off
        on = lane.view.on(time.time())
        wanted = {lane.view.known_good}
        lane.candidate = None
        if lane.counts is not None and (not on or lane.counts.rollout.change != lane.view.change):
            lane.counts.open = False
            lane.counts = None
        if on:
            lane.candidate = self.versions.want(lane.name, lane.view.candidate)
            wanted.add(lane.view.candidate)
            lane.counts = self.counting.of(lane.rollout())
            lane.counts.open = True
        wanted.add(self._known_good(lane))
        self.versions.keep_only(lane.name, wanted)

    def _known_good(self, lane: Lane) -> str:
        """Switch to the known-good that is named once it answers; until then the last one keeps answering."""
        named = self.versions.want(lane.name, lane.view.known_good)
        if lane.known_good is None or named.state == "ready" or lane.known_good.state == "ended":
            lane.known_good = named
        return lane.known_good.commit

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request from the version that the flag chooses for its user."""
        lane = self.lanes.get(request.path)
        if lane is None:
            return web.json_response({"error": "not found"}, status=404)
        user = request.headers.get("X-User-Id", "")
        if not 0 < len(user) <= MOST_USER_CHARS:
            return web.json_response({"error": "X-User-Id is missing"}, status=400)
        body = await request.read()
        counts, candidate, known_good = lane.counts, lane.candidate, lane.known_good
        started = time.perf_counter()
        arm: Arm = "known_good"
        fell_back = False
        if candidate is not None and candidate.tried.is_set() and self.flags.meets_candidate(lane.flag, user):
            arm = "candidate"
            answer = await self._ask(candidate, lane.path, body)
            fell_back = not answer.status
            if fell_back:
                answer = await self._ask(known_good, lane.path, body)
        else:
            answer = await self._ask(known_good, lane.path, body)
        if counts is not None and counts.open and candidate is not None and candidate.tried.is_set():
            bad = fell_back or not 200 <= answer.status < 300  # a rule never redirects
            counts.count(user, arm, bad=bad, ms=(time.perf_counter() - started) * 1000)
            counts.fallbacks += fell_back
        served = candidate if arm == "candidate" and not fell_back else known_good
        return _reply(answer, "" if served is None else served.commit)

    async def _ask(self, version: Version | None, path: str, body: bytes) -> Answer:
        """Forward to a version; nothing but status, type and a bounded body comes back."""
        if version is None or not version.url:
            return Answer(0)
        try:
            async with self.http.post(
                version.url + path, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as answer:
                data = await answer.content.read(MOST_ANSWER_BYTES)
                while not answer.content.at_eof() and len(data) < MOST_ANSWER_BYTES:
                    data += await answer.content.read(MOST_ANSWER_BYTES - len(data))
                if answer.status < 200 or (len(data) >= MOST_ANSWER_BYTES and not answer.content.at_eof()):
                    return Answer(0)
                kind = answer.content_type if answer.content_type in CONTENT_TYPES else "application/octet-stream"
                return Answer(answer.status, data, kind)
        except (*TRANSPORT, ValueError):
            return Answer(0)

    async def status(self, _request: web.Request) -> web.Response:
        """Answer what the router sees and has counted."""
        now = time.time()
        lanes = {
            lane.name: {
                "flag": lane.flag,
                "on": lane.view.on(now),
                "percent": lane.view.percent if lane.view.on(now) else 0,
                "change": lane.view.change,
                "known_good": lane.known_good and lane.known_good.as_json(),
                "candidate": lane.candidate and lane.candidate.as_json(),
                "rollout": lane.counts and lane.counts.as_json(),
            }
            for lane in self.lanes.values()
        }
        rollouts = {change: counts.as_json() for change, counts in self.counting.rollouts.items()}
        return web.json_response(
            {
                "pid": os.getpid(),
                "apart": self.versions.apart,
                "components": lanes,
                "rollouts": rollouts,
                "kpi": self.counting.as_json(),
            }
        )

    async def watch(self) -> None:
        """Follow leases that end, versions that become ready, and candidates' own counters, for ever."""
        while True:
            self.reconcile()
            for lane in self.lanes.values():
                if lane.counts is not None and lane.candidate is not None:
                    await self._self_report(lane.name, lane.candidate, lane.counts)
            await asyncio.sleep(TICK_S)

    async def _self_report(self, component: str, version: Version, counts: Counts) -> None:
        """Fetch what the candidate says about itself; shown beside our own count, believed by nobody."""
        if not version.url:
            return
        try:
            async with self.http.get(f"{version.url}/metrics", timeout=aiohttp.ClientTimeout(total=0.5)) as answer:
                told = json.loads(await answer.content.read(4096)).get(component, {})
            counts.self_reported = {name: int(told.get(name, 0)) for name in ("requests", "errors")}
        except Exception:  # noqa: BLE001  the candidate may tell anything; what cannot be read is not shown
            return


def _reply(answer: Answer, commit: str) -> web.Response:
    if not answer.status:
        return web.json_response({"error": "no version answered"}, status=502)
    return web.Response(
        body=answer.body, status=answer.status, content_type=answer.content_type, headers={"X-Served-By": commit[:12]}
    )


def open_session() -> aiohttp.ClientSession:
    """Return the pool of kept-alive connections: no cookies, no unpacking of what a version sends."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=["Accept-Encoding", "User-Agent"],
    )


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT; every version process ends with the router."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for what in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(what, stop.set)
    tokens = json.loads(options.tokens.read_text())
    async with open_session() as http:
        counting = Counting(options.kpi, tokens["kpi.write"], http)
        versions = Versions(options.git_dir, options.cache, http)
        await versions.open()
        router: Router | None = None

        def changed() -> None:
            if router is not None and not stop.is_set():
                loop.call_soon_threadsafe(router.reconcile)

        flags = Flags(options.flags, tokens["flags.read"], f"router-{os.getpid()}", changed, app="lending-router")
        router = Router([Lane(spec) for spec in options.component], flags, versions, counting, http)
        try:
            await asyncio.to_thread(flags.open)
            await _run(router, options, stop)
        finally:
            await counting.finish()
            await asyncio.to_thread(flags.close)
            await versions.close()


async def _run(router: Router, options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Answer until `stop` is set; when following or counting fails the router ends rather than go on blind."""
    runner = await _listen(router, options)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(router.watch()), group.create_task(router.counting.run())]
            await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await runner.cleanup()


async def _listen(router: Router, options: argparse.Namespace) -> web.AppRunner:
    app = web.Application(client_max_size=MOST_REQUEST_BYTES)
    app.router.add_get("/_router/status", router.status)
    app.router.add_post("/{path:.*}", router.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port).start()
    return runner


def loopback(host: str) -> str:
    """Return the address if it is a loopback one."""
    if not ipaddress.ip_address(host).is_loopback:
        raise argparse.ArgumentTypeError("the router binds loopback only")
    return host


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=loopback, default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--flags", required=True, help="address of the flag server, without /api")
    parser.add_argument("--kpi", required=True, help="address that takes POST /kpi")
    parser.add_argument("--tokens", type=Path, required=True, help="JSON file with flags.read and kpi.write, 0600")
    parser.add_argument("--git-dir", type=Path, required=True, help="the guard's bare repository; only read")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the versions' trees")
    parser.add_argument("--component", action="append", required=True, help="NAME:/PATH:FLAG:KNOWN_GOOD_COMMIT")
    options = parser.parse_args()
    for noisy in ("UnleashClient", "apscheduler"):  # a flag server that is down is not news every second
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
    uvloop.run(serve(options))


if __name__ == "__main__":
    main()
