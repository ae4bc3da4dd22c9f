"""Send real traffic of distinct users: a steady rate for each component, loopback only, bounded in count and time.

    python examples/lending/traffic.py --url http://127.0.0.1:8080 --lane /score:125 --lane /price:125

Prints one JSON line of totals when it ends or on SIGTERM, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import uvloop
from applicants import application, user
from yarl import URL

MOST_RATE, MOST_COUNT, MOST_SECONDS = 2_000, 1_000_000, 3_600


@dataclass
class Lane:
    """One component's traffic; `rate` is requests a second."""

    path: str
    rate: float
    sent: int = 0
    started: float = 0.0
    by_status: Counter[str] = field(default_factory=Counter)
    served_by: Counter[str] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)

    def due(self, now: float) -> float:
        """Take the next slot; returns seconds to wait. After a stall the lost slots are given up, not made up for."""
        at = self.started + self.sent / self.rate
        self.sent += 1
        if now - at > 1.0:
            self.started += now - at
        return max(0.0, at - now)

    def as_json(self) -> dict[str, object]:
        """Return the totals; latencies in milliseconds over the first 100,000 answers."""
        ranked = sorted(self.ms)
        half, most = (ranked[len(ranked) // 2], ranked[len(ranked) * 99 // 100]) if ranked else (0.0, 0.0)
        return {
            "answered": sum(self.by_status.values()),
            "by_status": dict(self.by_status),
            "served_by": dict(self.served_by),
            "p50_ms": round(half, 2),
            "p99_ms": round(most, 2),
        }


async def send(options: argparse.Namespace, lanes: list[Lane]) -> None:
    """Send until count or time is used up."""
    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as http:

        async def work(lane: Lane) -> None:
            url = options.url.with_path(lane.path)
            while lane.sent < options.count and time.monotonic() - began < options.seconds:
                number = options.first + lane.sent
                await asyncio.sleep(lane.due(time.monotonic()))
                await one(http, url, lane, options.seed, number)

        for lane in lanes:
            lane.started = began
        await asyncio.gather(*(work(lane) for lane in lanes for _ in range(options.connections)))


async def one(http: aiohttp.ClientSession, url: URL, lane: Lane, seed: int, number: int) -> None:
    """Send one application and note what came back."""
    started = time.perf_counter()
    try:
        async with http.post(
            url, json=application(seed, number), headers={"X-User-Id": user(seed, number)}, allow_redirects=False
        ) as answer:
            await answer.read()
            lane.by_status[str(answer.status)] += 1
            lane.served_by[answer.headers.get("X-Served-By", "")] += 1
    except (aiohttp.ClientError, TimeoutError, OSError):
        lane.by_status["none"] += 1
    if len(lane.ms) < 100_000:
        lane.ms.append((time.perf_counter() - started) * 1000)


async def run(options: argparse.Namespace) -> None:
    """Send, and tell the totals at the end or on SIGTERM."""
    lanes = [lane for lane in options.lane if lane.rate > 0]
    began = time.monotonic()
    task = asyncio.create_task(send(options, lanes))
    for what in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(what, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({"seconds": seconds, "lanes": {lane.path: lane.as_json() for lane in lanes}}), flush=True)


def parse_lane(text: str) -> Lane:
    """Read PATH:RATE."""
    path, _, rate = text.rpartition(":")
    if not path.startswith("/") or not 0 <= float(rate) <= MOST_RATE:
        raise argparse.ArgumentTypeError(f"a lane is /PATH:RATE with at most {MOST_RATE} requests a second")
    return Lane(path, float(rate))


def parse_url(text: str) -> URL:
    """Read an http address of this machine; any other host is refused."""
    url = URL(text)
    with contextlib.suppress(ValueError):
        if url.scheme == "http" and ipaddress.ip_address(url.host or "").is_loopback:
            return url
    raise argparse.ArgumentTypeError("only http:// and a loopback address: this is a load generator")


def main() -> None:
    """Parse the command line and send."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", type=parse_url, required=True)
    parser.add_argument("--lane", type=parse_lane, action="append", required=True, help="/PATH:REQUESTS_A_SECOND")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first applicant")
    parser.add_argument("--count", type=int, default=MOST_COUNT, help="at most so many for each lane")
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS)
    parser.add_argument("--connections", type=int, default=16, help="for each lane")
    options = parser.parse_args()
    options.count = min(options.count, MOST_COUNT)
    options.seconds = min(options.seconds, MOST_SECONDS)
    options.connections = max(1, min(options.connections, 256))
    uvloop.run(run(options))


if __name__ == "__main__":
    main()
