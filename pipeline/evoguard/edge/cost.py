"""What a version costs, read from the kernel: nothing that it says is asked."""

from __future__ import annotations

import os
from pathlib import Path

MOST_PROCESSES = 10_000


def below(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the children of a process, none of one that is gone."""
    found: list[int] = []
    try:
        for task in (proc / str(pid) / "task").iterdir():
            found.extend(int(child) for child in (task / "children").read_text().split())
    except (OSError, ValueError):
        return found
    return found


def cpu_s(pid: int, proc: Path = Path("/proc")) -> float:
    """Return the processor time in seconds of a process, of all below it, and of those that they waited for.

    0.0 for one that is gone. One whose parent ignores its end is in no sum any more, so this is a least.
    """
    ticks, todo, seen = 0, [pid], 0
    while todo and seen < MOST_PROCESSES:
        one, seen = todo.pop(), seen + 1
        try:
            # the name, in brackets, may hold anything: what counts stands after the last one
            fields = (proc / str(one) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            ticks += sum(int(fields[n]) for n in (11, 12, 13, 14))
            todo.extend(below(one, proc))
        except (OSError, ValueError, IndexError):
            continue
    return ticks / os.sysconf("SC_CLK_TCK")
