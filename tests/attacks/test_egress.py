"""A command with a way out reaches what is on its list, by the proxy, and nothing else; without one there is none."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from contract.sandbox_egress import LIMITS, EgressSuite, Way, host_is_the_internet, port
from evoguard_sandbox import Job, Room, SandboxError, execute
from evoguard_sandbox.rooms import spec
from evoguard_sandbox.rooms.backend import Make

__all__ = ["host_is_the_internet", "port"]
pytestmark = pytest.mark.needs_gvisor


def left_behind(room: Room) -> list[str]:
    return [p.name for f in (room.home / "b", room.sockets()) for p in f.iterdir()]


@pytest.fixture
def kind() -> Way:
    return Way(left_behind, ["s"], recorded=True)


class TestRunsc(EgressSuite):
    """By a socket of the host's that is mounted into the guest."""


async def test_without_a_list_nothing_of_a_way_out_exists(room: Room):
    code = (
        "import os, socket\n"
        "print([n for n in os.environ if 'proxy' in n.lower()], os.listdir('/run'), end=' ')\n"
        "try: socket.create_connection(('127.0.0.1', 3128), 2)\n"
        "except OSError as e: print(e.errno)\n"
        "print({os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()} == {0, 65534})"
    )
    seen = await execute(Job(("python", "-c", code)), limits=LIMITS, room=room)
    assert seen.stdout == b"[] [] 111\nTrue\n"
    assert seen.egress == ()
    for egress, opens in (((), False), ((("a", 1),), True)):
        running = await room.backend.launch(room.next_id(), Make("job", LIMITS, egress=egress), spec.setup(
            room.python, Make("job", LIMITS, egress=egress)))  # fmt: skip
        given = room.command(*running.flags)  # type: ignore[attr-defined]  # this back-end's own
        config = json.loads((room.home / "b" / running.name / "config.json").read_text())
        await running.remove(clean=False)
        assert ("--host-uds=open" in given, given[given.index("--host-uds=none") :] != []) == (opens, True)
        assert any(mount["destination"] == "/run" for mount in config["mounts"]) is opens


async def test_a_layer_with_a_socket_in_it_would_be_a_second_way_out_and_is_refused(room: Room, tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
        with pytest.raises(SandboxError) as caught:
            job = Job(("true",), layer_dirs=(tmp_path,), egress=(("allowed.test", 80),))
            await execute(job, limits=LIMITS, room=room)
    assert caught.value.code == "sandbox.egress_socket"
    assert left_behind(room) == []
