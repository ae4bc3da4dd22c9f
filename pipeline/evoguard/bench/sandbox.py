"""What one sandbox costs: its start, its answer from the pool, its memory, its end; beside what else a user would run.

Needs gVisor. All ways take turns in one call. "Result" is the supervisor's last frame, read by the host; "gone" is when
nothing of the sandbox is left. Each figure names the runsc binary that it was measured with.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from evoguard.adapters import tool_cache
from evoguard.bench import Figure
from evoguard.bench.rivals import BWRAP, NATIVE, RUNC, RUNSC, Rivals, rivals
from evoguard.errors import UnavailableError
from evoguard_sandbox import Job, Limits, Pool, Room, SandboxError, Suite, execute, sweep
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.box import Box
from evoguard_sandbox.trees import read_tree

BAR_RESULT_MS, BAR_TIMES, BAR_HOT_MS, BAR_COLD_MS = 60.0, 10.0, 15.0, 240.0
BAR_IDLE_MIB, BAR_WARM_MIB, BAR_KILL_MS, BAR_REAP_MS = 25.0, 85.0, 60.0, 50.0
SIDE_BY_SIDE = 4
LIBC = ctypes.CDLL(None)
PR_SET_CHILD_SUBREAPER = 36
SYS_KCMP, KCMP_VM = {"x86_64": 312, "aarch64": 272}.get(os.uname().machine, -1), 1
LIMITS = Limits(wall_s=60)
TREE = {"test_one.py": (0o100644, b"def test_one():\n    assert 1 + 1 == 2\n")}
ONE_TEST = """
import pathlib, sys, tempfile, pytest
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "test_one.py").write_text("def test_one():\\n    assert 1 + 1 == 2\\n")
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(folder)]))
"""
PYTHON = Job(("python", "-I", "-c", "1"))
T = TypeVar("T")
DOOMED = """
import asyncio, sys
from pathlib import Path
from evoguard_sandbox import Limits, Room
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.box import Box
async def main():
    room = Room.open(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
    boxes = [await Box(room, Make("job", Limits())).start() for _ in range(int(sys.argv[4]))]
    print(sum(box.ready for box in boxes), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@dataclass(slots=True)
class Times:
    """Milliseconds, by what was timed; each list is one median's."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float | None) -> None:
        """Add one, or nothing when there was no such way."""
        if value is not None:
            self.of.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        """Return the median, or None when nothing was measured."""
        return median(self.of[name]) if self.of.get(name) else None

    def must(self, name: str) -> float:
        """Return the median of what is always measured."""
        return median(self.of[name])


def measure(*, quick: bool = False) -> list[Figure]:
    """Time every way in turn; `quick`: two rounds and no Docker engine.

    Raises: ConfigError without gVisor or the runner layer; UnavailableError when no isolated run takes place.
    """
    try:
        return asyncio.run(_measure(2 if quick else 9, docker=not quick))
    except SandboxError as err:
        raise UnavailableError("sandbox", err.message, fix=err.fix) from err


async def _measure(rounds: int, *, docker: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="eg-bench-") as made:
        room = Room.open(Path(made) / "room", tool_cache.runsc_path(), tool_cache.layer_dir())
        times = Times()
        with rivals(room, Path(made), docker=docker) as others:
            pool = Watched(room)
            try:
                for _ in range(rounds):
                    await _round(room, pool, others, times)
                memory = await _memory(room)
                for _ in range(max(1, rounds // 4)):
                    await _reap(room, Path(made), times)
                told = figures(times, memory, others, room.runsc_version)
            finally:
                await pool.close()
                sweep(room)
                room.close()
        return told


async def _round(room: Room, pool: Watched, others: Rivals, times: Times) -> None:
    await _one_test(room, pool, times)
    await _python(room, pool, times)
    await _start(room, times)
    for name in (NATIVE, BWRAP, RUNC, RUNSC):
        times.add(f"test, {name}", await asyncio.to_thread(others.run_ms, name, ONE_TEST))
        times.add(f"python, {name}", await asyncio.to_thread(others.run_ms, name, "1"))


async def settled(pool: Pool) -> None:
    """Wait until nothing is being started any more, so that nothing else has the cores."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.7)  # a pool looks half a second after an order what is missing
            if pool.size == pool.choice()["ready"]:
                return


class Watched(Pool):
    """A pool that remembers what it gave last, so that its result can be seen before its end."""

    last: tuple[Box, ...] = ()

    async def take(self, *makes: Make) -> tuple[Box, ...]:
        """Return sandboxes as `Pool.take` does."""
        self.last = await super().take(*makes)
        return self.last


async def _timed(pool: Watched, work: Coroutine[object, object, T], times: Times, name: str) -> T:
    """Run one order, and time it until its result and until its end. Raises: SandboxError when none stood ready."""
    await settled(pool)
    hits, pool.last = pool.cost.hits, ()
    began = time.perf_counter()
    task = asyncio.create_task(work)
    while not task.done() and not (pool.last and pool.last[0].ended):
        await asyncio.sleep(0.0005)
    times.add(f"{name}, result", (time.perf_counter() - began) * 1000)
    done = await task
    times.add(f"{name}, gone", (time.perf_counter() - began) * 1000)
    if pool.cost.hits != hits + 1:
        raise SandboxError("bench.run", f"no prepared sandbox answered: {pool.choice()}", "")
    return done


async def _one_test(room: Room, pool: Watched, times: Times) -> None:
    runs = Runs(Suite(TREE, TREE), read_tree(TREE, LIMITS), LIMITS, room, pool)
    pool.want({(runs.make(),): 1})
    facts = await _timed(pool, runs.on(Ask(runs.base, frozenset(runs.base))), times, "test")
    if [test.outcome for test in facts.tests] != ["passed"] or facts.ended_early:
        raise SandboxError("bench.run", f"the one test ended as {facts.outcome}: {facts.why or facts.forged}", "")


async def _python(room: Room, pool: Watched, times: Times) -> None:
    """Time `python -I -c 1` by the door that everybody uses, once the pool has seen one go; and cold."""
    if "python, gone" not in times.of:
        await execute(PYTHON, limits=LIMITS, room=room, pool=pool)
    hot = await _timed(pool, execute(PYTHON, limits=LIMITS, room=room, pool=pool), times, "python")
    await settled(pool)
    began = time.perf_counter()
    cold = await execute(PYTHON, limits=LIMITS, room=room)
    times.add("cold", (time.perf_counter() - began) * 1000)
    for report in (hot, cold):
        if report.exit_status != 0:
            raise SandboxError("bench.run", f"python -c 1 ended as {report.outcome}, {report.exit_status}", "")


async def _start(room: Room, times: Times) -> None:
    """Time what happens before an order: from nothing to ready, and the end of one that still runs."""
    for name, make in (("a command", Make("job", LIMITS)), ("tests", Make("suite", LIMITS))):
        began = time.perf_counter()
        box = await Box(room, make, warm=True).start()
        times.add(f"start for {name}", (time.perf_counter() - began) * 1000)
        if not box.ready:
            raise SandboxError("bench.run", f"no sandbox started: {box.seen.why}", "")
        pids = processes(box.name)
        began = time.perf_counter()
        await box.discard()
        times.add("kill", (time.perf_counter() - began) * 1000)
        if not pids or alive(pids):
            raise SandboxError("bench.run", f"{len(alive(pids))} of {len(pids)} processes outlived their sandbox", "")


def processes(name: str) -> list[int]:
    """Return the host's processes of one sandbox: those that carry its name, and all that they started."""
    parents, found = {}, set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if any(name in word for word in (folder / "cmdline").read_text().split("\0")):
                    found.add(int(folder.name))
            except OSError:  # it ended meanwhile
                continue
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def alive(pids: Iterable[int]) -> list[int]:
    """Return which of them still run; one that ended and waits to be collected does not."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


async def _memory(room: Room) -> dict[str, float]:
    """Return MiB of memory (PSS: what is shared counts in parts) of one sandbox, several of a kind side by side.

    `gvisor` is what an idle one's runsc, gofer and sentry take, without what runs in the guest.
    """
    found: dict[str, float] = {}
    for name, make in (("idle", Make("job", LIMITS)), ("warmed", Make("suite", LIMITS))):
        boxes = [await Box(room, make, warm=True).start() for _ in range(SIDE_BY_SIDE)]
        await asyncio.sleep(0.5)
        each = [processes(box.name) for box in boxes]
        found[name] = sum(map(memory_mib, each)) / len(boxes)
        if name == "idle":
            found["gvisor"] = sum(memory_mib(filter(has_words, pids)) for pids in each) / len(boxes)
        await asyncio.gather(*(box.discard() for box in boxes))
    return found


def memory_mib(pids: Iterable[int]) -> float:
    """Return the share of memory of all these processes in MiB, that of one address space once.

    gVisor runs a guest's threads as processes of the host that share their memory; the kernel tells it for each whole.
    """
    counted: list[int] = []
    for pid in pids:
        if not any(one_memory(pid, other) for other in counted):
            counted.append(pid)
    return sum(map(pss_mib, counted))


def has_words(pid: int) -> bool:
    """Tell whether a process has a command line; what gVisor runs a guest's threads in has none."""
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0"))
    return False


def one_memory(pid: int, other: int) -> bool:
    """Tell whether two processes share their address space; where the kernel does not tell, they do not."""
    return bool(LIBC.syscall(SYS_KCMP, pid, other, KCMP_VM, 0, 0) == 0)


def pss_mib(pid: int) -> float:
    """Return a process's share of memory in MiB, 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _collect(pids: Iterable[int]) -> None:
    """Collect the dead of a killed process as they come to us, its children first; wait two seconds at most."""
    left, end = set(pids), time.monotonic() + 2
    while left and time.monotonic() < end:
        for pid in sorted(left):
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    left.discard(pid)
            except ChildProcessError:  # not handed to us yet, or somebody else has collected it
                if not Path(f"/proc/{pid}").exists():
                    left.discard(pid)
        time.sleep(0.001)


async def _reap(room: Room, folder: Path, times: Times) -> None:
    """Kill a process with its sandboxes by -9, and time how long each takes to be cleared away.

    The dead are collected here, as an init does at once: runsc takes one that nobody has collected for alive. Some have
    cleared away themselves by then; the time is shared by those that had not.
    """
    state, count = folder / "doomed", SIDE_BY_SIDE
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    words = [sys.executable, "-c", DOOMED, str(state), str(room.runsc), str(room.layer), str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  (asked for above)
        started = await asyncio.to_thread(process.stdout.readline)
        orphans = set(processes(str(state / "sandbox" / "runsc"))) - {process.pid}
        process.kill()
    await asyncio.to_thread(_collect, orphans)
    if started.strip() != str(count).encode():
        raise SandboxError("bench.run", "the process that was to be killed started nothing", "")
    next_room = Room.open(state, room.runsc, room.layer)
    try:
        began = time.perf_counter()
        found = sweep(next_room)
        if found:
            times.add("reap", (time.perf_counter() - began) * 1000 / found)
        left = [path.name for kind in ("b/*", "runsc/*.state") for path in next_room.home.glob(kind)]
        if left or processes(str(next_room.home / "runsc")):
            raise SandboxError("bench.run", f"{found} of {count} sandboxes were found; left: {left}", "")
    finally:
        next_room.close()


def figures(times: Times, memory: Mapping[str, float], others: Rivals, runsc: str) -> list[Figure]:
    """Return the medians beside their bars; the baseline is Docker+runsc of the same call where there was one."""
    with_runsc = f"runsc {runsc}"
    docker, docker_python = times.median(f"test, {RUNSC}"), times.median(f"python, {RUNSC}")
    result, hot = times.must("test, result"), times.must("python, result")
    found = [
        Figure("job in, result of one test out, from the pool", result, "ms", BAR_RESULT_MS, docker, note=with_runsc),
        Figure("the same until the sandbox is gone", times.must("test, gone"), "ms", None, docker, note=with_runsc),
        Figure("python -I -c 1 from the pool", hot, "ms", BAR_HOT_MS, docker_python, note=with_runsc),
        Figure("the same until it is gone", times.must("python, gone"), "ms", None, docker_python, note=with_runsc),
        Figure("python -I -c 1 cold, until it is gone", times.must("cold"), "ms", BAR_COLD_MS, docker_python,
               note=with_runsc),
        Figure("idle sandbox, gVisor's own processes", memory["gvisor"], "MiB PSS", BAR_IDLE_MIB,
               note=f"runsc, gofer and sentry; {SIDE_BY_SIDE} side by side"),
        Figure("the same with the supervisor in it", memory["idle"], "MiB PSS", note=f"{SIDE_BY_SIDE} side by side"),
        Figure("warmed sandbox", memory["warmed"], "MiB PSS", BAR_WARM_MIB, note=f"{SIDE_BY_SIDE} side by side"),
        Figure("kill until gone", times.must("kill"), "ms", BAR_KILL_MS, note=with_runsc),
        Figure("reap after kill -9, each", times.must("reap"), "ms", BAR_REAP_MS, note=with_runsc),
        Figure("start of one for a command, off the hot path", times.must("start for a command"), "ms"),
        Figure("start of one for tests, warmed, off the hot path", times.must("start for tests"), "ms"),
    ]  # fmt: skip
    if docker is not None:
        found.insert(1, Figure("times faster than Docker+runsc", docker / result, "x", BAR_TIMES,
                               higher_is_better=True, note=with_runsc))  # fmt: skip
    for name in (RUNSC, RUNC, BWRAP, NATIVE):
        for what, words in (("test", "one test"), ("python", "python -c 1")):
            value, why = times.median(f"{what}, {name}"), others.missing.get(name, "")
            if value is None:
                found.append(Figure(f"{words}, {name}: not measured", 0, "ms", note=why))
            else:
                found.append(Figure(f"{words}, {name}", value, "ms", note=with_runsc if name == RUNSC else ""))
    return found
