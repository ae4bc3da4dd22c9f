"""Start version processes: fork, give up every right, and only then import the version's code.

Runs as its own process with an empty environment, one order a line on stdin, one event a line on stdout:

    {"start": 7, "dir": "…"}          → {"started": 7, "pid": 4711, "port": 40123, "uid": 61000}   or {"failed": 7}
    {"stop": 4711, "grace_s": 0.3}    → (its end is told as below)
                                      → {"ended": 4711, "code": -15}

As root each version runs under a uid of its own, which nothing else uses. Interpreter, libraries and the version's
folder are opened while still root and imported through `/proc/self/fd`, so none of them has to lie where that uid may
walk. When stdin closes (the router died, however) every version is ended. Single-threaded, so forking is safe.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import pwd
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import NoReturn

FIRST_UID, LAST_UID = 61_000, 61_150  # above people and homed, below systemd's dynamic users
GRACE_S = 0.3
LIMITS = {
    resource.RLIMIT_AS: 2 << 30,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 1 << 20,
    resource.RLIMIT_NOFILE: 512,
    resource.RLIMIT_NPROC: 32,
}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


@dataclass
class Running:
    """A version process; `claim` holds its uid for us, `kill_at` is monotonic seconds (0: not asked to stop)."""

    uid: int
    claim: socket.socket | None
    kill_at: float = 0.0


def import_through_descriptors() -> list[int]:
    """Make every library folder importable by number: `/root` may be closed to others, an open folder is not."""
    kept = []
    roots = (sys.prefix, sys.base_prefix)
    moved: dict[str, str] = {}
    for folder in sys.path:
        if folder.startswith(roots) and os.path.isdir(folder):
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            kept.append(number)
            moved[folder] = f"/proc/self/fd/{number}"
    sys.path[:] = list(moved.values())
    for module in list(sys.modules.values()):
        where = getattr(module, "__path__", None)
        if isinstance(where, list):
            where[:] = [_moved(path, moved) for path in where]
    return kept


def _moved(path: str, moved: dict[str, str]) -> str:
    for folder in sorted(moved, key=len, reverse=True):
        if path.startswith(folder + "/"):
            return moved[folder] + path[len(folder) :]
    return path


def claim_uid() -> tuple[int, socket.socket | None]:
    """Return a uid that no process, account or other launcher uses, and what holds it; our own uid when not root."""
    if os.geteuid() != 0:
        return os.geteuid(), None
    taken = _uids_in_use()
    for uid in range(FIRST_UID, LAST_UID):
        if uid in taken:
            continue
        with contextlib.suppress(KeyError):
            pwd.getpwuid(uid)
            continue
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0lending-version-uid-{uid}")
        except OSError:
            claim.close()
            continue
        return uid, claim
    raise OSError("no free uid")


def _uids_in_use() -> set[int]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                found.add(os.stat(f"/proc/{name}").st_uid)
    return found


def give_up_rights(uid: int, parent: int) -> None:
    """Become `uid` for good: no groups, no new privileges, bounded resources, dead when the launcher is."""
    os.setsid()
    for what, most in LIMITS.items():
        if what != resource.RLIMIT_NPROC or os.geteuid() == 0:  # that one counts all processes of a uid
            hard = resource.getrlimit(what)[1]
            bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (bound, bound))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if os.getresuid() != (uid, uid, uid):
            os._exit(71)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self/fd belongs to root; only our own uid may look
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        os._exit(71)
    if os.getppid() != parent:
        os._exit(71)


def keep_only(numbers: set[int]) -> None:
    """Close every descriptor but `numbers`, and point the standard ones at nothing."""
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in numbers:
            with contextlib.suppress(OSError):
                os.close(int(name))


def serve(folder: int, listener: socket.socket) -> None:
    """Import the version's code from its folder and answer HTTP until told to end."""
    sys.path.insert(0, f"/proc/self/fd/{folder}")
    sys.argv[:] = ["lending"]
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    import uvicorn

    config = uvicorn.Config(
        "lending.app:app", loop="uvloop", http="httptools", ws="none", lifespan="off",
        access_log=False, log_config=None, server_header=False, timeout_keep_alive=75,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])


class Launcher:
    """Holds the running versions and carries out orders."""

    def __init__(self, libraries: list[int]) -> None:
        self.libraries = libraries
        self.running: dict[int, Running] = {}

    def start(self, folder: str) -> dict[str, int]:
        """Fork a version from `folder`; returns its pid, port and uid. Raises: OSError."""
        uid, claim = claim_uid()
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen(256)
                port = int(listener.getsockname()[1])
                pid = self._fork(uid, number, listener)
        except OSError:
            if claim is not None:
                claim.close()
            raise
        finally:
            os.close(number)
        self.running[pid] = Running(uid, claim)
        return {"pid": pid, "port": port, "uid": uid}

    def _fork(self, uid: int, folder: int, listener: socket.socket) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            for what in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(what, signal.SIG_DFL)
            os.fchdir(folder)
            keep_only({*self.libraries, folder, listener.fileno()})
            os.umask(0o077)
            give_up_rights(uid, parent)
            serve(folder, listener)
            os._exit(0)
        except BaseException:  # noqa: BLE001  the version's code may raise anything; never return into the launcher
            os._exit(70)

    def stop(self, pid: int, grace_s: float) -> None:
        """Ask a version to end; it is killed after `grace_s` seconds."""
        version = self.running.get(pid)
        if version is not None and not version.kill_at:
            version.kill_at = time.monotonic() + grace_s
            os.kill(pid, signal.SIGTERM)

    def kill_late(self) -> None:
        """Kill every version whose grace is over."""
        for pid, version in self.running.items():
            if version.kill_at and time.monotonic() >= version.kill_at:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def reap(self) -> list[dict[str, int]]:
        """Return the versions that ended; whatever they left running is ended too."""
        ended = []
        for pid, version in list(self.running.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self.running[pid]
                sweep(pid, version)
                ended.append({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        return ended

    def end_all(self) -> None:
        """End every version, politely first."""
        for pid in list(self.running):
            self.stop(pid, GRACE_S)
        while self.running:
            self.kill_late()
            self.reap()
            time.sleep(0.01)


def sweep(pid: int, version: Running) -> None:
    """Kill what an ended version left behind: its group, and as root everything under the uid that we alone use."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if version.claim is None:
        return
    for _ in range(20):
        _kill_all_of(version.uid)
        if version.uid not in _uids_in_use():
            version.claim.close()
            return
    # Something survives: the uid stays claimed, so no other version will ever share it.


def _kill_all_of(uid: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
            for _ in range(50):
                os.kill(-1, signal.SIGKILL)  # sent as that uid, so it reaches that uid only
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def carry_out(launcher: Launcher, order: dict[str, object]) -> None:
    """Do one order and tell its result."""
    if "start" in order:
        try:
            tell({"started": order["start"], **launcher.start(str(order["dir"]))})
        except OSError:
            tell({"failed": order["start"]})
    elif "stop" in order:
        launcher.stop(int(str(order["stop"])), float(str(order.get("grace_s", GRACE_S))))


def tell(event: dict[str, object]) -> None:
    """Write one event."""
    os.write(1, json.dumps(event).encode() + b"\n")


def preload() -> None:
    """Import what every version needs once, so that a start takes a tenth of a second."""
    import fastapi
    import fastapi.responses
    import uvicorn
    import uvicorn.lifespan.off
    import uvicorn.loops.uvloop
    import uvicorn.protocols.http.httptools_impl  # noqa: F401

    fastapi.FastAPI()
    gc.collect()
    gc.freeze()


def main() -> NoReturn:
    """Carry out orders until stdin closes."""
    sys.dont_write_bytecode = True
    launcher = Launcher(import_through_descriptors())
    preload()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.close(0))
    pending = b""
    while True:
        try:
            ready, _, _ = select.select([0, wake_read], [], [], 0.05 if launcher.running else 1.0)
            data = os.read(0, 1 << 16) if 0 in ready else None
        except OSError:
            data = b""
        if wake_read in ready:
            os.read(wake_read, 512)
        for event in launcher.reap():
            tell(dict(event))
        launcher.kill_late()
        if data is None:
            continue
        if not data:
            launcher.end_all()
            os._exit(0)
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            carry_out(launcher, json.loads(line))


if __name__ == "__main__":
    main()
