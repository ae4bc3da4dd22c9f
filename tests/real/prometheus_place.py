"""A real Prometheus server and a front that counts requests by arm, both on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

UP_S = 30.0


@dataclass
class Front:
    """Counts what users would have met: 200 requests a second, one in ten at the candidate."""

    candidate_fails_one_in: int
    port: int = 0
    arms: tuple[str, ...] = ("known_good", "candidate")
    good: dict[str, int] = field(default_factory=lambda: {"known_good": 0, "candidate": 0})
    bad: dict[str, int] = field(default_factory=lambda: {"known_good": 0, "candidate": 0})
    met_candidate: int = 0
    """Ever, whatever the counters say."""
    _runner: web.AppRunner | None = None

    async def metrics(self, _: web.Request) -> web.Response:
        rows = [f'front_requests_total{{arm="{arm}",code="200"}} {self.good[arm]}' for arm in self.arms]
        # As client libraries do: no series before the first failure.
        rows += [f'front_requests_total{{arm="{arm}",code="500"}} {n}' for arm in self.arms if (n := self.bad[arm])]
        text = "# TYPE front_requests_total counter\n" + "\n".join(rows) + "\n"
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def traffic(self) -> None:
        number = 0
        while True:
            for _ in range(10):
                number += 1
                arm = "known_good" if number % 10 else "candidate"
                self.met_candidate += arm == "candidate"
                nth = self.good[arm] + self.bad[arm] + 1
                one_in = self.candidate_fails_one_in if arm == "candidate" else 50
                counts = self.good if nth % one_in else self.bad
                counts[arm] += 1
            await asyncio.sleep(0.05)

    async def begin(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self.metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def end(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Front]:
        await self.begin()
        users = asyncio.create_task(self.traffic())
        try:
            yield self
        finally:
            users.cancel()
            with suppress(asyncio.CancelledError):
                await users
            await self.end()


@asynccontextmanager
async def prometheus(folder: Path, target: int) -> AsyncIterator[str]:
    """Run a server that scrapes the target once a second; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f'scrape_configs: [{{job_name: front, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}]\n'
    )
    process = await asyncio.create_subprocess_exec(
        os.environ["EVOGUARD_PROMETHEUS"], f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", env={"GOMAXPROCS": "1"},
    )  # fmt: skip
    try:
        await _ready(f"http://127.0.0.1:{port}/-/ready", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(UP_S):
        while True:
            with suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            if process.returncode is not None:
                raise AssertionError("Prometheus did not start")
            await asyncio.sleep(0.1)
