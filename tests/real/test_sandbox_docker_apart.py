"""A split run in a Docker engine: what the code's container can do to the wire, and the host's own failures on it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from contract.sandbox_apart import right_beside_the_tests
from contract.sandbox_engine import Here, an_engine
from contract.sandbox_suite import GOOD, SHORT, tool, tree
from evoguard_sandbox import Room, Suite, run
from evoguard_sandbox.rooms import engine as engine_module
from evoguard_sandbox.rooms.engine_link import Engine
from evoguard_sandbox.rooms.engine_wires import Wire

pytestmark = pytest.mark.needs_gvisor


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with an_engine() as found:
        yield found


@contextmanager
def a_room(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    state = tmp_path_factory.getbasetemp() / "room"
    opened = Room.open(state, Path(), tool("runner-layer.sh"), engine=Engine(here.url))
    yield opened
    assert left_behind(opened) == []
    opened.close()


@pytest.fixture(scope="module")
def room(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(here, tmp_path_factory) as opened:
        yield opened


@pytest.fixture
def fresh(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A room that has not measured the base yet."""
    with a_room(here, tmp_path_factory) as opened:
        yield opened


def left_behind(room: Room) -> list[dict[str, object]]:
    of_ours = {"label": [f"evoguard.installation={room.installation}"]}
    return room.engines[0].link.client.containers(all=True, filters=of_ours)


@pytest.mark.parametrize(
    ("far", "verdict", "code"),
    [
        ("os._exit(0)", "fail", "tests.split_failed"),
        ("os.closerange(4, 6)", "fail", "tests.split_failed"),
        ("os.write(5, b'\\xff' * 99)", "tamper", "tests.split_forged"),
        ("os.write(1, b'S\\0\\0\\0\\1x' * 99); one = lambda: 2", "fail", "tests.split_failed"),
        ("os.closerange(0, 4); one = lambda: 2", "fail", "tests.split_failed"),
    ],
    ids=["ends", "closes the wire", "no frame", "frames where they do not belong", "nothing but the wire"],
)
async def test_what_the_code_does_to_the_wire_is_its_own_fault(room: Room, far: str, verdict: str, code: str):
    seen = await run(Suite(GOOD, right_beside_the_tests(far)), limits=SHORT, room=room)
    assert (seen.passed, seen.verdict) == (False, verdict)
    assert code in {f.code for f in seen.findings}


async def test_a_wire_over_its_bound_is_the_rooms_failure(fresh: Room, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine_module, "Wire", functools.partial(Wire, most_bytes=40))
    seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=fresh)
    assert (seen.passed, seen.verdict, seen.attempts) == (False, "void", 2)
    assert "sandbox.void" in {f.code for f in seen.findings}


class Heard(Wire):
    """A wire that tells when anything was said on one."""

    words = 0

    async def outward(self, data: bytes) -> None:
        Heard.words += 1
        await super().outward(data)


@asynccontextmanager
async def the_codes_containers_removed(url: str, room: Room) -> AsyncIterator[None]:
    """Remove each container of ours that holds code under test, once it was asked for something."""
    client = docker.APIClient(url)
    of_ours = {"label": [f"evoguard.installation={room.installation}"]}

    async def remove() -> None:
        while True:
            for row in await asyncio.to_thread(client.containers, filters=of_ours):
                if "split_far.py" in row["Command"] and Heard.words:
                    Heard.words = 0
                    with suppress(APIError):
                        await asyncio.to_thread(client.remove_container, row["Id"], force=True)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(remove())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        client.close()


async def test_a_container_of_the_code_that_the_engine_loses_tells_nothing_of_the_code(
    here: Here, fresh: Room, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine_module, "Wire", Heard)
    slow = {**GOOD, **tree(calc="import time\ndef one():\n    time.sleep(3)\n    return 1\n")}
    async with the_codes_containers_removed(here.url, fresh):
        seen = await run(Suite(slow, slow), limits=SHORT, room=fresh)
    assert (seen.passed, seen.verdict, seen.attempts) == (False, "void", 2)
