"""What every back-end of the sandbox room promises: limits, reports, bad input, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from evoguard_sandbox import Job, JobReport, Limits, Room, SandboxError, Suite, execute, prove, run, sweep
from evoguard_sandbox.types import Usage

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
BUSY = """
import time
held = bytearray(96 << 20)
end = time.process_time() + 1.5
while time.process_time() < end: pass
"""
SIGNALLED = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open('/tmp/f', 'wb') as f:
    while 1: f.write(bytes(1 << 20))
"""
IN_A_CHILD = """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        while 1: pass
    os._exit(0)
os.wait()
time.sleep(55)
"""
WRITES = """
import os
open_to_us = {"/tmp", "/room/tree", "/dev/shm"}
found = set()
for folder, folders, _ in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in {"/proc", "/sys", *open_to_us}]
    try:
        name = os.path.join(folder, "x")
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY)); os.unlink(name); found.add(folder)
    except OSError: pass
print(sorted(found), all(os.access(p, os.W_OK) for p in open_to_us))
"""
REACHES = """
import socket
told = []
for where in (("169.254.169.254", 80), ("192.0.2.1", 443), ("8.8.8.8", 53)):
    with socket.socket() as s:
        s.settimeout(2)
        try: s.connect(where); told.append("reached")
        except OSError as e: told.append(type(e).__name__)
try: socket.getaddrinfo("localhost.example", 80); told.append("resolved")
except OSError: told.append("no name")
print(told, sorted(n for _, n in socket.if_nameindex() if n != "lo"))
"""
RIGHTS = """
import os
told = dict(l.split(":", 1) for l in open("/proc/self/status") if ":" in l)
print(os.getresuid(), os.getresgid(), os.getgroups(), int(told["CapEff"], 16) | int(told["CapPrm"], 16))
try: os.setuid(0); print("root")
except OSError as e: print(e.errno)
try: os.kill(1, 9); print("killed")
except OSError as e: print(e.errno)
"""
KILLED = """
import asyncio, sys
from pathlib import Path
from evoguard_sandbox import Job, Limits, Room, execute
from evoguard_sandbox.rooms.engine_link import Engine
state = Path(sys.argv[1])
room = {opening}
print(room.run_id, flush=True)
asyncio.run(execute(Job(("python", "-c", "import time; time.sleep(60)")), limits=Limits(), room=room))
"""


def tool(name: str) -> Path:
    done = subprocess.run([REPO / "deploy/tools" / name], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def tree(**texts: str) -> dict[str, tuple[int, bytes]]:
    return {name.replace("__", "/") + ".py": (0o100644, text.encode()) for name, text in texts.items()}


GOOD = tree(
    calc="def one():\n    return 1\n", test_calc="from calc import one\ndef test_one():\n    assert one() == 1\n"
)


@dataclass(frozen=True)
class Kind:
    """One back-end here: how its rooms open (`opening`: the same for another process), what is left, what runs."""

    opens: Callable[[Path], Room]
    opening: str
    left_behind: Callable[[Room], list[str]]
    started: Callable[[Room], list[str]]
    limits_mode: str
    behaviour: str


async def python(room: Room, code: str, limits: Limits = SHORT) -> JobReport:
    return await execute(Job(("python", "-I", "-c", code)), limits=limits, room=room)


class SandboxSuite:
    """Run by a class of each back-end, which has the fixtures `kind` and `room`."""

    async def test_the_room_proves_that_it_is_gvisor(self, kind: Kind, room: Room):
        proof = await prove(room)
        assert proof.kernel.startswith("Linux version 4.")
        assert (proof.behaviour, proof.limits_mode) == (kind.behaviour, kind.limits_mode)
        assert room.isolation == "gvisor"

    async def test_a_job_returns_its_output_and_its_status(self, room: Room):
        seen = await python(room, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
        assert (seen.outcome, seen.exit_status, seen.stdout, seen.stderr) == ("finished", 7, b"out\n", b"err\n")

    async def test_no_byte_is_lost_on_a_way_in_or_out(self, room: Room):
        data = bytes(range(256)) * (3 << 12)
        code = "import shutil; shutil.copy('in', 'out'); print('x' * 3_000_000)"
        job = Job(("python", "-I", "-c", code), {"in": (0o100644, data)}, take=("out",))
        seen = await execute(job, limits=SHORT, room=room)
        assert (seen.outcome, seen.exit_status, len(seen.stdout)) == ("finished", 0, 3_000_001)
        assert (seen.artefacts, seen.omitted) == ({"out": (0o100644, data)}, "")

    async def test_a_command_has_no_rights_and_writes_nowhere_but_in_its_scratch(self, room: Room):
        seen = await python(room, RIGHTS + WRITES)
        lines = seen.stdout.decode().splitlines()
        assert lines[0].endswith("[] 0")
        assert lines[0].startswith(f"{(65534,) * 3} {(65534,) * 3}")
        assert lines[1:] == ["1", "1", "[] True"]

    async def test_nothing_outside_is_reached(self, room: Room):
        seen = await python(room, REACHES)
        assert "reached" not in seen.stdout.decode()
        assert "resolved" not in seen.stdout.decode()
        assert seen.stdout.endswith(b"] []\n")

    async def test_a_layer_is_importable_and_read_only(self, room: Room, tmp_path: Path):
        first, second = tmp_path / "first", tmp_path / "second"
        for folder, text in ((first, "x = 1\n"), (second, "x = 2\ny = 3\n")):
            folder.mkdir()
            (folder / "dep.py").write_text(text)
        (second / "other.py").write_text("z = 4\n")
        code = "import dep, other, os; print(dep.x, hasattr(dep, 'y'), other.z, os.access(dep.__file__, os.W_OK))"
        job = Job(("python", "-c", code), layer_dirs=(first, second))
        seen = await execute(job, limits=SHORT, room=room)
        assert (seen.stdout, seen.stderr) == (b"1 False 4 False\n", b"")
        with pytest.raises(SandboxError) as caught:
            await execute(Job(("true",), layer_dirs=(tmp_path / "none",)), limits=SHORT, room=room)
        assert caught.value.code == "sandbox.layer_missing"

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("import time; time.sleep(60)", "wall"),
            ("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)", "wall"),
            ("import os\nwhile 1: os.write(1, b'A' * 65536)", "output"),
            (MEMORY, "memory"),
        ],
        ids=["hangs", "ignores SIGTERM", "floods", "takes memory"],
    )
    async def test_a_hard_limit_is_named(self, kind: Kind, room: Room, code: str, outcome: str):
        if outcome == "memory" and kind.limits_mode == "guest-only":
            outcome = "wall"  # without cgroups the clock is the only hard limit
        seen = await python(room, code, Limits(wall_s=1 if outcome == "wall" else 20, memory_bytes=256 << 20))
        assert (seen.outcome, {f.code for f in seen.findings}) == (outcome, {f"sandbox.limit_{outcome}"})
        assert len(seen.stdout) <= SHORT.output_bytes
        assert kind.left_behind(room) == []

    @pytest.mark.parametrize(
        ("code", "says", "told"),
        [
            (FORKS, b"11 True", ["processes"]),
            ("try:\n    b = [bytearray(64 << 20) for _ in range(64)]\nexcept MemoryError: print(1)", b"1", []),
            ("import os\ntry:\n    while 1: os.dup(1)\nexcept OSError as e: print(e.errno)", b"24", []),
            (ONE_FILE, b"27", ["file_size"]),
            (MANY_FILES, b"28", ["tmp"]),
            ("while 1:\n    pass", b"", ["cpu"]),
            (SIGNALLED, b"", ["file_size"]),
        ],
        ids=[
            "forks",
            "memory",
            "descriptors",
            "one file",
            "the scratch folder",
            "processor time",
            "one file, by signal",
        ],
    )
    async def test_a_polite_limit_bites_inside_is_named_and_the_room_stays_whole(
        self, room: Room, code: str, says: bytes, told: list[str]
    ):
        limits = Limits(wall_s=30, cpu_s=1 if "cpu" in told else 30, processes=40, address_bytes=400 << 20)
        seen = await python(room, code, limits)
        assert seen.outcome == "finished"
        assert seen.stdout.strip() == says
        assert [f.code for f in seen.findings] == [f"sandbox.limit_{name}" for name in told]
        if not says:
            assert seen.exit_status in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGXFSZ)

    async def test_processor_time_is_bounded_for_all_processes_together(self, kind: Kind, room: Room):
        if kind.limits_mode == "guest-only":
            pytest.skip("nobody counts here")
        seen = await python(room, IN_A_CHILD, Limits(wall_s=60, cpu_s=1))
        assert seen.outcome == "wall"
        assert {f.code for f in seen.findings} == {"sandbox.limit_wall", "sandbox.limit_cpu"}
        assert kind.left_behind(room) == []

    async def test_what_stays_within_its_limits_has_no_finding_and_what_it_took_is_counted_outside(
        self, kind: Kind, room: Room
    ):
        limits = Limits(wall_s=60, memory_bytes=512 << 20)
        seen = await python(room, BUSY, limits)
        assert (seen.outcome, seen.exit_status, seen.findings) == ("finished", 0, ())
        if kind.limits_mode == "guest-only":
            assert seen.usage == Usage()
            return
        assert 96 << 20 <= seen.usage.memory_bytes <= limits.memory_bytes
        assert 300 <= seen.usage.cpu_ms <= 60_000
        assert 2 <= seen.usage.tasks <= limits.pids

    async def test_every_report_says_what_isolated_it(self, room: Room):
        assert (await python(room, "pass")).isolation == "gvisor"
        assert (await run(Suite(GOOD, GOOD), limits=SHORT, room=room)).isolation == "gvisor"

    async def test_a_daemon_dies_with_the_command(self, kind: Kind, room: Room):
        seen = await python(room, "import os, time\nif not os.fork():\n    os.setsid(); time.sleep(99)\nprint('done')")
        assert (seen.outcome, seen.exit_status, seen.stdout) == ("finished", 0, b"done\n")
        assert kind.left_behind(room) == []

    async def test_a_good_candidate_passes_and_the_report_is_plain_data(self, room: Room):
        seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
        assert (seen.findings, seen.passed, seen.verdict) == ((), True, "pass")
        text = json.dumps([[t.id, t.outcome, t.duration_ms] for t in seen.tests])
        assert "test_calc.py::test_one" in text
        assert seen.expected == ("test_calc.py::test_one",)

    @pytest.mark.parametrize(
        ("calc", "verdict"),
        [
            ("def one():\n    return 2\n", "fail"),
            ("import os\ndef one():\n    os._exit(0)\n", "tamper"),
            ("import _pytest.runner as r\nr.pytest_runtest_call = lambda item: None\ndef one(): return 2\n", "tamper"),
            ("class A(int):\n    def __eq__(s, o): return True\ndef one(): return A(2)\n", "tamper"),
        ],
        ids=["wrong", "exits as if all were well", "takes the runner apart", "is equal to everything"],
    )
    async def test_a_bad_candidate_gets_the_verdict_it_deserves(self, room: Room, calc: str, verdict: str):
        seen = await run(Suite(GOOD, {**GOOD, **tree(calc=calc)}), limits=SHORT, room=room)
        assert (seen.passed, seen.verdict) == (False, verdict)

    async def test_a_hanging_suite_is_ended_by_the_clock_and_leaves_nothing(self, kind: Kind, room: Room):
        bad = {**GOOD, **tree(calc="import time\ndef one():\n    time.sleep(60)\n")}
        seen = await run(Suite(GOOD, bad), limits=Limits(wall_s=3), room=room)
        assert (seen.passed, seen.outcome) == (False, "wall")
        assert "sandbox.limit_wall" in {f.code for f in seen.findings}
        assert kind.left_behind(room) == []

    @pytest.mark.parametrize(
        ("base", "code"),
        [
            ({}, "tests.base_not_green"),
            (tree(calc="x = 1\n"), "tests.none_ran"),
            (tree(calc="x = 1\n", test_calc="def test_x():\n    assert 0\n"), "tests.base_not_green"),
            (
                tree(calc="x = 1\n", test_calc="import pytest\n@pytest.mark.skip\ndef test_x(): pass\n"),
                "tests.none_ran",
            ),
        ],
        ids=["an empty tree", "no tests", "a red base", "only skipped tests"],
    )
    async def test_nothing_that_proves_nothing_passes(self, room: Room, base: dict[str, tuple[int, bytes]], code: str):
        seen = await run(Suite(base, base), limits=SHORT, room=room)
        assert not seen.passed
        assert code in {f.code for f in seen.findings}

    async def test_too_many_tests_are_a_bounded_report(self, room: Room):
        text = "import pytest\n@pytest.mark.parametrize('n', range(2000))\ndef test_n(n): pass\n"
        seen = await run(Suite(GOOD, {**GOOD, **tree(test_many=text)}), limits=Limits(wall_s=30, tests=1000), room=room)
        assert not seen.passed
        assert "sandbox.limit_tests" in {f.code for f in seen.findings}
        assert seen.new_tests == ()

    async def test_a_flood_of_test_output_is_named(self, room: Room):
        bad = {**GOOD, **tree(calc="import os\nfor _ in range(99): os.write(1, b'x' * 65536)\ndef one(): return 1\n")}
        loud = {"pytest.ini": (0o100644, b"[pytest]\naddopts = -s\n")}
        seen = await run(Suite({**GOOD, **loud}, {**bad, **loud}), limits=SHORT, room=room)
        assert (seen.passed, seen.outcome) == (False, "output")
        assert "sandbox.limit_output" in {f.code for f in seen.findings}

    async def test_base_configuration_skips_and_expected_failures_are_honoured(self, room: Room):
        files = {
            "pytest.ini": (0o100644, b"[pytest]\npythonpath = lib\n"),
            "tests/__init__.py": (0o100644, b""),
            **tree(lib__calc="def one():\n    return 1\n", tests__conftest=FIXTURE),
            **tree(
                tests__test_calc="import os, subprocess, sys, pytest\nfrom calc import one\n"
                "def test_one(two, tmp_path):\n    (tmp_path / 'x').touch(); open('y', 'w').close(); "
                "assert one() < two\n"
                "@pytest.mark.skip(reason='r')\ndef test_skip(): pass\n"
                "@pytest.mark.xfail\ndef test_x(): assert 0\n"
                "def test_child():\n    assert subprocess.check_output([sys.executable, '-c', 'print(1)']) == b'1\\n'\n"
                "def test_tools():\n    assert subprocess.check_output(['sh', '-c', 'echo a | tr a b']) == b'b\\n'\n"
            ),
        }
        seen = await run(Suite(files, files), limits=SHORT, room=room)
        assert seen.findings == ()
        assert seen.counts == {"passed": 3, "skipped": 1, "xfailed": 1}

    async def test_a_cancelled_run_leaves_nothing(self, kind: Kind, room: Room):
        task = asyncio.create_task(python(room, "import time; time.sleep(60)"))
        while not kind.left_behind(room):
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert kind.left_behind(room) == []

    def test_a_sweep_removes_what_a_killed_process_left_and_nothing_else(self, kind: Kind, room: Room):
        code = [sys.executable, "-c", KILLED.replace("{opening}", kind.opening), room.home.parent]
        env = {**os.environ, "PYTHONPATH": str(REPO / "sandbox")}
        with subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=env) as owner:
            assert owner.stdout is not None
            dead = f"eg-{room.installation}-{owner.stdout.readline().strip()}-"
            while not any(name.startswith(dead) for name in kind.started(room)):
                assert owner.poll() is None
                time.sleep(0.02)
            assert sweep(room) == 0  # its owner is alive
            assert kind.left_behind(room) != []
            owner.kill()
        assert sweep(room) >= 1
        assert kind.left_behind(room) == []
        assert sweep(room) == 0
