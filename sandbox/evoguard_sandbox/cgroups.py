"""Hard limits, held by the host's kernel: one cgroup a sandbox, made before it starts and read after it ended.

gVisor joins a cgroup that exists and leaves it in place, so the counters outlive the sandbox.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from evoguard_sandbox.types import Limits

MOUNT = Path("/sys/fs/cgroup")
PARENT = "evoguard"


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The limits of one sandbox; `name` is what the bundle says, empty when the host can hold none."""

    name: str
    memory: Path | None = None
    pids: Path | None = None

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

    def remove(self) -> None:
        """Remove the cgroup; the kernel may take a moment to let the last task go."""
        for folder in {self.memory, self.pids} - {None}:
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


def make(name: str, limits: Limits) -> Cgroup:
    """Return a cgroup with the limits set, on version 1 or 2; without the right to make one, an empty one."""
    try:
        if (MOUNT / "memory").is_dir():
            return _version_1(name, limits)
        return _version_2(name, limits)
    except OSError:
        return Cgroup("")


def _version_1(name: str, limits: Limits) -> Cgroup:
    memory, pids = MOUNT / "memory" / PARENT / name, MOUNT / "pids" / PARENT / name
    for folder in (memory, pids):
        folder.mkdir(parents=True, exist_ok=True)
    (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes), encoding="utf-8")
    (pids / "pids.max").write_text(str(limits.pids), encoding="utf-8")
    return Cgroup(f"/{PARENT}/{name}", memory, pids)


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
    return Cgroup(f"/{PARENT}/{name}", mine, mine)


def sweep(prefix: str) -> int:
    """Remove what a dead run left behind; return how many."""
    found = {*MOUNT.glob(f"{PARENT}/{prefix}*"), *MOUNT.glob(f"*/{PARENT}/{prefix}*")}
    for folder in found:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return len(found)
