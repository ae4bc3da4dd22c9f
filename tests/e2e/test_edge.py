"""The edge as its own process between users, versions and the real flag server; a real worker decides on its counts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from evoguard.wiring.flags import TOKENS
from real_house import RealHouse

pytestmark = pytest.mark.needs_gvisor
AT_ONCE, AT_MOST_S = 40, 240.0
VERSION = """
import asyncio, json, socket, sys
fd, commit, base, known_good, candidate = sys.argv[1:]
fails, seen = json.loads(known_good if commit == base else candidate), 0
async def serve(reader, writer):
    global seen
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            seen += 1
            status = "500 Broken" if seen % 10 in fails else "200 OK"
            writer.write(f"HTTP/1.1 {status}\\r\\nContent-Length: 12\\r\\n\\r\\n".encode() + b'{"score": 1}')
    except (OSError, asyncio.IncompleteReadError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, sock=socket.socket(fileno=int(fd)))
    await server.serve_forever()
asyncio.run(main())
"""
HONEST, BROKEN = [0, 5], [0, 1, 2, 3, 5, 7, 8]
"""Of ten requests these fail."""


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[str]:
    """Run a process until the block ends; yields its first line."""
    made = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert made.stdout is not None
        yield (await asyncio.wait_for(made.stdout.readline(), 90)).decode().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.terminate()
        await made.wait()


def settings_of(real: RealHouse, known_good: str, port: int, fails: list[int]) -> Path:
    """Write what an operator would before anybody proposes: the tokens that the guard made, how versions start."""
    words = ["/usr/bin/python3", "-I", "-c", VERSION, "{fd}", "{commit}", known_good, str(HONEST), str(fails)]
    file = real.folder / "edge.toml"
    lines = [
        'component = "scoring"', 'flag = "lending-scoring"', f'listen = "127.0.0.1:{port}"',
        f'known_good = "{known_good}"', f'guard = "http://127.0.0.1:{real.settings.flags_port}"',
        f'tokens = "{real.settings.state / TOKENS}"', f'journals = "{real.folder / "journals"}"',
        'unit_header = "X-User-Id"', 'answer_keys = ["score"]', "[start]", f"command = {json.dumps(words)}",
        f"shared_user = {json.dumps(os.geteuid() != 0)}",
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    return file


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def answering(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(400):
        with contextlib.suppress(OSError):
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the edge does not listen")


async def users(real: RealHouse, change: str, url: str) -> None:
    """Send new users through the edge until the rollout is over; how many that takes depends on the machine."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(http: aiohttp.ClientSession, number: int) -> None:
        async with http.get(f"{url}/score", headers={"X-User-Id": f"{change}-{number}"}) as answer:
            await answer.read()
        gate.release()

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        late = asyncio.get_running_loop().time() + AT_MOST_S
        for number in itertools.count():
            over = number % 100 == 0 and await real.status(change) != "rolling out"
            if over or asyncio.get_running_loop().time() > late:
                break
            await gate.acquire()
            group.create_task(one(http, number))


@pytest.mark.parametrize(("fails", "end"), [(HONEST, "known-good"), (BROKEN, "reverted")])
async def test_a_version_that_the_edge_starts_is_judged_by_what_it_saw(
    real: RealHouse, fails: list[int], end: str
) -> None:
    base = subprocess.check_output(["git", "--git-dir", str(real.origin), "rev-parse", "main"], text=True).strip()
    file = settings_of(real, base, port := free_port(), fails)
    async with process(sys.executable, "-m", "evoguard", "--json", "edge", str(file)) as said:
        assert json.loads(said)["edge"] == f"http://127.0.0.1:{port}"
        await answering(port)
        change = await real.propose("p1")
        async with real.worker():
            await real.roll_out(change)
            await users(real, change, f"http://127.0.0.1:{port}")
            await real.until(change, end)
    story = await real.story(change)
    assert ("rollout.completed" in story, "rollout.aborted" in story) == (end == "known-good", end == "reverted")
    told = real.opened.con.execute("select distinct assurance from kpi where change=?", (change,)).fetchall()
    assert told == [("edge",)]  # nobody else told anything
    if end == "reverted":
        event = next(
            e for e in await real.opened.queries.events(f"change/{change}") if e.event.type == "rollout.aborted"
        )
        assert event.event.body["code"] == "rollout.kpi_worse"
