"""The router on real processes: stock SDK, stand-in flag server, version processes started from git, real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

LENDING = Path(__file__).parents[2] / "examples" / "lending"
if str(LENDING) not in sys.path:
    sys.path.append(str(LENDING))

from applicants import application  # noqa: E402
from history import make_history  # noqa: E402
from proposals import propose  # noqa: E402

from evoguard_agents.coders.scripted import Identity, Script, ScriptedCoder  # noqa: E402

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKENS = {"flags.read": "reader-0123456789", "kpi.write": "writer-0123456789"}
POLL_S = 1.0


class FlagServer:
    """Serves what the SDK and the router ask for, and remembers what they posted."""

    def __init__(self) -> None:
        self.features: list[dict[str, Any]] = []
        self.batches: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.registered = 0
        self.port = 0
        self.change = "ch-000000000000"

    async def open(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/api/client/features", self._features)
        app.router.add_post("/api/client/register", self._register)
        app.router.add_post("/api/client/metrics", self._metrics)
        app.router.add_post("/kpi", self._kpi)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    def show(self, **values: str | int | bool) -> None:
        """Serve one flag for scoring, as the wire format of the spine says."""
        flag: dict[str, Any] = {"percent": 100, "enabled": True, "lease_s": 60, "change": self.change, **values}
        until = (datetime.now(UTC) + timedelta(seconds=flag["lease_s"])).strftime("%Y-%m-%dT%H:%M:%SZ")
        named = {k: flag[k] for k in ("change", "percent", "known_good", "candidate")}
        payload = json.dumps({**named, "component": "scoring"})
        self.features = [
            {
                "name": "lending-scoring", "type": "release", "enabled": flag["enabled"], "project": "default",
                "strategies": [{
                    "name": "flexibleRollout",
                    "parameters": {"rollout": str(flag["percent"]), "stickiness": "userId", "groupId": flag["change"]},
                    "constraints": [{"contextName": "currentTime", "operator": "DATE_BEFORE", "value": until}],
                }],
                "variants": [{
                    "name": "rollout", "weight": 1000, "weightType": "variable", "stickiness": "default",
                    "payload": {"type": "json", "value": payload}, "overrides": [],
                }],
            }
        ]  # fmt: skip

    def counted(self, key: str) -> dict[str, int]:
        """Return the newest rollout's exposures or bad outcomes by arm, each batch id once."""
        once = {b["id"]: b for b in self.batches if b["change"] == self.change}.values()
        if key == "exposed":
            return {arm: sum(b["exposed"][arm] for b in once) for arm in ("known_good", "candidate")}
        arms = [e["arm"] for b in once for e in b["bad"]]
        return {arm: arms.count(arm) for arm in ("known_good", "candidate")}

    async def _features(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != TOKENS["flags.read"]:
            return web.Response(status=401)
        body = json.dumps({"version": 2, "features": self.features})
        etag = f'"{hash(body):x}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(text=body, content_type="application/json", headers={"ETag": etag})

    async def _register(self, request: web.Request) -> web.Response:
        self.registered += 1
        return web.Response(status=202)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(status=202)

    async def _kpi(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != TOKENS["kpi.write"]:
            return web.Response(status=401)
        self.batches.append(await request.json())
        return web.Response(status=self.answers.pop(0) if self.answers else 202)


class Rig:
    """A router process with its flag server and repository."""

    def __init__(self, folder: Path, server: FlagServer, base: str) -> None:
        self.origin = folder / "origin.git"
        self.server = server
        self.base = base
        self.port = _free_port()
        self.http: aiohttp.ClientSession
        self.process: asyncio.subprocess.Process
        self.tokens = folder / "tokens.json"
        self._folder = folder

    async def start(self) -> None:
        self.tokens.write_text(json.dumps(TOKENS))
        self.tokens.chmod(0o600)
        address = f"http://127.0.0.1:{self.server.port}"
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(LENDING / "router.py"), "--port", str(self.port), "--flags", address, "--kpi", address,
            "--tokens", str(self.tokens), "--git-dir", str(self.origin), "--cache", str(self._folder / "versions"),
            "--component", f"scoring:/score:lending-scoring:{self.base}",
            env={**os.environ, "ROUTER_SECRET": "only-the-router-may-know"},
        )  # fmt: skip
        await self.until(lambda s: s["known_good"] and s["known_good"]["state"] == "ready")

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 10)

    async def status(self) -> dict[str, Any]:
        async with self.http.get(f"http://127.0.0.1:{self.port}/_router/status") as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async def until(self, true: Callable[[dict[str, Any]], Any], seconds: float = 15) -> dict[str, Any]:
        """Wait until the scoring component's status is as said; returns it."""
        seen: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(aiohttp.ClientError):
                        seen = (await self.status())["components"]["scoring"]
                        if true(seen):
                            return seen
                    await asyncio.sleep(0.02)
        raise AssertionError(f"never true: {seen}")

    async def roll(self, candidate: str, **values: str | int | bool) -> dict[str, Any]:
        """Open a new rollout from the base to `candidate`, and wait until the router runs both or gave one up."""
        self.server.change = f"ch-{int(self.server.change[3:]) + 1:012d}"
        self.server.batches.clear()
        self.server.show(known_good=self.base, candidate=candidate, **values)
        return await self.until(
            lambda s: (
                s["change"] == self.server.change
                and (s["known_good"]["commit"], s["known_good"]["state"]) == (self.base, "ready")
                and s["candidate"]["state"] in ("ready", "down")
            )
        )

    async def ask(self, user: str, figures: dict[str, object]) -> tuple[int, str]:
        """Send one application; returns status and the commit that answered."""
        async with self.http.post(
            f"http://127.0.0.1:{self.port}/score", json=figures, headers={"X-User-Id": user}
        ) as answer:
            await answer.read()
            return answer.status, answer.headers.get("X-Served-By", "")

    async def candidate(self, text: str) -> str:
        """Commit a scoring module of its own and return the commit."""
        coder = ScriptedCoder(Identity("tester", "tester@lending.example"), at=1_767_225_600)
        script = Script("test", {"lending/scoring.py": text})
        return (await coder.write(script, origin=self.origin, branch="agent/test", base="main")).head


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("router")
    server = FlagServer()
    runner = await server.open()
    rig = Rig(folder, server, await asyncio.to_thread(make_history, folder / "origin.git"))
    async with aiohttp.ClientSession() as rig.http:
        try:
            await rig.start()
            yield rig
        finally:
            await rig.stop()
            await runner.cleanup()


FIGURES = {"amount": 50_000, "revenue": 200_000, "profit": 0, "debts": 0, "years": 8, "sector": "retail"}


async def eventually(true: Callable[[], Any], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_nothing_is_posted_while_no_rollout_is_on(rig: Rig) -> None:
    assert {await rig.ask(f"u{n}", FIGURES) for n in range(5)} == {(200, rig.base[:12])}
    await asyncio.sleep(0.7)
    assert rig.server.batches == []
    assert rig.server.registered == 1


async def test_requests_without_user_or_to_unknown_paths_are_answered_by_the_router_alone(rig: Rig) -> None:
    async def post(path: str, headers: dict[str, str]) -> int:
        async with rig.http.post(f"http://127.0.0.1:{rig.port}{path}", json=FIGURES, headers=headers) as answer:
            return answer.status

    assert await post("/score", {}) == 400
    assert await post("/score", {"X-User-Id": "x" * 300}) == 400
    assert await post("/metrics", {"X-User-Id": "u"}) == 404


async def test_users_keep_their_version_and_a_kill_reaches_all_of_them_within_one_poll(rig: Rig) -> None:
    candidate = (await propose(rig.origin, "p1")).head
    pid = (await rig.roll(candidate, percent=50))["candidate"]["pid"]
    first = [await rig.ask(f"u{n}", FIGURES) for n in range(60)]
    assert [await rig.ask(f"u{n}", FIGURES) for n in range(60)] == first
    assert {commit for _, commit in first} == {rig.base[:12], candidate[:12]}
    assert alive(pid)

    rig.server.show(percent=50, known_good=rig.base, candidate=candidate, enabled=False)
    await rig.until(lambda s: not s["on"], POLL_S + 0.5)
    assert {await rig.ask(f"u{n}", FIGURES) for n in range(60)} == {(200, rig.base[:12])}
    await eventually(lambda: not alive(pid))


async def test_a_unit_is_counted_once_and_a_refused_batch_comes_again_under_its_own_id(rig: Rig) -> None:
    await rig.roll((await propose(rig.origin, "p1")).head)
    rig.server.answers = [503, 503]
    for _ in range(3):
        for n in range(10):
            await rig.ask(f"u{n}", {**FIGURES, "revenue": None if n < 4 else 100_000})
    await eventually(lambda: rig.server.counted("exposed")["candidate"] == 10 and len(rig.server.batches) > 2)
    assert rig.server.counted("bad") == {"known_good": 0, "candidate": 4}
    assert rig.server.batches[0] == rig.server.batches[1] == rig.server.batches[2]
    units = [e["unit"] for b in {b["id"]: b for b in rig.server.batches}.values() for e in b["bad"]]
    assert len(set(units)) == 4
    values = [v for b in {b["id"]: b for b in rig.server.batches}.values() for v in b["values"]]
    assert len({v["unit"] for v in values}) == len(values) == 10
    assert all(v["kpi"] == "latency" and v["arm"] == "candidate" and v["value"] > 0 for v in values)
    assert set(rig.server.batches[0]) == {"id", "component", "change", "at", "exposed", "bad", "values", "latency_ms"}


async def test_a_candidate_that_dies_counts_as_bad_while_its_users_are_answered_by_known_good(rig: Rig) -> None:
    await rig.roll(await rig.candidate("import os\ndef score(application):\n    os._exit(3)\n"))
    assert {await rig.ask(f"u{n}", FIGURES) for n in range(8)} == {(200, rig.base[:12])}
    await eventually(lambda: rig.server.counted("bad") == {"known_good": 0, "candidate": 8})
    await rig.until(lambda s: s["candidate"]["starts"] > 1)


async def test_a_candidate_that_cannot_start_counts_as_bad_and_harms_nobody(rig: Rig) -> None:
    seen = await rig.roll(await rig.candidate("raise SystemExit(1)\n"))
    assert seen["candidate"]["state"] == "down"
    assert {await rig.ask(f"u{n}", FIGURES) for n in range(8)} == {(200, rig.base[:12])}
    await eventually(lambda: rig.server.counted("bad")["candidate"] == 8)


async def test_a_candidate_that_does_not_answer_is_bad_after_two_seconds_and_its_user_still_gets_an_answer(
    rig: Rig,
) -> None:
    await rig.roll(await rig.candidate("import time\ndef score(application):\n    time.sleep(60)\n"))
    assert await rig.ask("u1", FIGURES) == (200, rig.base[:12])
    await eventually(lambda: rig.server.counted("bad") == {"known_good": 0, "candidate": 1})


async def test_a_candidate_that_hides_its_errors_is_counted_all_the_same(rig: Rig) -> None:
    await rig.roll((await propose(rig.origin, "p5")).head)
    statuses = [(await rig.ask(f"u{n}", application(1, n)))[0] for n in range(100)]
    failed = sum(status >= 400 for status in statuses)
    assert failed > 10
    await eventually(lambda: rig.server.counted("bad")["candidate"] == failed)
    seen = await rig.until(lambda s: (s["rollout"]["self_reported"] or {}).get("requests") == 100)
    assert seen["rollout"]["self_reported"]["errors"] == 0


async def test_a_lease_that_ends_sends_everybody_to_known_good_without_a_word_of_the_server(rig: Rig) -> None:
    candidate = (await propose(rig.origin, "p1")).head
    await rig.roll(candidate, lease_s=4)
    assert (await rig.ask("u1", FIGURES))[1] == candidate[:12]
    await rig.until(lambda s: not s["on"] and s["candidate"] is None, 6)
    assert (await rig.ask("u1", FIGURES)) == (200, rig.base[:12])


async def test_a_promoted_candidate_goes_on_as_known_good_in_the_same_process(rig: Rig) -> None:
    candidate = (await propose(rig.origin, "p1")).head
    seen = await rig.roll(candidate)
    rig.server.show(known_good=candidate, candidate=candidate)
    after = await rig.until(lambda s: s["known_good"]["commit"] == candidate and not s["on"])
    assert after["known_good"]["pid"] == seen["candidate"]["pid"]
    assert (await rig.ask("u1", FIGURES)) == (200, candidate[:12])


SPY = """
import glob, os
def score(application):
    seen, looked = [], 0
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/mem") + [application["tokens"]]:
        if "/%d/" % os.getpid() in path:
            continue
        looked += 1
        try:
            with open(path, "rb") as file:
                file.read(1)
            seen.append(path)
        except OSError as err:
            if err.errno == 5:  # opened, and only the address was wrong
                seen.append(path)
    for forbidden in (lambda: open(__file__, "a"), lambda: os.setuid(0)):
        try:
            forbidden()
            seen.append("more than its due")
        except OSError:
            pass
    return {"seen": seen, "looked": looked, "uid": os.getuid(), "environ": dict(os.environ)}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="versions run apart only where the router may change uid")
async def test_a_candidate_can_read_neither_the_routers_environment_nor_its_tokens(rig: Rig) -> None:
    seen = await rig.roll(await rig.candidate(SPY))
    async with rig.http.post(
        f"http://127.0.0.1:{rig.port}/score", json={"tokens": str(rig.tokens)}, headers={"X-User-Id": "u1"}
    ) as answer:
        told = await answer.json()
    assert told["seen"] == []
    assert told["looked"] > 5
    assert told["uid"] == seen["candidate"]["uid"] >= 61_000
    assert told["uid"] != seen["known_good"]["uid"]
    assert not any("SECRET" in name for name in told["environ"])


ORPHANS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
def score(application):
    return {}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a uid of its own is what makes left-behind processes findable")
async def test_what_a_candidate_leaves_running_is_ended_with_it(rig: Rig) -> None:
    uid = (await rig.roll(await rig.candidate(ORPHANS)))["candidate"]["uid"]
    assert len(of_uid(uid)) == 4
    rig.server.show(known_good=rig.base, candidate="c" * 40, enabled=False)
    await eventually(lambda: not of_uid(uid))


def of_uid(uid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == uid:
                found.append(int(folder.name))
    return found


async def test_when_the_router_is_killed_its_versions_are_gone_too(rig: Rig) -> None:
    pid = (await rig.status())["components"]["scoring"]["known_good"]["pid"]
    rig.process.kill()
    await rig.process.wait()
    await eventually(lambda: not alive(pid))
