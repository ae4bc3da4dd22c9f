"""The OCI bundle of one sandbox: what the guest sees of the host (nothing but read-only libraries), and its flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoguard_sandbox.types import Limits

PYTHON, LAYER, GUEST, DEPS = "/opt/python", "/opt/layer", "/opt/guest", "/opt/deps"
TREE = "/room/tree"
MOST_LAYERS = 8
SUPERVISOR_CAPS = ("CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")
FLAGS = ("--platform=systrap", "--network=none", "--overlay2=none", "--host-uds=none", "--host-fifo=none")


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host, read-only in the guest under a neutral name."""

    source: Path
    target: str


def env(layers: Sequence[str]) -> list[str]:
    """Return the guest's whole environment: nothing of it comes from the host."""
    return [
        f"PATH={PYTHON}/bin:/usr/bin:/bin",
        "HOME=/tmp",
        "LANG=C.UTF-8",
        "TZ=UTC",
        f"LD_LIBRARY_PATH={PYTHON}/lib",
        f"PYTHONPATH={':'.join([*layers, TREE, TREE + '/src'])}",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONHASHSEED=0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
    ]


def bundle(
    rootfs: Path, binds: Sequence[Bind], *, python: str, hostname: str, cgroup: str, limits: Limits
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
            "args": [python, "-I", "-S", "-B", f"{GUEST}/supervisor.py"],
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
