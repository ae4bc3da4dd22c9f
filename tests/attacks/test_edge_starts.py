"""Versions that the edge starts and that try to get out of it, to outlive it, or to be met before they are well."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from evoguard.edge import starting
from evoguard.edge.delivery import Delivery
from evoguard.edge.flagging import FlagView
from evoguard.edge.proxy import Proxy, open_session
from evoguard.edge.serving import listen
from evoguard.edge.settings import EdgeSettings, parse
from evoguard.edge.start_settings import StartSettings
from evoguard.edge.starting import Started
from evoguard.errors import InputError, UnavailableError

BASE, NEXT, CHANGE = "a" * 40, "b" * 40, "ch-000000000001"
ON = FlagView(True, 50, 0.0, CHANGE, "scoring", BASE, NEXT)
PYTHON = "/usr/bin/python3"  # the one of the tests may lie where another user cannot look
VERSION = """
import json, os, socket, subprocess, sys, time
door, mode = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
def detached(mark):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", mark], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if mode == "exits": sys.exit(3)
if mode == "flood":
    while True: os.write(1, b"x" * 65536)
if mode.startswith("fork"): detached(mode)
if mode.startswith("gone"): detached(mode); sys.exit(0)
seen = 0
while True:
    one, _ = door.accept()
    asked = one.recv(65536).decode()
    seen += 1
    if mode == "dies" and "/health" not in asked: os._exit(1)
    if mode == "sick": status, said = "500 Sick", {}
    elif mode == "noisy": status, said = "200 OK", {"score": 1}; os.write(1, b"y" * 65536)
    else: status, said = "200 OK", {"score": 1}
    if "/tell" in asked:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")]
        try: open(asked.split("?")[1].split()[0]).read(); token = "read"
        except OSError: token = "refused"
        said = {"score": 1, "env": dict(os.environ), "uid": os.getuid(), "pids": len(pids), "caps": caps}
        said["token"] = token
    body = json.dumps(said).encode()
    head = ["HTTP/1.1 " + status, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    one.sendall("\\r\\n".join(head).encode() + body)
    one.close()
"""
pytestmark = pytest.mark.skipif(not Path(PYTHON).exists(), reason="Debian's Python is not there")


def command(mode: str) -> tuple[str, ...]:
    return (PYTHON, "-I", "-c", VERSION, "{fd}", mode)


def start_of(mode: str, **changes: object) -> StartSettings:
    commands = {BASE: command("well"), NEXT: command(mode)}
    return StartSettings(commands=commands, health="/health", shared_user=os.geteuid() != 0, **changes)


@dataclass
class Rig:
    """An edge that starts both versions; users whose name begins with c meet the candidate once it is met."""

    fleet: Started
    view: FlagView = ON
    url: str = ""
    proxy: Proxy = None  # type: ignore[assignment]
    delivery: Delivery = None  # type: ignore[assignment]
    http: aiohttp.ClientSession = None  # type: ignore[assignment]

    def meets_candidate(self, _flag: str, user: str) -> bool:
        return user.startswith("c")

    def views(self) -> dict[str, FlagView]:
        return {"f": self.view}

    async def until(self, what: str) -> None:
        """Follow the flag until the fleet says so of the candidate."""
        for _ in range(600):
            self.proxy.follow()
            if getattr(self.fleet, what)(NEXT):
                self.proxy.follow()
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never {what}: {self.fleet.as_json()}")

    async def ask(self, user: str, path: str = "/score") -> tuple[int, dict]:
        async with self.http.get(self.url + path, headers={"X-User-Id": user}) as answer:
            return answer.status, await answer.json(content_type=None)

    def counted(self) -> tuple[int, int, int, int]:
        counts = self.delivery.rollouts.get(CHANGE)
        if counts is None:
            return 0, 0, 0, 0
        return (*counts.exposed.values(), *counts.bad.values())


@asynccontextmanager
async def a_rig(folder: Path, start: StartSettings) -> AsyncIterator[Rig]:
    settings = EdgeSettings(
        "scoring", "f", "127.0.0.1", 0, BASE, "http://127.0.0.1:9", folder, folder, {}, unit_header="X-User-Id",
        timeout_s=3.0, answer_keys=("score",), start=start,
    )  # fmt: skip
    async with open_session(settings) as http, aiohttp.ClientSession() as own, aiohttp.ClientSession() as people:
        rig = Rig(Started(start, linger_s=0.0))
        rig.http, rig.delivery = people, Delivery(settings.guard, "t", folder, own)
        rig.proxy = Proxy(settings, rig, rig.delivery, http, rig.fleet)
        runner: web.AppRunner | None = None
        try:
            await rig.fleet.open(BASE)
            runner = await listen(rig.proxy, settings)
            rig.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield rig
        finally:
            if runner is not None:
                await runner.cleanup()
            await rig.fleet.close()
            await rig.delivery.finish()


def alive(mark: str) -> list[int]:
    """Return the processes that name this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def gone(mark: str) -> bool:
    until = time.monotonic() + 10
    while alive(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(mark)


async def test_a_version_is_met_only_when_it_is_healthy(tmp_path: Path) -> None:
    async with a_rig(tmp_path, start_of("well")) as rig:
        rig.proxy.follow()  # wanted now, not well yet
        assert not rig.fleet.ready(NEXT)
        assert (await rig.ask("c1"))[0] == 200
        assert rig.counted() == (0, 0, 0, 0)  # known-good answered: that is no evidence of either
        await rig.until("ready")
        for user in ("c1", "g1"):
            assert (await rig.ask(user))[0] == 200
        assert rig.counted() == (1, 1, 0, 0)
        rig.view = FlagView()
        for _ in range(2):
            rig.proxy.follow()
        assert [one["commit"] for one in rig.fleet.as_json()] == [BASE]  # nobody wants the candidate any more


@pytest.mark.parametrize("mode", ["exits", "sick", "flood"])
async def test_one_that_never_is_healthy_answers_nobody_and_fails_its_users(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "BACKOFF_S", (0.01,))
    async with a_rig(tmp_path, start_of(mode, ready_s=1.0)) as rig:
        await rig.until("met")
        assert not rig.fleet.ready(NEXT)
        assert (await rig.ask("c1"))[0] == 503
        assert (await rig.ask("g1"))[0] == 200
        assert rig.counted() == (1, 1, 0, 1)
        assert max(len(one.tail) for one in rig.fleet._running.values()) <= starting.TAIL


async def test_one_that_dies_of_a_request_fails_that_user_and_those_who_come_while_it_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "BACKOFF_S", (30.0,))
    async with a_rig(tmp_path, start_of("dies")) as rig:
        await rig.until("ready")
        assert (await rig.ask("c1"))[0] == 502
        assert (await rig.ask("c2"))[0] >= 502
        for _ in range(400):
            if not rig.fleet.ready(NEXT):
                break
            await asyncio.sleep(0.05)
        assert (await rig.ask("c3"))[0] == 503
        assert rig.counted() == (0, 3, 0, 3)


async def test_a_version_that_floods_its_output_is_read_slowly_and_still_served(tmp_path: Path) -> None:
    async with a_rig(tmp_path, start_of("noisy")) as rig:
        await rig.until("ready")
        for number in range(10):
            assert (await rig.ask(f"c{number}"))[0] == 200
        assert rig.counted() == (0, 10, 0, 0)


@pytest.mark.parametrize("mode", ["fork", "gone"])
async def test_what_a_version_detaches_ends_with_it(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "BACKOFF_S", (30.0,))
    mark = f"{mode}-{os.getpid()}"
    async with a_rig(tmp_path, start_of(mark)) as rig:
        if mode == "fork":
            await rig.until("ready")
            assert alive(mark)
        else:
            rig.proxy.follow()
            await asyncio.wait_for(rig.fleet._running[NEXT].tried.wait(), 20)
            assert await asyncio.to_thread(gone, mark)
    assert await asyncio.to_thread(gone, mark)


async def test_a_version_sees_no_secret_no_right_and_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOGUARD_SECRET", "token-of-the-edge")
    secret = tmp_path / "tokens.json"
    secret.touch(0o600)
    async with a_rig(tmp_path, start_of("well", environment={"MINE": "1"})) as rig:
        await rig.until("ready")
        said = (await rig.ask("c1", f"/tell?{secret}"))[1]
        base = (await rig.ask("g1", "/tell?/"))[1]
        assert set(said["env"]) - {"LC_CTYPE", "PWD"} == {"PATH", "LANG", "MINE"}
        assert said["pids"] <= 3
        assert {int(cap, 16) for cap in said["caps"]} == {0} or os.geteuid()
        if os.geteuid() == 0:
            assert said["token"] == "refused"
            assert 0 not in (said["uid"], base["uid"])
            assert said["uid"] != base["uid"]


EDGE = """
import asyncio, sys
from evoguard.edge.start_settings import StartSettings
from evoguard.edge.starting import Started
async def main():
    fleet = Started(StartSettings(command=tuple(sys.argv[2:]), health="/health", shared_user=True), linger_s=1)
    await fleet.open(sys.argv[1])
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_an_edge_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    mark = f"fork-killed-{os.getpid()}"
    edge = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EDGE, BASE, *command(mark), stdout=asyncio.subprocess.PIPE
    )
    assert edge.stdout is not None
    assert (await asyncio.wait_for(edge.stdout.readline(), 60)).strip() == b"ready"
    assert len(alive(mark)) >= 2  # the version, and what it detached
    edge.send_signal(signal.SIGKILL)
    await edge.wait()
    assert await asyncio.to_thread(gone, mark)


async def test_a_version_that_is_ended_at_any_moment_of_its_start_is_gone() -> None:
    mark = f"fork-early-{os.getpid()}"
    for step in range(12):
        fleet = Started(start_of(mark), linger_s=0)
        fleet.want([NEXT])
        await asyncio.sleep(step * 0.006)
        await fleet.close()
    assert await asyncio.to_thread(gone, mark)


async def test_an_edge_without_a_healthy_known_good_does_not_open() -> None:
    fleet = Started(start_of("well", ready_s=0.5), linger_s=0)
    with pytest.raises(UnavailableError, match="known-good did not get healthy"):
        await fleet.open("c" * 40)
    await fleet.close()


def test_without_root_a_shared_user_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError) as refused:
        Started(StartSettings(command=command("well")), linger_s=0)
    assert refused.value.code == "edge.start"


GOOD: dict[str, object] = {
    "component": "scoring", "flag": "f", "listen": "127.0.0.1:0", "known_good": BASE, "guard": "http://127.0.0.1:1",
    "tokens": "t", "journals": "j", "unit_header": "X-User-Id", "start": {"command": ["/srv/run", "{fd}", "{commit}"]},
}  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        {"start": {}}, {"start": []}, {"start": {"command": ["/srv/run"]}}, {"start": {"command": ["run", "{fd}"]}},
        {"start": {"command": "/srv/run {fd}"}}, {"start": {"command": ["/srv/run", "{fd}", "a\0"]}},
        {"start": {"command": ["/r", "{fd}"], "more": 1}}, {"start": {"command": ["/r", "{fd}"], "health": "x"}},
        {"start": {"command": ["/r", "{fd}"], "health": "/a b"}}, {"start": {"command": ["/r", "{fd}"], "ready_s": 0}},
        {"start": {"command": ["/r", "{fd}"], "first_uid": 0}},
        {"start": {"command": ["/r", "{fd}"], "first_uid": True}},
        {"start": {"command": ["/r", "{fd}"], "environment": {"a=b": "1"}}},
        {"start": {"command": ["/r", "{fd}"], "environment": {"A": 1}}},
        {"start": {"command": ["/r", "{fd}"], "environment": {"LD_PRELOAD": "/x"}}},
        {"start": {"commands": {"main": ["/r", "{fd}"]}}}, {"start": {"commands": {NEXT: ["/r", "{fd}"]}}},
        {"versions": {BASE: "http://127.0.0.1:1"}},
    ],
)  # fmt: skip
def test_settings_that_start_are_bounded(bad: dict[str, object]) -> None:
    assert parse(GOOD).start is not None
    with pytest.raises(InputError) as refused:
        parse({**GOOD, **bad})
    assert refused.value.code == "edge.settings"
