"""Floods: each program takes more than its share of one thing, in a sandbox of its own."""

from __future__ import annotations

from collections.abc import Mapping

Flood = tuple[str, str, Mapping[str, float], tuple[str, ...], bytes, str]
FULL = """
try:
    with open("PATH", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
except OSError:
    print("stopped")
"""
FULL_TMP = FULL.replace("PATH", "/tmp/x")  # noqa: S108  (a path in the guest)
MANY = """
try:
    for n in range(400):
        with open(f"/tmp/{n}", "wb") as file:
            file.write(bytes(1 << 20))
except OSError:
    print("stopped")
"""
FORKS = """
import os
n = 0
try:
    while n < 5000:
        if os.fork() == 0:
            os.read(os.pipe()[0], 1)
        n += 1
except OSError:
    print("stopped", n < 200)
"""
THREADS = """
import os, threading, time
try:
    for _ in range(5000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except (RuntimeError, MemoryError):
    print("stopped", flush=True)
    time.sleep(0.5)
    os._exit(0)
"""
MEMORY = """
held = []
try:
    while True:
        held.append(bytearray(1 << 24))
except MemoryError:
    del held
    print("stopped")
"""
MEMORY_OF_MANY = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = bytearray(100 << 20)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""
DESCRIPTORS = """
import os
n = 0
try:
    while n < 5000:
        os.dup(1)
        n += 1
except OSError:
    print("stopped", n < 130)
"""
DEAF = """
import signal, time
for n in range(1, 65):
    try:
        signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    time.sleep(1)
"""
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("stopped")
"""
POUR = "import os\nwhile True:\n    os.write({}, b'x' * 65536)\n"
BIG = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + FULL_TMP
SMALL = {"tmp_bytes": 32 << 20}
TIGHT = {"memory_bytes": 256 << 20, "address_bytes": 300 << 20, "wall_s": 15}

FLOODS: tuple[Flood, ...] = (
    ("forks", FORKS, {"processes": 48}, ("finished",), b"stopped True", "processes"),
    ("threads", THREADS, {"processes": 48}, ("finished",), b"stopped", "processes"),
    ("memory", MEMORY, {"address_bytes": 300 << 20}, ("finished",), b"stopped", ""),
    ("memory of many", MEMORY_OF_MANY, TIGHT, ("memory",), b"", "memory"),
    ("tmp", FULL_TMP, SMALL, ("finished",), b"stopped", "tmp"),
    ("many files in tmp", MANY, SMALL, ("finished",), b"stopped", "tmp"),
    ("the tree", FULL.replace("PATH", "x"), SMALL, ("finished",), b"stopped", "tmp"),
    ("one large file", BIG, {"file_bytes": 8 << 20}, ("finished",), b"stopped", "file_size"),
    ("descriptors", DESCRIPTORS, {"open_files": 128}, ("finished",), b"stopped True", ""),
    ("processor time", "while True:\n    pass\n", {"cpu_s": 1, "wall_s": 20}, ("finished",), b"", "cpu"),
    ("time, deaf to signals", DEAF, {"wall_s": 3}, ("wall",), b"", "wall"),
    ("output", POUR.format(1), {"output_bytes": 1 << 20}, ("output",), b"", "output"),
    ("complaints", POUR.format(2), {"output_bytes": 1 << 20}, ("output",), b"", "output"),
    ("a daemon that stays", DAEMON, {"wall_s": 20}, ("finished",), b"stopped", ""),
    ("a crash", "import ctypes\nctypes.string_at(0)\n", {}, ("finished",), b"", ""),
)
"""What is flooded, the program, its limits, how it may end, what it must have printed, the limit that must be named.

The address space of one process and its descriptors are met by the program alone (`evoguard_sandbox.rooms.bites`).
"""
