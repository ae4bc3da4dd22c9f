"""The sandbox's promises on real gVisor: limits, reports, bad input, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter, Job, Limits, Room, SandboxError, Suite, execute, prove, run, sweep

pytestmark = pytest.mark.needs_gvisor
REPO = Path(__file__).parents[2]
SHORT = Limits(wall_s=20)
FIXTURE = "import pytest\n@pytest.fixture\ndef two(): return 2\n"
MEMORY = """
import os, time
for _ in range(4):
    if not os.fork(): break
held = bytearray(b"x" * (90 << 20))
time.sleep(60)
"""
FORKS = """
import os, time
n = 0
try:
    while 1:
        if not os.fork(): time.sleep(20)
        n += 1
except OSError as e: print(e.errno, n < 60)
"""
ONE_FILE = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open('/tmp/f', 'wb') as f:
        for _ in range(80): f.write(bytes(1 << 20))
except OSError as e: print(e.errno)
"""
MANY_FILES = """
try:
    for n in range(9):
        with open(f'/tmp/{n}', 'wb') as f:
            for _ in range(60): f.write(bytes(1 << 20))
except OSError as e: print(e.errno)
"""


def tools() -> tuple[Path, Path]:
    found = [
        subprocess.run([REPO / "deploy/tools" / script], capture_output=True, text=True, check=True).stdout.strip()
        for script in ("get-runsc.sh", "runner-layer.sh")
    ]
    return Path(found[0]), Path(found[1])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room.open(tmp_path_factory.mktemp("room"), *tools())


def tree(**texts: str) -> dict[str, tuple[int, bytes]]:
    return {name.replace("__", "/") + ".py": (0o100644, text.encode()) for name, text in texts.items()}


GOOD = tree(
    calc="def one():\n    return 1\n", test_calc="from calc import one\ndef test_one():\n    assert one() == 1\n"
)


def left_behind(room: Room) -> list[str]:
    folders = [room.home / "b", room.sockets(), *Path("/sys/fs/cgroup").glob("*/evoguard")]
    return [p.name for f in folders for p in f.iterdir() if p.name.startswith(f"eg-{room.installation}-")]


async def python(room: Room, code: str, limits: Limits = SHORT):
    return await execute(Job(("python", "-I", "-c", code)), limits=limits, room=room)


async def test_the_room_proves_that_it_is_gvisor(room):
    proof = await prove(room)
    assert proof.kernel.startswith("Linux version 4.")
    assert proof.behaviour == "recorded"
    assert proof.limits_mode == ("host" if os.geteuid() == 0 else "guest-only")


async def test_a_job_returns_its_output_and_its_status(room):
    seen = await python(room, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert (seen.outcome, seen.exit_status, seen.stdout, seen.stderr) == ("finished", 7, b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("code", "outcome", "codes"),
    [
        ("import time; time.sleep(60)", "wall", {"sandbox.limit_wall"}),
        ("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)", "wall", {"sandbox.limit_wall"}),
        ("import os\nwhile 1: os.write(1, b'A' * 65536)", "output", {"sandbox.limit_output"}),
        (
            MEMORY,
            "memory",
            {"sandbox.limit_memory"},
        ),
    ],
    ids=["hangs", "ignores SIGTERM", "floods", "takes memory"],
)
async def test_a_hard_limit_is_named(room, code, outcome, codes):
    if outcome == "memory" and os.geteuid() != 0:
        outcome, codes = "wall", {"sandbox.limit_wall"}  # without cgroups the clock is the only hard limit
    seen = await python(room, code, Limits(wall_s=1 if outcome == "wall" else 20, memory_bytes=256 << 20))
    assert (seen.outcome, {f.code for f in seen.findings}) == (outcome, codes)
    assert len(seen.stdout) <= SHORT.output_bytes


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (FORKS, b"11 True"),
        ("try:\n    b = [bytearray(64 << 20) for _ in range(64)]\nexcept MemoryError: print(1)", b"1"),
        ("import os\ntry:\n    while 1: os.dup(1)\nexcept OSError as e: print(e.errno)", b"24"),
        (ONE_FILE, b"27"),
        (MANY_FILES, b"28"),
        ("while 1:\n    pass", b""),
    ],
    ids=["forks", "memory", "descriptors", "one file", "the scratch folder", "processor time"],
)
async def test_a_polite_limit_bites_inside_and_the_room_stays_whole(room, code, says):
    seen = await python(room, code, Limits(wall_s=30, cpu_s=30 if says else 1, processes=40, address_bytes=400 << 20))
    assert seen.outcome == "finished"
    assert seen.stdout.strip() == says
    assert says or seen.exit_status in (-signal.SIGXCPU, -signal.SIGKILL)


async def test_a_daemon_dies_with_the_command(room):
    seen = await python(room, "import os, time\nif not os.fork():\n    os.setsid(); time.sleep(99)\nprint('done')")
    assert (seen.outcome, seen.exit_status, seen.stdout) == ("finished", 0, b"done\n")
    assert left_behind(room) == []


async def test_a_hanging_suite_is_ended_by_the_clock_and_leaves_nothing(room):
    bad = {**GOOD, **tree(calc="import time\ndef one():\n    time.sleep(60)\n")}
    seen = await run(Suite(GOOD, bad), limits=Limits(wall_s=2), room=room)
    assert (seen.passed, seen.outcome) == (False, "wall")
    assert "sandbox.limit_wall" in {f.code for f in seen.findings}
    assert left_behind(room) == []


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ({}, "tests.base_not_green"),
        (tree(calc="x = 1\n"), "tests.none_ran"),
        (tree(calc="x = 1\n", test_calc="def test_x():\n    assert 0\n"), "tests.base_not_green"),
        (tree(calc="x = 1\n", test_calc="import pytest\n@pytest.mark.skip\ndef test_x(): pass\n"), "tests.none_ran"),
    ],
    ids=["an empty tree", "no tests", "a red base", "only skipped tests"],
)
async def test_nothing_that_proves_nothing_passes(room, base, code):
    seen = await run(Suite(base, base), limits=SHORT, room=room)
    assert not seen.passed
    assert code in {f.code for f in seen.findings}


async def test_too_many_tests_are_a_bounded_report(room):
    many = {
        **GOOD,
        **tree(test_many="import pytest\n@pytest.mark.parametrize('n', range(2000))\ndef test_n(n): pass\n"),
    }
    seen = await run(Suite(GOOD, many), limits=Limits(wall_s=30, tests=1000), room=room)
    assert not seen.passed
    assert "sandbox.limit_tests" in {f.code for f in seen.findings}
    assert seen.new_tests == ()


async def test_a_flood_of_test_output_is_named(room):
    bad = {**GOOD, **tree(calc="import os\nfor _ in range(99): os.write(1, b'x' * 65536)\ndef one(): return 1\n")}
    loud = {"pytest.ini": (0o100644, b"[pytest]\naddopts = -s\n")}
    seen = await run(Suite({**GOOD, **loud}, {**bad, **loud}), limits=SHORT, room=room)
    assert (seen.passed, seen.outcome) == (False, "output")
    assert "sandbox.limit_output" in {f.code for f in seen.findings}


async def test_base_configuration_skips_and_expected_failures_are_honoured(room):
    files = {
        "pytest.ini": (0o100644, b"[pytest]\npythonpath = lib\n"),
        "tests/__init__.py": (0o100644, b""),
        **tree(lib__calc="def one():\n    return 1\n", tests__conftest=FIXTURE),
        **tree(
            tests__test_calc="import os, subprocess, sys, pytest\nfrom calc import one\n"
            "def test_one(two, tmp_path):\n    (tmp_path / 'x').touch(); open('y', 'w').close(); assert one() < two\n"
            "@pytest.mark.skip(reason='r')\ndef test_skip(): pass\n"
            "@pytest.mark.xfail\ndef test_x(): assert 0\n"
            "def test_child():\n    assert subprocess.check_output([sys.executable, '-c', 'print(1)']) == b'1\\n'\n"
        ),
    }
    seen = await run(Suite(files, files), limits=SHORT, room=room)
    assert seen.findings == ()
    assert seen.counts == {"passed": 2, "skipped": 1, "xfailed": 1}


async def test_the_systems_own_python_serves_as_well(room, tmp_path):
    names = [p.name for p in Path("/usr/bin").glob("python3.1[1-9]")]
    if not names:
        names = [Interpreter.current().name]
    python_of_system = (
        Interpreter(Path("/usr"), names[0]) if Path("/usr/bin", names[0]).exists() else Interpreter.current()
    )
    other = Room.open(tmp_path, *tools(), python=python_of_system)
    seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=other)
    assert seen.findings == ()


async def test_a_cancelled_run_leaves_nothing(room):
    task = asyncio.create_task(python(room, "import time; time.sleep(60)"))
    while not left_behind(room):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_behind(room) == []


KILLED = """
import asyncio, sys
from pathlib import Path
from evoguard_sandbox import Job, Limits, Room, execute
room = Room.open(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
print(room.run_id, flush=True)
asyncio.run(execute(Job(("python", "-c", "import time; time.sleep(60)")), limits=Limits(), room=room))
"""


def test_a_sweep_removes_what_a_killed_process_left_and_nothing_else(room):
    runsc, layer = tools()
    code = [sys.executable, "-c", KILLED, room.home.parent, runsc, layer]
    env = {**os.environ, "PYTHONPATH": str(REPO / "sandbox")}
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=env) as owner:
        assert owner.stdout is not None
        dead = f"eg-{room.installation}-{owner.stdout.readline().strip()}-"
        state = room.home / "runsc"
        while not any(dead in p.name and p.suffix == ".state" for p in state.iterdir()):
            time.sleep(0.02)
        assert sweep(room) == 0  # its owner is alive
        owner.kill()
    assert sweep(room) >= 1
    assert [p.name for p in state.iterdir() if dead in p.name] == []
    assert left_behind(room) == []
    assert sweep(room) == 0


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


async def test_the_report_is_plain_data(room):
    seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
    text = json.dumps([[t.id, t.outcome, t.duration_ms] for t in seen.tests])
    assert "test_calc.py::test_one" in text
    assert seen.expected == ("test_calc.py::test_one",)
    assert seen.behaviour.programs
