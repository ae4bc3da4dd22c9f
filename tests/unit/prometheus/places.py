"""A Prometheus server that answers as a test says, and the guard's real table of batches behind its door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from evoguard.adapters import durable
from evoguard.errors import InputError
from evoguard.prometheus.asking import Prometheus, open_session
from evoguard.prometheus.counting import Counters
from evoguard.prometheus.keeping import Keeper
from evoguard.prometheus.settings import parse
from evoguard.prometheus.source import Source
from unit.rollout.keeper import Table
from unit.rollout.runs import CHANGE

NOW = 1_700_000_000_000
UP, EXPOSED, ERRORS = 'up{job="front"}', "sum by (arm) (requests_total)", "sum by (arm) (errors_total)"
BASE: dict[str, object] = {
    "component": "scoring", "flag": "lending", "guard": "http://127.0.0.1:4242", "tokens": "t", "state": "s",
    "prometheus": "http://127.0.0.1:9090", "stateless": True, "exposed": EXPOSED, "up": UP, "most_per_s": 1_000,
    "bad": {"errors": ERRORS}, "scrape_s": 1.0, "timeout_s": 1.0,
}  # fmt: skip


def counters(at: int, *, good: int = 0, cand: int = 0, bad_good: int = 0, bad_cand: int = 0) -> Counters:
    return Counters(
        at, {"known_good": good, "candidate": cand}, {"errors": {"known_good": bad_good, "candidate": bad_cand}}
    )


def vector(*rows: tuple[Mapping[str, object], object]) -> dict[str, object]:
    result = [{"metric": labels, "value": [0, value]} for labels, value in rows]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def by_arm(good: object, cand: object) -> dict[str, object]:
    return vector(({"arm": "known_good"}, str(good)), ({"arm": "candidate"}, str(cand)))


@dataclass
class FakePrometheus:
    """Answers by query; `answers` holds what is not plain."""

    at: int = NOW
    counted: Counters = field(default_factory=lambda: counters(NOW))
    answers: dict[str, web.Response] = field(default_factory=dict)
    times: set[str] = field(default_factory=set)
    hangs: bool = False
    url: str = ""

    def shows(self, at: int, **counts: int) -> None:
        self.at, self.counted, self.answers = at, counters(at, **counts), {}

    def says(self, query: str, doc: object) -> None:
        self.answers[query] = web.Response(body=doc if isinstance(doc, bytes) else json.dumps(doc).encode())

    async def query(self, request: web.Request) -> web.Response:
        query = request.query["query"]
        if self.hangs:
            await asyncio.sleep(30)
        if query in self.answers:
            given = self.answers[query]
            return web.Response(body=given.body, status=given.status, headers=given.headers)
        if query in (EXPOSED, ERRORS):
            self.times.add(request.query["time"])
        exposed, bad = self.counted.exposed, self.counted.bad["errors"]
        return web.json_response({
            UP: vector(({"job": "front"}, "1")),
            f"timestamp({UP})": vector(({"job": "front"}, f"{self.at / 1_000:.3f}")),
            EXPOSED: by_arm(exposed["known_good"], exposed["candidate"]),
            ERRORS: by_arm(bad["known_good"], bad["candidate"]),
        }[query])  # fmt: skip

    async def elsewhere(self, _: web.Request) -> web.Response:
        return web.json_response(by_arm(500, 50))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakePrometheus]:
        app = web.Application()
        app.router.add_get("/api/v1/query", self.query)
        app.router.add_get("/elsewhere", self.elsewhere)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


class KilledError(Exception):
    """The process ends here, as a signal would end it."""


@dataclass
class Door:
    """The guard: the change that is served, the table of batches. `status` answers instead, `killed` ends who posts."""

    table: Table = field(default_factory=Table)
    change: str = CHANGE
    status: int = 0
    killed: str = ""
    bodies: list[dict[str, object]] = field(default_factory=list)

    async def rollout(self) -> str:
        return self.change

    async def post(self, body: Mapping[str, object]) -> int:
        if self.killed == "before":
            raise KilledError
        self.bodies.append(dict(body))
        status = self.status or self._stored(body)
        if self.killed == "after":
            raise KilledError
        return status

    def _stored(self, body: Mapping[str, object]) -> int:
        try:
            return 202 if self.table.kpis.store(json.dumps(body), "host") == "stored" else 200
        except InputError as err:
            return {"kpi.repeated": 409}.get(err.code, 400)


def write(folder: Path, name: str, raw: bytes) -> None:
    durable.write(folder, name, raw, mode=0o600, replace=True)


@asynccontextmanager
async def a_source(folder: Path, server: FakePrometheus, door: Door, **changes: object) -> AsyncIterator[Source]:
    settings = parse({**BASE, "prometheus": server.url, **changes})
    keeper = Keeper(folder / "state", write)
    with keeper.alone():
        async with open_session() as http:
            yield Source(settings, Prometheus(settings, http), keeper, door.rollout, door.post)
