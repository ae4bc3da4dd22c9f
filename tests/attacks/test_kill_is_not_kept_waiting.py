"""A member of the kill folder's group may write files there; none of them keeps somebody else's kill waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from evoguard.adapters.latch_files import write_latch
from unit.kill.killing import Plant, an_order

LEASE = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
time.sleep(60)
"""
"""Whoever opens the file now waits for the holder of the lease, up to 45 s, unless it says that it will not wait."""


def test_a_lease_on_another_latch_does_not_delay_the_next_one(plant: Plant) -> None:
    mine = write_latch(plant.folder, an_order("flag", "mine"))
    path = plant.folder / f"{mine.id}.json"
    with subprocess.Popen([sys.executable, "-c", LEASE, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            began = time.monotonic()
            latch = write_latch(plant.folder, an_order())
            waited = time.monotonic() - began
        finally:
            holder.kill()
    assert (plant.folder / f"{latch.id}.json").is_file()
    assert waited < holding_s() / 2


def holding_s() -> float:
    """How long the kernel would have kept the opener waiting."""
    return float(Path("/proc/sys/fs/lease-break-time").read_text(encoding="ascii"))


def test_a_pipe_put_where_a_latch_was_does_not_either(plant: Plant) -> None:
    os.mkfifo(plant.folder / "kill-0123456789ab.json")
    assert write_latch(plant.folder, an_order()).epoch >= 1
