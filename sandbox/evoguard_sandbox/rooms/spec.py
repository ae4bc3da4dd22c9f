"""The OCI bundle of one sandbox: what the guest sees of the host (nothing but read-only libraries), and its flags."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoguard_sandbox.types import Limits

if TYPE_CHECKING:
    from evoguard_sandbox.rooms.backend import Make
    from evoguard_sandbox.rooms.room import Interpreter

PYTHON, LAYER, GUEST, DEPS = "/opt/python", "/opt/layer", "/opt/guest", "/opt/deps"
TREE = "/room/tree"
MOST_LAYERS = 8
WIRE_FDS = (4, 5)
"""Where a split run finds its other half: the descriptors to read from and to write to."""
SUPERVISOR_CAPS = ("CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")
WAY_OUT, RELAY = "/run", "http://127.0.0.1:3128"
"""Where the one socket of the way out is mounted, and where its relay listens in the guest."""
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(16 << 20),
}
"""Has glibc keep the memory that a test runner frees: to give it back and fetch it again is dear in gVisor."""
SOCKET = "s"
OPEN_SOCKETS = ("--host-uds=open",)
"""Comes after `FLAGS`, so it holds; for a sandbox with a way out alone."""
FLAGS = ("--platform=systrap", "--network=none", "--overlay2=none", "--host-uds=none", "--host-fifo=none")


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host, read-only in the guest under a neutral name."""

    source: Path
    target: str


def layers(make: Make) -> list[str]:
    """Return where the guest finds the runner's layer and the project's dependencies, first to last."""
    return [LAYER, *(f"{DEPS}/{n}" for n in range(len(make.layer_dirs)))]


def setup(python: Interpreter, make: Make, *, warm: bool = False) -> str:
    """Return the supervisor's argument: what waits in this sandbox and under which bounds; no order is in it.

    `warm` has a test runner run one small suite while it waits: worth its time only before an order comes.
    """
    places = layers(make)
    programs = {"suite": "runner.py", "near": "runner.py", "far": "split_far.py", "python": "interpreter.py"}
    program = programs.get(make.mode, "")
    fds = [*WIRE_FDS] if make.mode in ("near", "far") else []
    words = json.dumps({"layers": places, "warm": warm}) if program == "runner.py" else ""
    bare = [python.guest_path, "-I", "-S", "-B"]
    flags = [python.guest_path, "-I"] if make.mode == "python" else bare  # it is what a command gets, site included
    argv = [*flags, f"{GUEST}/{program}", *([words] if words else map(str, fds))]
    return json.dumps(
        {
            "mode": make.mode,
            "argv": argv if program else [],
            "relay": [*bare, f"{GUEST}/relay.py", f"{WAY_OUT}/{SOCKET}"] if make.egress else [],
            "env": dict(line.split("=", 1) for line in env(places, seed=secrets.randbelow(1 << 32))) | MALLOC,
            "rlimits": rlimits(make.limits),
            "carried": False,
            "keep": 5 if fds else 3,
            "output_bytes": make.limits.output_bytes,
            "report_bytes": make.limits.report_bytes,
        }
    )


def carried(setup: str) -> str:
    """Return the supervisor's argument for a sandbox whose wires, or way out, are carried on its own streams."""
    told = json.loads(setup)
    return json.dumps({**told, "carried": True, "relay": told["relay"][:-1]})  # no socket of the host is there


def supervisor(python: Interpreter, setup: str) -> list[str]:
    """Return the command line of PID 1."""
    return [python.guest_path, "-I", "-S", "-B", f"{GUEST}/supervisor.py", setup]


def env(places: Sequence[str], *, seed: int = 0) -> list[str]:
    """Return the guest's whole environment: nothing of it comes from the host. `seed` is Python's hash seed."""
    return [
        f"PATH={PYTHON}/bin:/usr/bin:/bin",
        "HOME=/tmp",
        "LANG=C.UTF-8",
        "TZ=UTC",
        f"LD_LIBRARY_PATH={PYTHON}/lib",
        f"PYTHONPATH={':'.join([*places, TREE, TREE + '/src'])}",
        "PYTHONDONTWRITEBYTECODE=1",
        f"PYTHONHASHSEED={seed}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
    ]


def way_out_env() -> dict[str, str]:
    """Return what tells a program of the way out; what it serves to itself does not go there."""
    found = {"http_proxy": RELAY, "https_proxy": RELAY, "no_proxy": "127.0.0.1,localhost"}
    return {**found, **{name.upper(): value for name, value in found.items()}}


def bundle(
    rootfs: Path, binds: Sequence[Bind], *, argv: Sequence[str], hostname: str, cgroup: str, limits: Limits
) -> dict[str, Any]:
    """Return the config.json of a sandbox whose PID 1 is the supervisor."""
    process_env = env([LAYER])
    caps = list(SUPERVISOR_CAPS)
    return {
        "ociVersion": "1.0.0",
        "hostname": hostname,
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(argv),
            "env": process_env,
            "cwd": "/",
            "capabilities": {kind: caps for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True,
            "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        },
        "root": {"path": str(rootfs), "readonly": True},
        "mounts": _mounts(binds, limits),
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            **({"cgroupsPath": cgroup} if cgroup else {}),
        },
    }


def _mounts(binds: Sequence[Bind], limits: Limits) -> list[dict[str, Any]]:
    tmp = f"size={limits.tmp_bytes}"
    own: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        _tmpfs("/dev/shm", "mode=1777", "size=67108864"),  # noqa: S108 (a path in the guest)
        _tmpfs("/tmp", "mode=1777", tmp),  # noqa: S108
        _tmpfs("/room", "mode=755", tmp),
    ]
    return own + [
        {
            "destination": bind.target,
            "type": "bind",
            "source": str(bind.source),
            "options": ["rbind", "ro", "nosuid", "nodev"],
        }
        for bind in binds
    ]


def _tmpfs(target: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", *options]}


def rlimits(limits: Limits) -> dict[str, int]:
    """Return what the supervisor sets on its child before it gives up every right."""
    return {
        "NPROC": limits.processes,
        "AS": limits.address_bytes,
        "NOFILE": limits.open_files,
        "FSIZE": limits.file_bytes,
        "CPU": limits.cpu_s,
    }
