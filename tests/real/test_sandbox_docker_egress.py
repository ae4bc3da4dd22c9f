"""A way out of a container: the same promises as of runsc, by way of the container's own streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from contract.sandbox_egress import LIMITS, EgressSuite, Way, host_is_the_internet, port
from contract.sandbox_engine import an_engine
from contract.sandbox_suite import tool
from evoguard_sandbox import Job, Room, execute
from evoguard_sandbox.rooms.engine_link import Engine

__all__ = ["host_is_the_internet", "port"]
pytestmark = pytest.mark.needs_gvisor


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with an_engine() as here:
        yield here.url


@pytest.fixture(scope="module")
def room(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    made = Room.open(tmp_path_factory.mktemp("room"), Path(), tool("runner-layer.sh"), engine=Engine(url))
    yield made
    made.close()


@pytest.fixture
def kind(url: str) -> Iterator[Way]:
    client = docker.APIClient(url)

    def left_behind(room: Room) -> list[str]:
        of_ours = {"label": [f"evoguard.installation={room.installation}"]}
        return [str(row["Id"]) for row in client.containers(all=True, filters=of_ours)]

    yield Way(left_behind, [], recorded=True)
    client.close()


class TestDocker(EgressSuite):
    """By frames between the guest's relay and this process."""

    @pytest.mark.usefixtures("host_is_the_internet")
    async def test_many_at_once_and_much_of_it_come_whole_and_in_order(self, room: Room, port: int):
        code = (
            "import threading, urllib.request as u\n"
            "seen = []\n"
            f"def one(n): seen.append(u.urlopen('http://allowed.test:{port}/' + str(n) * 4000, timeout=30).read())\n"
            "for turn in range(5):\n"
            "    all = [threading.Thread(target=one, args=(n,)) for n in range(10)]\n"
            "    [t.start() for t in all]; [t.join() for t in all]\n"
            "print(sorted(seen) == sorted([b'found /' + str(n).encode() * 4000 for n in range(10)] * 5))\n"
        )
        seen = await execute(Job(("python", "-c", code), egress=(("allowed.test", port),)), limits=LIMITS, room=room)
        assert (seen.stdout, seen.stderr, len(seen.egress)) == (b"True\n", b"", 50)
