"""PID 1 of the sandbox. Root in the guest; everything it starts is not.

It proves what kernel it runs on, lays the tree out, starts one child as an unprivileged uid, forwards what the child
reports, and adds what only the guest's kernel knows: how the child ended. The child never sees the host's nonce.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from evoguard_sandbox.guest.ways import Carrier

UID = 65534
TREE = "/room/tree"
GUEST = os.path.dirname(os.path.abspath(__file__))
HEAD = struct.Struct(">cI")
SCRATCH = ("/tmp", "/room", "/dev/shm")  # noqa: S108 (tmpfs of this one sandbox)
INWARD = ("in", "wire in")
REPORT_FRAME_BYTES, NAP_S = 1 << 16, 0.04
CHUNK = 1 << 16


def read_exactly(size: int) -> bytes:
    """Return `size` bytes of stdin, or end the sandbox."""
    held = bytearray()
    while len(held) < size:
        got = os.read(0, min(size - len(held), 1 << 20))
        if not got:
            os._exit(97)
        held += got
    return bytes(held)


def put(kind: bytes, payload: bytes) -> None:
    """Write one frame to the host."""
    view = memoryview(HEAD.pack(kind, len(payload)) + payload)
    while view:
        view = view[os.write(1, view) :]


def put_json(kind: bytes, value: dict[str, Any]) -> None:
    """Write one frame of JSON to the host."""
    put(kind, json.dumps(value).encode())


def kernel_log() -> str:
    """Return the kernel's own log, which gVisor writes itself."""
    buffer = ctypes.create_string_buffer(1 << 14)
    size = ctypes.CDLL(None).klogctl(3, buffer, len(buffer) - 1)
    return buffer.raw[: max(size, 0)].decode("utf-8", "replace")


def hello() -> None:
    """Say which kernel this is, before any byte of the candidate arrives."""
    with open("/proc/version", encoding="utf-8") as file:
        put_json(b"H", {"version": file.read().strip(), "log": kernel_log()[:4096]})


def lay_out(files: list[list[Any]]) -> None:
    """Lay the tree out: the candidate's files belong to the test uid, trusted files to root.

    Folders are root's and sticky, so that the test uid writes beside the source but cannot replace a trusted file.
    """
    os.umask(0)
    os.chmod(TREE, 0o1777)  # noqa: S103 (sticky; the tree is a tmpfs of this one sandbox)
    for path, kind, size, trusted in files:
        data = read_exactly(size)
        whole = f"{TREE}/{path}"
        folder = TREE
        for part in path.split("/")[:-1]:
            folder += "/" + part
            if not os.path.isdir(folder):
                os.mkdir(folder)
                os.chmod(folder, 0o1777)  # noqa: S103
        if kind == "link":
            os.symlink(data, whole)
            os.lchown(whole, 0 if trusted else UID, 0 if trusted else UID)
            continue
        mode = 0o755 if kind == "exec" else 0o644
        handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        if not trusted:
            os.fchown(handle, UID, UID)
        os.close(handle)


def become(limits: dict[str, int], uid: int = UID) -> None:
    """Drop every right this process has, for good."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.umask(0o022)


def start(setup: dict[str, Any], pipes: dict[str, tuple[int, int]]) -> int:
    """Fork the child; it holds stdin, stdout, stderr, the report pipe on fd 3 and a split run's wires, nothing else."""
    child = os.fork()
    if child:
        for name, (read, write) in pipes.items():
            os.close(read if name in INWARD else write)
        return child
    try:
        # The pipes are moved out of the way first: one of them may already sit on a number that dup2 is about to reuse.
        high = [os.dup(pair[0] if name in INWARD else pair[1]) for name, pair in pipes.items()]
        moved = [os.dup2(fd, 60 + n) for n, fd in enumerate(high)]
        for target, fd in enumerate(moved):  # "in", "out", "err", "report" and, where they are carried, the wires
            os.dup2(fd, target)
        os.closerange(3 if setup["mode"] == "job" else setup["keep"] + 1, 1024)
        become(setup["rlimits"])
        os.chdir(TREE)
        os.execvpe(setup["argv"][0], setup["argv"], setup["env"])  # noqa: S606 (a shell is what this must not be)
    except BaseException as err:  # noqa: BLE001 (a forked copy of the supervisor must never run on)
        os.write(2, f"sandbox: the command did not start: {err}\n".encode())
    os._exit(126)


def part(name: str) -> ModuleType:
    """Return what only some sandboxes need, and the others need not wait for."""
    if GUEST not in sys.path:
        sys.path.append(GUEST)  # -I leaves the folder of a program out
    return importlib.import_module(name)


def give(fd: int, data: bytes) -> None:
    """Write the child's stdin and close it; a child that is gone already takes nothing."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BrokenPipeError:
        pass
    os.close(fd)


def kill_all() -> None:
    """End every process but this one and collect them; then nothing is left that could write to a pipe."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except ChildProcessError:
            return


class Relay:
    """Forward the child's pipes to the host, each within its bound, and a split run's wires where they are carried."""

    def __init__(self, setup: dict[str, Any], fds: dict[str, int], carrier: Carrier | None = None) -> None:
        self.carrier = carrier
        self.fds = {fd: name for name, fd in fds.items()}
        self.left = {"out": setup["output_bytes"], "err": setup["output_bytes"], "report": setup["report_bytes"]}
        self.held = bytearray()
        self.flood = ""
        self.garbage = self.busy = False

    def wait(self) -> None:
        """Wait for bytes or for the end of a process; whoever writes little is not woken up for at every line."""
        if not (self.carrier or self.busy):
            signal.sigtimedwait({signal.SIGCHLD}, NAP_S)
        self.turn(0.02 if self.carrier or self.busy else 0)

    def turn(self, timeout_s: float) -> None:
        """Wait for bytes once and forward them."""
        reads, writes = self.carrier.wants() if self.carrier else ([], [])
        if not (self.fds or reads or writes):
            return time.sleep(min(timeout_s, 0.01))
        ready, room, _ = select.select([*self.fds, *reads], writes, [], timeout_s)
        self.busy = False
        for fd in ready:
            self.take(fd)
        if room and self.carrier:
            self.carrier.flush()

    def take(self, fd: int) -> None:
        """Forward one read of one pipe."""
        if self.carrier and fd not in self.fds:
            self.carrier.take(fd)
            return
        name = self.fds[fd]
        data = os.read(fd, CHUNK)
        self.busy |= len(data) >= CHUNK // 4
        if not data:
            del self.fds[fd]
            return
        self.left[name] -= len(data)
        if self.left[name] < 0:
            self.flood = self.flood or name
            return
        if name != "report":
            put(b"O" if name == "out" else b"E", data)
        elif not self.garbage:
            self.held += data
            self.cut()

    def cut(self) -> None:
        """Cut the report stream into frames; what is not a frame is told once, and ends the reading."""
        while len(self.held) >= 4:
            size = int.from_bytes(self.held[:4], "big")
            if size > REPORT_FRAME_BYTES:
                self.garbage = True
                put_json(b"G", {"sample": base64.b64encode(bytes(self.held[:64])).decode()})
                return
            if len(self.held) < 4 + size:
                return
            put(b"R", bytes(self.held[4 : 4 + size]))
            del self.held[: 4 + size]


class Meter:
    """Which of the guest's own limits were reached, as PID 1 can see it: `reached`.

    What is given back between two looks is missed; see `evoguard_sandbox.rooms.bites` for what leaves no trace.
    """

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self.reached: dict[str, None] = {}
        self.next_look = self.used_s = 0.0

    def ended(self, status: int) -> None:
        """Take in how one process ended; gVisor's wait4 tells of the collector's own time, so it is a difference."""
        told = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s, self.used_s = told.ru_utime + told.ru_stime - self.used_s, told.ru_utime + told.ru_stime
        by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if by == signal.SIGXCPU or (by == signal.SIGKILL and used_s >= self.limits["CPU"] - 0.5):
            self.reached["cpu"] = None
        if by == signal.SIGXFSZ:
            self.reached["file_size"] = None

    def look(self, *, now: bool = False) -> None:
        """Look at the scratch folders and count the tasks."""
        if not now and time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + 0.05
        for folder in SCRATCH:
            seen = os.statvfs(folder)
            if seen.f_blocks and seen.f_bavail == 0:
                self.reached["tmp"] = None
        if self.tasks() >= self.limits["NPROC"]:
            self.reached["processes"] = None

    def tasks(self) -> int:
        """Count the tasks of the test uid."""
        count = 0
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):  # it has just ended
                if name.isdigit() and os.stat(f"/proc/{name}").st_uid == UID:
                    count += len(os.listdir(f"/proc/{name}/task"))
        return count

    def look_for_large_files(self) -> None:
        """Look for a file as large as one may be, where as much was written at all."""
        for folder in SCRATCH:
            seen = os.statvfs(folder)
            if (seen.f_blocks - seen.f_bfree) * seen.f_frsize < self.limits["FSIZE"]:
                continue
            for path in part("handover").walk(folder):
                with contextlib.suppress(OSError):
                    if os.lstat(path).st_size >= self.limits["FSIZE"]:
                        self.reached["file_size"] = None


def collect(child: int, meter: Meter) -> int | None:
    """Collect every process that has ended; return the child's wait status when it is among them."""
    status = None
    while True:
        try:
            pid, seen = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        meter.ended(seen)
        if pid == child:
            status = seen


def watch(child: int, relay: Relay, meter: Meter) -> int:
    """Forward until the child ended and its pipes are empty; return its wait status."""
    status: int | None = None
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # one that comes before the wait is waited for as well
    while status is None and not relay.flood:
        status = collect(child, meter)
        if status is None:
            relay.wait()
            meter.look()
    meter.look(now=True)
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    kill_all()
    if relay.carrier:
        relay.carrier.drain()
    meter.look_for_large_files()
    end = time.monotonic() + 5
    while relay.fds and not relay.flood and time.monotonic() < end:
        relay.turn(0.05)
    return status


def await_ready(child: int, report: int) -> None:
    """Wait for the one byte with which the waiting program says that it is warm; one that dies ends the sandbox."""
    while not select.select([report], [], [], 0.5)[0]:
        if os.waitpid(child, os.WNOHANG)[0]:
            os._exit(96)
    if os.read(report, 1) != b"+":
        os._exit(96)


def main() -> None:
    """Do one order, once. What waits for it was started before any byte of the candidate could be here."""
    hello()
    setup: dict[str, Any] = json.loads(sys.argv[1])
    os.mkdir(TREE)
    pipes = {name: os.pipe() for name in ("in", "out", "err", "report")}
    wires = {name: os.pipe() for name in ("wire in", "wire out")} if setup["carried"] else {}
    child = 0
    if setup["relay"]:
        part("ways").start_relay(setup["relay"], become, wires)
    else:
        pipes |= wires
    if setup["argv"]:
        child = start(setup, pipes)
        if setup["mode"] != "far":  # that one has nothing to load before its order
            await_ready(child, pipes["report"][0])
    put(b"W", b"")
    order: dict[str, Any] = json.loads(read_exactly(int.from_bytes(read_exactly(4), "big")))
    nonce = order.pop("nonce")
    lay_out(order["files"])
    take = order.get("take", [])
    last = part("handover") if take else None  # now, while nobody has filled the memory
    child = child or start({**setup, "argv": order["argv"], "env": order["env"]}, pipes)
    give(pipes["in"][1], order["stdin"].encode())
    carrier = part("ways").Carrier(put, wires["wire in"][1], wires["wire out"][0]) if wires else None
    relay = Relay(setup, {name: pipes[name][0] for name in ("out", "err", "report")}, carrier)
    meter = Meter(setup["rlimits"])
    status = watch(child, relay, meter)
    omitted = last.hand_over(put, take, order["take_files"], order["take_bytes"]) if last else ""
    put_json(
        b"X",
        {
            "nonce": nonce,
            "status": os.waitstatus_to_exitcode(status),
            "flood": relay.flood,
            "left": len(relay.held),
            "garbage": relay.garbage,
            "omitted": omitted,
            "reached": [*meter.reached, *(["report"] if relay.flood == "report" else [])],
        },
    )


main()
