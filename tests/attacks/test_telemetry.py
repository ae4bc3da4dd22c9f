"""Versions behind the edge that try to change what is counted, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from evoguard.adapters.sqlite.kpis import parse_batch
from evoguard.bench.telemetry_candidate import RAW
from evoguard.edge.delivery import Delivery
from evoguard.edge.flagging import FlagView
from evoguard.edge.proxy import Proxy, open_session
from evoguard.edge.serving import listen
from evoguard.edge.settings import CostSettings, EdgeSettings

BASE, NEXT, CHANGE = "a" * 40, "b" * 40, "ch-000000000001"
TOKEN = "token-of-the-edge-0123456789"
ON = FlagView(True, 50, 0.0, CHANGE, "scoring", BASE, NEXT)
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + b'{"score": 1}'


@dataclass
class Rig:
    """An edge between a guard and two raw versions; users whose name begins with c meet the candidate."""

    view: FlagView = ON
    unreadable: bool = False
    says: bytes = GOOD
    hangs: float = 0
    asked: dict[str, list[str]] = field(default_factory=lambda: {"base": [], "next": []})
    batches: list[dict] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    doing: set[asyncio.Task] = field(default_factory=set)
    url: str = ""
    proxy: Proxy = None  # type: ignore[assignment]
    delivery: Delivery = None  # type: ignore[assignment]
    http: aiohttp.ClientSession = None  # type: ignore[assignment]

    def meets_candidate(self, _flag: str, user: str) -> bool:
        return user.startswith("c")

    def views(self) -> dict[str, FlagView]:
        return {} if self.unreadable else {"f": self.view}

    async def kpi(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == TOKEN
        self.batches.append(await request.json())
        return web.Response(status=self.statuses.pop(0) if self.statuses else 202)

    def version(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.doing.add(asyncio.current_task())
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    self.asked[name].append(head)
                    if name == "next" and self.hangs:
                        await asyncio.sleep(self.hangs)
                    said = self.says if name == "next" else GOOD
                    writer.write(said)
                    await writer.drain()
                    if said != GOOD:
                        break
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        return serve

    async def ask(self, user: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
        async with self.http.request(
            method, f"{self.url}/score", headers={"X-User-Id": user, **headers}, allow_redirects=False
        ) as answer:
            await answer.read()
            return answer.status, dict(answer.headers)

    async def counted(self) -> tuple[int, int, int, int]:
        """Deliver; returns exposed (known-good, candidate), then bad of each."""
        await self.delivery.deliver()
        once = {b["id"]: b for b in self.batches}.values()
        arms = [e["arm"] for b in once for e in b["bad"]]
        exposed = [sum(b["exposed"][arm] for b in once) for arm in ("known_good", "candidate")]
        return exposed[0], exposed[1], arms.count("known_good"), arms.count("candidate")


def _people() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(auto_decompress=False, max_field_size=100_000)


@asynccontextmanager
async def a_rig(folder: Path, **changes: object) -> AsyncIterator[Rig]:
    rig = Rig()
    app = web.Application()
    app.router.add_post("/kpi", rig.kpi)
    guard = web.AppRunner(app, access_log=None)
    await guard.setup()
    await web.TCPSite(guard, "127.0.0.1", 0).start()
    servers = [await asyncio.start_server(rig.version(name), "127.0.0.1", 0) for name in ("base", "next")]
    first, second = (f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers)
    settings = EdgeSettings(
        "scoring", "f", "127.0.0.1", 0, BASE, f"http://127.0.0.1:{guard.addresses[0][1]}", folder, folder,
        {BASE: first, NEXT: second}, unit_header="X-User-Id", timeout_s=3.0, answer_keys=("score",),
        never_keys=("error",), most_answer_bytes=100_000,
    )  # fmt: skip
    settings = replace(settings, **changes)
    async with open_session(settings) as http, aiohttp.ClientSession() as own, _people() as rig.http:
        rig.delivery = Delivery(settings.guard, TOKEN, folder, own)
        rig.proxy = Proxy(settings, rig, rig.delivery, http)
        rig.proxy.follow()
        runner = await listen(rig.proxy, settings)
        rig.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield rig
        finally:
            await runner.cleanup()
            await rig.delivery.finish()
            await guard.cleanup()
            for server in servers:
                server.close()
            for task in rig.doing:
                task.cancel()
            await asyncio.gather(*rig.doing, return_exceptions=True)


@pytest.mark.parametrize("name", RAW)
async def test_a_failure_is_counted_however_it_is_dressed(tmp_path: Path, name: str) -> None:
    async with a_rig(tmp_path) as rig:
        rig.says = RAW[name]
        await rig.ask("c1")
        await rig.ask("g1")
        assert await rig.counted() == (1, 1, 0, 1)
        assert len(rig.asked["next"]) == 1  # nothing ran twice
        assert len(rig.asked["base"]) == 1  # and nobody else answered for it


async def test_no_version_sees_the_token_and_no_header_of_ours_passes(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.says = GOOD.replace(b"\r\n\r\n", b"\r\nX-Evoguard-Arm: known_good\r\n\r\n")
        _, headers = await rig.ask("c1", **{"X-Evoguard-Arm": "known_good", "Connection": "X-Mine", "X-Mine": "1"})
        await rig.ask("g1")
        await rig.counted()
        heads = "".join(rig.asked["base"] + rig.asked["next"])
        assert TOKEN not in heads
        assert "evoguard" not in heads.lower()
        assert "x-mine" not in heads.lower()
        assert not any("evoguard" in name.lower() for name in headers)


async def test_one_that_hangs_is_cut_off_counted_and_nobody_else_answers(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.hangs = 30
        assert (await rig.ask("c1", "POST"))[0] == 504
        assert await rig.counted() == (0, 1, 0, 1)
        assert rig.asked["base"] == []


async def test_what_is_declared_idempotent_is_answered_by_known_good_and_still_counts(tmp_path: Path) -> None:
    async with a_rig(tmp_path, idempotent=frozenset({"GET"})) as rig:
        rig.says = b""
        assert (await rig.ask("c1"))[0] == 200
        assert (await rig.ask("c2", "POST"))[0] == 502
        assert await rig.counted() == (0, 2, 0, 2)


async def test_a_dropped_connection_is_not_tried_again(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.ask("c1")  # the connection is kept
        rig.says = b""
        assert (await rig.ask("c2"))[0] == 502
        assert len(rig.asked["next"]) == 2
        assert await rig.counted() == (0, 2, 0, 1)


async def test_one_that_hangs_uses_up_its_own_places_only(tmp_path: Path) -> None:
    async with a_rig(tmp_path, most_in_flight=2) as rig:
        rig.hangs = 30
        waiting = [asyncio.create_task(rig.ask(f"c{n}")) for n in range(4)]
        await asyncio.sleep(0.1)
        assert (await rig.ask("g1"))[0] == 200
        assert sorted(status for status, _ in await asyncio.gather(*waiting)) == [503, 503, 504, 504]
        assert await rig.counted() == (1, 4, 0, 4)


@pytest.mark.parametrize(
    "view", [replace(ON, enabled=False), replace(ON, lease_until=1.0), replace(ON, component="other"), None,
             replace(ON, candidate="c" * 40), replace(ON, known_good="c" * 40)],
)  # fmt: skip
async def test_a_flag_that_is_off_or_unreadable_means_known_good(tmp_path: Path, view: FlagView | None) -> None:
    async with a_rig(tmp_path) as rig:
        rig.view, rig.unreadable = view or ON, view is None
        rig.proxy.follow()
        assert (await rig.ask("c1"))[0] == 200
        assert rig.asked["next"] == []
        assert await rig.counted() == (0, 0, 0, 0)


async def test_without_one_plain_unit_known_good_answers_and_nothing_is_counted(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.ask("c" * 500)
        async with rig.http.get(f"{rig.url}/", headers=[("X-User-Id", "c1"), ("X-User-Id", "g1")]) as answer:
            assert answer.status == 200
        assert rig.asked["next"] == []
        assert await rig.counted() == (0, 0, 0, 0)


async def test_a_version_cannot_rename_its_users(tmp_path: Path) -> None:
    async with a_rig(tmp_path, unit_header="", unit_cookie="unit") as rig:
        named = b"\r\nSet-Cookie: unit=g9\r\nSet-Cookie: a=b; unit=g9\r\nSet-Cookie: theme=dark\r\n\r\n"
        rig.says = GOOD.replace(b"\r\n\r\n", named)
        _, headers = await rig.ask("", Cookie="unit=c1")
        assert headers["Set-Cookie"] == "theme=dark"
        assert await rig.counted() == (0, 1, 0, 0)


async def test_a_batch_that_is_not_acknowledged_comes_again_as_it_was(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.statuses = [503, 202]
        await rig.ask("c1")
        await rig.delivery.deliver()
        await rig.ask("c2")
        await rig.delivery.deliver()
        assert rig.batches[0] == rig.batches[1]
        assert await rig.counted() == (0, 2, 0, 0)


async def test_a_batch_that_is_refused_for_good_withdraws_the_candidate(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.statuses = [409]
        await rig.ask("c1")
        await rig.delivery.deliver()
        rig.proxy.follow()
        await rig.ask("c2")
        await rig.delivery.deliver()
        assert len(rig.asked["next"]) == 1
        assert len(rig.batches) == 1
        assert rig.delivery.as_json()["tainted"] == [CHANGE]


async def test_a_loss_withdraws_the_candidate_and_counts_against_it(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.ask("c1")
        rig.delivery.rollouts[CHANGE].close()
        await rig.ask("c2")
        await rig.ask("c3")
        assert await rig.counted() == (0, 0, 0, 1)
        assert len(rig.asked["next"]) == 2


COST = CostSettings(wall_us="wall", bytes_out="egress")


async def costs(rig: Rig) -> dict[tuple[str, str], list[int]]:
    """Deliver; returns what was told by arm and KPI."""
    await rig.delivery.deliver()
    found: dict[tuple[str, str], list[int]] = {}
    for batch in {b["id"]: b for b in rig.batches}.values():
        assert parse_batch(json.dumps(batch), "edge").id
        for value in batch.get("values", []):
            found.setdefault((value["arm"], value["kpi"]), []).append(value["value"])
    return found


async def test_what_an_answer_costs_is_measured_and_not_what_it_says(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cost=COST) as rig:
        said = (
            b"\r\nX-Cost: 1\r\nX-Evoguard-Cost: 0\r\nServer-Timing: total;dur=0\r\nX-Bytes: 1\r\nX-Kpi: wall=0\r\n\r\n"
        )
        large = b" " * 60_000 + b'"score"'
        rig.says = GOOD.replace(b"\r\n\r\n", said).replace(b"12", b"60012").replace(b'"score"', large)
        rig.hangs = 0.2
        for user in ("c1", "c1", "g1", "g1"):  # a unit's first answer counts
            await rig.ask(user)
        told = await costs(rig)
        assert {key: len(values) for key, values in told.items()} == {
            (arm, kpi): 1 for arm in ("candidate", "known_good") for kpi in ("wall", "egress")
        }
        assert told["candidate", "wall"][0] >= 200_000
        assert told["candidate", "egress"][0] > 60_012
        assert told["known_good", "egress"][0] < 200


async def test_an_answer_that_fails_early_is_not_a_cheap_one(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cost=COST, most_in_flight=1, timeout_s=0.5) as rig:
        rig.says = b""
        await rig.ask("c1")
        rig.says, rig.hangs = GOOD, 30
        first = asyncio.create_task(rig.ask("c2"))
        await asyncio.sleep(0.1)
        await rig.ask("c3")  # no place
        await first
        told = await costs(rig)
        assert list(told) == [("candidate", "wall")]  # of the one that hung: as long as it was let
        assert len(told["candidate", "wall"]) == 1
        assert told["candidate", "wall"][0] >= 500_000


async def test_one_too_large_costs_what_was_read_of_it(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cost=COST) as rig:
        rig.says = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b" " * 300_000
        await rig.ask("c1")
        assert (await costs(rig))["candidate", "egress"][0] > 100_000
