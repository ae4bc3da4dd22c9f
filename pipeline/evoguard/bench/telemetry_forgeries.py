"""Candidates behind the edge that fail three of five users and try to look healthy: how many are promoted?

Each is a process of its own behind the real edge, on real sockets; its batches go through the parser of the guard to
the decision code of a rollout (10 %, 50 %, 100 %). Known-good fails one in five. An honest candidate that does the same
must be promoted, or a zero would say nothing. Baseline: the same decision on known-good's counts and the candidate's
own word that it never failed (worked out, not posted by the process).
In `--quick` a third of them run. The flag's split is the bench's own; that of the SDK is tested elsewhere.

Out of reach of an edge, hence not here: a wrong answer with status 200 of a component that declares nothing about its
bodies; a candidate that may call the edge as if it were a user, reach known-good's process, or run as the edge's user.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import aiohttp
from aiohttp import web

from evoguard.adapters.sqlite.kpis import parse_batch
from evoguard.bench import Figure
from evoguard.bench.telemetry_candidate import MODES
from evoguard.domain.fold import StageEntry
from evoguard.domain.kpi import KpiBatch
from evoguard.domain.rollout import Plan, judge
from evoguard.edge.delivery import Delivery
from evoguard.edge.flagging import FlagView
from evoguard.edge.proxy import Proxy, open_session
from evoguard.edge.serving import listen
from evoguard.edge.settings import EdgeSettings
from evoguard.errors import InputError, UnavailableError

CHANGE, BASE, NEXT = "ch-000000000001", "a" * 40, "b" * 40
PLAN = Plan((10, 50, 100), {"errors": 200}, dwell_s=0, disaster_exposures=200, evidence_from_percent=10, silent_s=60)
ROUNDS, USERS, AT_ONCE = 60, 120, 24
SCRIPT = Path(__file__).with_name("telemetry_candidate.py")


class Guard:
    """The KPI door and the decision: only the edge's token opens it."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.batches: dict[str, KpiBatch] = {}
        self.entries = [StageEntry(PLAN.stages[0], _now())]
        self.refused = 0
        self.port = 0

    async def kpi(self, request: web.Request) -> web.Response:
        """Take one batch, as the flag server does."""
        if request.headers.get("Authorization") != self.token:
            self.refused += 1
            return web.Response(status=401)
        try:
            batch = parse_batch(await request.read(), "edge", now_ms=_now())
        except InputError:
            return web.Response(status=400)
        self.batches.setdefault(batch.id, batch)
        return web.Response(status=202)

    def meets_candidate(self, _flag: str, user: str) -> bool:
        """Split by a hash of the user, as the SDK does."""
        return int(sha256(user.encode()).hexdigest()[:8], 16) % 100 < self.entries[-1].percent

    def views(self) -> dict[str, FlagView]:
        """Return the flag, always on."""
        return {"f": FlagView(True, self.entries[-1].percent, 0.0, CHANGE, "scoring", BASE, NEXT)}

    def judge(self) -> str:
        """Judge what was counted; enter the next stage when it is allowed. Returns the end, empty before it."""
        found = judge(PLAN, tuple(self.entries), self.batches.values(), _now())
        if found.action == "widen":
            self.entries.append(StageEntry(found.next_percent, _now()))
        return {"complete": "promoted", "abort": found.code}.get(found.action, "")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen on a port of the loopback."""
        app = web.Application()
        app.router.add_post("/kpi", self.kpi)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()


@dataclass(frozen=True, slots=True)
class Seen:
    """How one rollout ended, and how it would have on the candidate's own word."""

    mode: str
    end: str
    users: int
    by_itself: str


@asynccontextmanager
async def version(mode: str, guard: int, edge: int) -> AsyncIterator[str]:
    """Run one version; yields its address. Its environment is empty. Raises: UnavailableError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(SCRIPT), mode, str(guard), str(edge), env={}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101  (asked for above)
        port = await asyncio.wait_for(process.stdout.readline(), 20)
        if not port.strip().isdigit():
            raise UnavailableError("bench", "a version did not start")
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def roll(mode: str, folder: Path) -> Seen:
    """Roll one candidate out until it is promoted, reverted, or the users are used up."""
    guard, port = Guard(), _free_port()
    async with (
        guard.open(),
        version("honest", guard.port, port) as base,
        version(mode, guard.port, port) as candidate,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as people,
    ):
        settings = EdgeSettings(
            "scoring", "f", "127.0.0.1", port, BASE, f"http://127.0.0.1:{guard.port}", folder, folder,
            {BASE: base, NEXT: candidate}, unit_header="X-User-Id", timeout_s=0.4, most_answer_bytes=1 << 18,
            answer_keys=("score",), never_keys=("error",),
        )  # fmt: skip
        async with open_session(settings) as http, aiohttp.ClientSession() as own:
            delivery = Delivery(settings.guard, guard.token, folder, own)
            proxy = Proxy(settings, guard, delivery, http)
            proxy.follow()
            runner = await listen(proxy, settings)
            try:
                return await _until_it_ends(mode, guard, delivery, (people, f"http://127.0.0.1:{port}/score"))
            finally:
                await runner.cleanup()
                await delivery.finish()


async def _until_it_ends(
    mode: str, guard: Guard, delivery: Delivery, people: tuple[aiohttp.ClientSession, str]
) -> Seen:
    end, rounds = "", 0
    while not end and rounds < ROUNDS:
        await asyncio.gather(*(_ask(*people, f"{mode}-{rounds}-{n}") for n in range(USERS)))
        rounds += 1
        await delivery.deliver()
        end = guard.judge()
    return Seen(mode, end or "held", rounds * USERS, _by_itself(guard))


async def _ask(http: aiohttp.ClientSession, url: str, user: str) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(url, headers={"X-User-Id": user}) as answer:
            await answer.read()


def _by_itself(guard: Guard) -> str:
    """Return how these users would have been judged had the candidate reported its own outcomes, all of them good."""
    told = [replace(b, bad=tuple(e for e in b.bad if e.arm == "known_good")) for b in guard.batches.values()]
    known = sum(b.exposed_known_good for b in told) or 1
    rate = sum(len(b.bad) for b in told) / known
    entries, found = guard.entries[:1], "held"
    for n, percent in enumerate(PLAN.stages):
        entries = [*guard.entries[:1], StageEntry(percent, _now())] if n else entries
        good = USERS * ROUNDS * (100 - percent) // 100
        failed = parse_batch(_whole(n, (good, USERS * ROUNDS * percent // 100), int(good * rate)), "edge")
        found = judge(PLAN, tuple(entries), [replace(failed, at=_now())], _now()).action
        if found not in ("widen", "complete"):
            break
    return "promoted" if found == "complete" else found


def _whole(number: int, exposed: tuple[int, int], failed: int) -> str:
    bad = [{"unit": f"u{n}", "arm": "known_good", "kpi": "errors"} for n in range(min(failed, 2_000))]
    return json.dumps({
        "id": f"self-{number}", "component": "scoring", "change": CHANGE, "at": 0, "bad": bad,
        "exposed": {"known_good": exposed[0], "candidate": exposed[1]},
    })  # fmt: skip


def measure(*, quick: bool = False) -> list[Figure]:
    """Roll every forger out, one after the other, and an honest candidate. Raises: UnavailableError."""
    return asyncio.run(_measure(MODES[::3] if quick else MODES))


async def _measure(modes: tuple[str, ...]) -> list[Figure]:
    seen = []
    for mode in ("honest", *modes):
        with tempfile.TemporaryDirectory(prefix="evoguard-telemetry-") as folder:
            one = await roll(mode, Path(folder))
        print(f"{one.mode:<32} {one.end:<28} {one.users:>6} users  by its own word: {one.by_itself}", file=sys.stderr)
        seen.append(one)
    honest, forgers = seen[0], seen[1:]
    promoted = [one.mode for one in forgers if one.end == "promoted"]
    believed = sum(one.by_itself == "promoted" for one in forgers)
    return [
        Figure("forgers promoted", len(promoted), f"of {len(forgers)}", 0, believed, note="; ".join(promoted)),
        Figure("forgers reverted by proof", sum(one.end.startswith("rollout.") for one in forgers),
               f"of {len(forgers)}", higher_is_better=True, note="the others were held"),
        Figure("honest candidates promoted", int(honest.end == "promoted"), "of 1", 1, higher_is_better=True,
               note=honest.end),
    ]  # fmt: skip


def _now() -> int:
    return int(time.time() * 1000)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
