"""Hard limits, held by the host's kernel: one cgroup a sandbox, made before it starts and read after it ended.

gVisor joins a cgroup that exists and leaves it in place, so the counters outlive the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from evoguard_sandbox.types import Limits, Usage

MOUNT = Path("/sys/fs/cgroup")
PARENT = "evoguard"
SWEEP_TURNS = 100


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The limits of one sandbox; `name` is what the bundle says, empty when the host can hold none."""

    name: str
    memory: Path | None = None
    pids: Path | None = None
    cpu: Path | None = None

    @property
    def mode(self) -> str:
        """Say who holds the limits: "host", or "guest-only" when cgroups are out of reach."""
        return "host" if self.memory and self.pids else "guest-only"

    def memory_kills(self) -> int:
        """Count the processes the kernel ended for want of memory."""
        if self.memory is None:
            return 0
        names = ("memory.oom_control", "memory.events")
        return max(_counter(self.memory / name, "oom_kill") for name in names)

    def pid_refusals(self) -> int:
        """Count the forks the kernel refused because the sandbox had too many tasks."""
        return 0 if self.pids is None else _counter(self.pids / "pids.events", "max")

    def kill(self) -> bool:
        """Kill every process in it; tell whether there was one."""
        found = self.pids.joinpath("cgroup.procs").read_text(encoding="utf-8").split() if self.pids else []
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return bool(found)

    def usage(self) -> Usage:
        """Return what the kernel counted so far: memory and tasks at their highest, and processor time."""
        memory = max(_number(self.memory, name) for name in ("memory.max_usage_in_bytes", "memory.peak"))
        told_us = _counter(self.cpu / "cpu.stat", "usage_usec") if self.cpu is not None else 0
        return Usage(memory, _number(self.cpu, "cpuacct.usage") // 1_000_000 or told_us // 1000,
                     _number(self.pids, "pids.peak"))  # fmt: skip

    def remove(self) -> None:
        """Remove the cgroup; the kernel may take a moment to let the last task go."""
        for folder in {self.memory, self.pids, self.cpu} - {None}:
            for _ in range(20):
                try:
                    folder.rmdir()  # type: ignore[union-attr]  # None was taken out of the set
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


def _counter(path: Path, key: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return 0


def _number(folder: Path | None, name: str) -> int:
    """Return a file's one number; 0 where this kernel does not count it."""
    with contextlib.suppress(OSError, ValueError):
        return int((folder / name).read_text(encoding="utf-8")) if folder is not None else 0
    return 0


def make(name: str, limits: Limits) -> Cgroup:
    """Return a cgroup with the limits set, on version 1 or 2; without the right to make one, an empty one."""
    try:
        if (MOUNT / "memory").is_dir():
            return _version_1(name, limits)
        return _version_2(name, limits)
    except OSError:
        sweep(name)  # half of one is none
        return Cgroup("")


def unwritable() -> str:
    """Return why no cgroup can be made here, or "" when one can: one is made and removed."""
    if os.geteuid() != 0:
        return "only root makes cgroups, and this is another user"
    name = f"probe-{secrets.token_hex(4)}"
    try:
        made = _version_1(name, Limits()) if (MOUNT / "memory").is_dir() else _version_2(name, Limits())
    except OSError as err:
        sweep(name)
        return f"{err.filename or MOUNT}: {err.strerror}"
    made.remove()
    return ""


def _version_1(name: str, limits: Limits) -> Cgroup:
    memory, pids = MOUNT / "memory" / PARENT / name, MOUNT / "pids" / PARENT / name
    cpu = MOUNT / "cpuacct" / PARENT / name if (MOUNT / "cpuacct").is_dir() else None
    for folder in (memory, pids, *([cpu] if cpu is not None else [])):
        folder.mkdir(parents=True, exist_ok=True)
    (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes), encoding="utf-8")
    with contextlib.suppress(OSError):  # a kernel that does not count swap
        (memory / "memory.memsw.limit_in_bytes").write_text(str(limits.memory_bytes), encoding="utf-8")
    (pids / "pids.max").write_text(str(limits.pids), encoding="utf-8")
    return Cgroup(f"/{PARENT}/{name}", memory, pids, cpu)


def _version_2(name: str, limits: Limits) -> Cgroup:
    parent = MOUNT / PARENT
    parent.mkdir(exist_ok=True)
    for folder in (MOUNT, parent):
        (folder / "cgroup.subtree_control").write_text("+memory +pids", encoding="utf-8")
    mine = parent / name
    mine.mkdir(exist_ok=True)
    (mine / "memory.max").write_text(str(limits.memory_bytes), encoding="utf-8")
    with contextlib.suppress(OSError):
        (mine / "memory.swap.max").write_text("0", encoding="utf-8")
    (mine / "pids.max").write_text(str(limits.pids), encoding="utf-8")
    return Cgroup(f"/{PARENT}/{name}", mine, mine, mine)


def sweep(prefix: str) -> int:
    """End what still runs in the cgroups that a dead run left behind, and remove them; return how many there were."""
    found = {*MOUNT.glob(f"{PARENT}/{prefix}*"), *MOUNT.glob(f"*/{PARENT}/{prefix}*")}
    for folder in found:
        for _ in range(SWEEP_TURNS):
            with contextlib.suppress(OSError, ValueError):
                for pid in (folder / "cgroup.procs").read_text(encoding="utf-8").split():
                    os.kill(int(pid), signal.SIGKILL)
            try:
                folder.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)
    return len(found)
