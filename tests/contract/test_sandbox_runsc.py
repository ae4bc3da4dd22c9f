"""The sandbox's promises on runsc run directly, and what only that back-end has: its version, its fakes, its record."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.sandbox_apart import ApartSuite
from contract.sandbox_suite import GOOD, SHORT, Kind, SandboxSuite, tool
from evoguard_sandbox import Interpreter, Job, Limits, Room, SandboxError, Suite, execute, run, suite
from evoguard_sandbox.rooms import cgroups

pytestmark = pytest.mark.needs_gvisor


def tools() -> tuple[Path, Path]:
    return tool("get-runsc.sh"), tool("runner-layer.sh")


def left_behind(room: Room) -> list[str]:
    groups = [*Path("/sys/fs/cgroup").glob("*/evoguard"), *Path("/sys/fs/cgroup").glob("evoguard")]
    folders = [room.home / "b", room.home / "runsc", room.sockets(), *groups]
    return [p.name for f in folders for p in f.iterdir() if p.name.startswith(f"eg-{room.installation}-")]


@pytest.fixture(scope="module")
def kind() -> Kind:
    runsc, layer = tools()
    return Kind(
        lambda state: Room.open(state, runsc, layer),
        f"Room.open(state, Path({str(runsc)!r}), Path({str(layer)!r}))",
        left_behind,
        lambda room: [p.name for p in (room.home / "runsc").iterdir() if p.suffix == ".state"],
        "host" if os.geteuid() == 0 else "guest-only",
        "recorded",
    )


@pytest.fixture(scope="module")
def room(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    opened = kind.opens(tmp_path_factory.mktemp("room"))
    yield opened
    opened.close()


class TestRunsc(SandboxSuite, ApartSuite):
    async def test_what_the_tests_started_is_in_the_record(self, room: Room):
        seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
        assert seen.behaviour.programs


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes cgroups at all")
async def test_a_host_without_writable_cgroups_is_told_and_the_guests_limits_hold(room, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path / "file")
    assert cgroups.unwritable() == f"{tmp_path}/file/evoguard: Not a directory"
    seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
    assert (seen.passed, seen.limits_mode, suite.GUEST_ONLY in seen.notes) == (True, "guest-only", True)
    eats = Job(("python", "-c", "held = bytearray(3 << 30)"))
    hungry = await execute(eats, limits=SHORT, room=room)
    assert (hungry.exit_status, b"MemoryError" in hungry.stderr) == (1, True)


async def test_the_systems_own_python_serves_as_well(tmp_path: Path):
    names = [p.name for p in Path("/usr/bin").glob("python3.1[1-9]")]
    if not names:
        names = [Interpreter.current().name]
    python_of_system = (
        Interpreter(Path("/usr"), names[0]) if Path("/usr/bin", names[0]).exists() else Interpreter.current()
    )
    other = Room.open(tmp_path, *tools(), python=python_of_system)
    seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=other)
    assert seen.findings == ()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("", "sandbox.runsc_missing"),
        ("echo 'runsc version 0.0~20221219.0'", "sandbox.runsc_old"),
        ("echo 'runsc version VERSION_MISSING'", "sandbox.runsc_old"),
        ("exit 1", "sandbox.runsc_missing"),
    ],
    ids=["missing", "old", "of no known age", "broken"],
)
def test_a_room_without_a_good_runsc_does_not_open(tmp_path, script, code):
    fake = tmp_path / "runsc"
    if script:
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
    with pytest.raises(SandboxError) as caught:
        Room.open(tmp_path / "state", fake, tools()[1])
    assert caught.value.code == code
    assert caught.value.fix


FAKE = """#!{python} -I
import json, os, struct, sys
if "--version" in sys.argv:
    print("runsc version 0.0~20260101.0"); sys.exit()
if "run" in sys.argv:
    {does}
"""
PLAIN = """
    data = json.dumps({"version": open("/proc/version").read().strip(), "log": "Starting gVisor..."}).encode()
    os.write(1, struct.pack(">cI", b"H", len(data)) + data); sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("does", "code"),
    [
        (PLAIN.strip(), "sandbox.not_gvisor"),
        ("sys.exit(0)", "sandbox.no_start"),
        ("os.write(1, b'hello'); sys.exit(0)", "sandbox.no_start"),
        ("import time; time.sleep(60)", "sandbox.no_start"),
    ],
    ids=["runs on the host's kernel", "says nothing", "says nonsense", "never starts"],
)
async def test_a_runsc_that_isolates_nothing_is_found_out(tmp_path, does, code):
    fake = tmp_path / "runsc"
    fake.write_text(FAKE.replace("{python}", sys.executable).replace("{does}", does))
    fake.chmod(0o755)
    room = Room.open(tmp_path / "state", fake, tools()[1])
    with pytest.raises(SandboxError) as caught:
        await execute(Job(("true",)), limits=Limits(start_s=2, wall_s=2), room=room)
    assert caught.value.code == code
    seen = await run(Suite(GOOD, GOOD), limits=Limits(start_s=1, wall_s=2), room=room)
    assert (seen.passed, seen.outcome, seen.ran, seen.attempts) == (False, "void", False, 2)
    assert "sandbox.void" in {f.code for f in seen.findings}
