"""A runner that dies at any moment, kill -9: the next one finds nothing of it, once it has swept, and harms no other.

Each point is the n-th time that something happens in a verdict from prepared sandboxes, pairs among them, or in a job
with a way out. The victim ends itself there, so the moment is exact.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contract.sandbox_suite import REPO, tool
from evoguard_sandbox import Job, Limits, Room, execute, sweep

pytestmark = pytest.mark.needs_gvisor
VICTIM = """
import asyncio, os, signal, sys
from pathlib import Path
from evoguard_sandbox import Job, Limits, Pool, Room, Suite, execute, run
from evoguard_sandbox.rooms import box, cgroups, pool, runsc, trace
state, gvisor, layer, event, nth = sys.argv[1:]
left = int(nth)
def tick(name):
    global left
    if name == event:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
def watch(owner, attr, before="", after=""):
    real = getattr(owner, attr)
    if asyncio.iscoroutinefunction(real):
        async def seen(*a, **k):
            tick(before); told = await real(*a, **k); tick(after); return told
    else:
        def seen(*a, **k):
            tick(before); told = real(*a, **k); tick(after); return told
    setattr(owner, attr, seen)
watch(cgroups, "make", "to be bounded", "bounded")
watch(cgroups.Cgroup, "remove", "to be unbounded", "unbounded")
watch(trace.Sink, "__aenter__", "", "listened to")
watch(runsc.Child, "__init__", "to be born", "born")
watch(runsc._Running, "remove", "to be removed", "removed")
watch(runsc._Running, "_cleared", "to be cleared", "cleared")
watch(runsc.Proxy, "listen", "", "way out")
watch(box.Box, "_greet", "greeted", "")
watch(box.Box, "start", "", "ready")
watch(box.Box, "_feed", "ordered", "")
watch(box.Box, "_take", "frame", "")
watch(pool, "start_pair", "", "paired")
watch(pool.Pool, "close", "closing", "closed")
TREE = {
    "calc.py": (0o100644, b"def one():\\n    return 1\\n"),
    "test_calc.py": (0o100644, b"from calc import one\\ndef test_one():\\n    assert one() == 1\\n"),
}
async def main():
    room = Room.open(Path(state), Path(gvisor), Path(layer))
    warm, limits = Pool(room), Limits(wall_s=60)
    first = asyncio.ensure_future(run(Suite(TREE, TREE), limits=limits, room=room, pool=warm))
    job = Job(("python", "-c", "print(1)"), egress=(("allowed.test", 80),))
    await execute(job, limits=limits, room=room)
    tick("job")
    assert (await first).verdict == "pass"
    tick("verdict")
    await asyncio.sleep(1)
    tick("standing ready")
    await warm.close()
asyncio.run(main())
"""
POINTS = [
    ("bounded", 1), ("bounded", 5), ("listened to", 1), ("to be born", 3), ("born", 1), ("born", 2), ("born", 6),
    ("greeted", 1), ("greeted", 4), ("ready", 2), ("paired", 1), ("ordered", 1), ("ordered", 4), ("frame", 3),
    ("frame", 15), ("to be removed", 1), ("to be unbounded", 2), ("removed", 3), ("way out", 1), ("job", 1),
    ("verdict", 1), ("standing ready", 1), ("to be cleared", 1), ("cleared", 2), ("closed", 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def parts() -> tuple[Path, Path]:
    return tool("get-runsc.sh"), tool("runner-layer.sh")


@pytest.fixture(scope="module")
def neighbour(parts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Another installation, in which a sandbox runs all the while."""
    with closing(Room.open(tmp_path_factory.mktemp("neighbour"), *parts)) as room:
        yield room


def started(room: Room) -> list[str]:
    done = subprocess.run(room.command("list", "-format=json"), capture_output=True, check=True, env={})
    return [row["id"] for row in json.loads(done.stdout) or []]


def processes(words: tuple[str, ...]) -> list[str]:
    """Return the command lines of all processes but this one that name the room."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
        if folder.name.isdigit() and int(folder.name) != os.getpid() and any(word in line for word in words):
            found.append(line[:200])
    return found


def left_behind(room: Room) -> list[str]:
    """Return everything on this host that is a dead run's."""
    mine = f"eg-{room.installation}-"
    # Path.glob would stumble over those of others that go meanwhile.
    groups = [f"{at}/{name}" for at, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith(mine)]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(room.home) in line]
    folders = [room.home / "b", room.sockets()]
    found = [str(path) for folder in folders for path in folder.iterdir()]
    found += [str(path) for path in (room.home / "runsc").iterdir() if path.name.startswith(mine)]
    found += [str(path) for path in (room.home / "runs").iterdir() if path.name != room.run_id]
    found += [str(path) for path in room.home.glob("rootfs.*")]
    return [*found, *groups, *mounts, *started(room)]


def test_there_are_at_least_twenty_points():
    assert len(set(POINTS)) >= 20


@pytest.mark.parametrize(("event", "nth"), POINTS, ids=str)
async def test_nothing_is_left_of_a_runner_that_was_killed(
    parts: tuple[Path, Path], neighbour: Room, tmp_path: Path, event: str, nth: int
):
    running = asyncio.create_task(
        execute(Job(("python", "-c", "import time; time.sleep(99)")), limits=Limits(wall_s=100), room=neighbour)
    )
    while not started(neighbour):
        await asyncio.sleep(0.05)
    command = [sys.executable, "-c", VICTIM, str(tmp_path), *map(str, parts), event, str(nth)]
    env = {"PYTHONPATH": str(REPO / "sandbox"), "PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}
    victim = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, timeout=120, check=False)
    assert victim.returncode == -signal.SIGKILL, victim.stderr.decode()[-600:]
    with closing(Room.open(tmp_path, *parts)) as room:
        sweep(room)
        names = (f"eg-{room.installation}-", str(room.home))
        end = time.monotonic() + 10
        while (alive := processes(names)) and time.monotonic() < end:  # what was killed takes a moment to be gone
            await asyncio.sleep(0.05)
        assert alive == []
        assert left_behind(room) == []
        assert sweep(room) == 0
    assert not running.done()
    assert len(started(neighbour)) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
