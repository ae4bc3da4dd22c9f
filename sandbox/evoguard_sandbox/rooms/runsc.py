"""The back-end that needs nothing but gVisor: `runsc run` on one OCI bundle, limits by cgroup."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from evoguard_sandbox.rooms import cgroups, spec
from evoguard_sandbox.rooms.backend import Make, Wires
from evoguard_sandbox.rooms.child import Child
from evoguard_sandbox.rooms.egress import Proxy
from evoguard_sandbox.rooms.trace import Sink
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Behaviour, Egress, SandboxError, Usage

if TYPE_CHECKING:
    from evoguard_sandbox.rooms.room import Room

READ_BYTES = 1 << 16
CLEARED_S = 1.0
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
NETWORK, MNT_DETACH = "null-netns", 2


class Runsc:
    """Starts sandboxes of one room with runsc directly."""

    name = "runsc"
    pairs = True

    def __init__(self, room: Room) -> None:
        self.room = room

    async def launch(self, name: str, make: Make, setup: str, wires: Wires | None = None) -> _Running:
        """Start a sandbox; see `Backend.launch`."""
        room = self.room
        if make.egress:
            _no_sockets(make.layer_dirs)
        group = cgroups.Cgroup("") if room.rootless else cgroups.make(name, make.limits)
        running = _Running(room, name, group, make)
        try:
            folder = room.home / "b" / name
            folder.mkdir(mode=0o700)
            binds = room.binds(make.layer_dirs)
            if running.proxy is not None:
                await running.proxy.listen(folder / "way-out", spec.SOCKET)
                binds.append(spec.Bind(folder / "way-out", spec.WAY_OUT))
            config = spec.bundle(
                room.rootfs,
                binds,
                argv=spec.supervisor(room.python, setup),
                hostname=f"box-{secrets.token_hex(4)}",
                cgroup=running.group.name,
                limits=make.limits,
            )
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
            await running.start(wires)
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(running.remove(clean=False)))
            raise
        return running


class _Running:
    """A `runsc run` of ours."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def __init__(self, room: Room, name: str, group: cgroups.Cgroup, make: Make) -> None:
        self.room, self.name, self.group = room, name, group
        self.limits_mode = group.mode
        self.sink = Sink(room.sockets(), name, files=make.record_files)
        self.proxy = Proxy(name, make.egress) if make.egress else None
        self.process: Child | None = None
        self.last_words: asyncio.Task[bytes] | None = None
        self.memory_kills = self.pid_refusals = 0
        self.used: Usage | None = None

    async def start(self, wires: Wires | None) -> None:
        """Start the process; it dies with this one."""
        parent = os.getpid()

        def die_with_us() -> None:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        await self.sink.__aenter__()
        passed = () if wires is None else (wires.read_fd, wires.write_fd)
        given = [f"--pass-fd={host}:{guest}" for host, guest in zip(passed, spec.WIRE_FDS, strict=False)]
        bundle = str(self.room.home / "b" / self.name)
        self.process = Child(
            self.room.command(*self.flags, "run", *given, "-bundle", bundle, self.name),
            env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.room.home)},
            first=die_with_us,
            passed=passed,
        )
        self.stdin, self.stdout, complaints = await self.process.streams()
        self.last_words = asyncio.create_task(_tail(complaints))

    @property
    def flags(self) -> list[str]:
        """Return what this one's command line has beside the room's own."""
        return [*self.sink.flags, *(spec.OPEN_SOCKETS if self.proxy is not None else ())]

    async def ended(self) -> int:
        """Return runsc's exit status."""
        assert self.process is not None  # noqa: S101 (nobody has it before it started)
        return await self.process.ended()

    async def remove(self, *, clean: bool) -> None:
        """End `runsc run`, with which the sandbox dies, and clear what is left; after its own end nothing is."""
        process = self.process
        if process is not None and not clean:
            clean = await self._cleared(process)
        if process is not None:
            await process.end()
        if not clean:
            await self._runsc("delete", "-force", self.name)
        if self.proxy is not None:
            await self.proxy.close()
        await self.sink.__aexit__(None, None, None)
        if self.last_words is not None:
            await asyncio.wait({self.last_words}, timeout=2)
            self.last_words.cancel()
        self.memory_kills, self.pid_refusals = self.group.memory_kills(), self.group.pid_refusals()
        self.used = self.group.usage()
        self.group.remove()
        if not clean:
            clear(self.room.home, self.name)
            cgroups.sweep(self.name)  # one that is killed while it starts has not told runsc of them yet
        shutil.rmtree(self.room.home / "b" / self.name, ignore_errors=True)

    async def _cleared(self, process: Child) -> bool:
        """Kill what is in its cgroup, and tell whether `runsc run` saw that and left nothing.

        It is the parent and notices at once; `runsc delete` looks again each half second and more, as long as the dead
        were not collected by whoever inherited them.
        """
        if not self.group.kill():
            return False
        try:
            async with asyncio.timeout(CLEARED_S):
                await process.ended()
        except TimeoutError:
            return False
        return not any((self.room.home / "runsc").glob(f"*{self.name}*"))

    def over_memory(self) -> bool:
        """Tell what the kernel counted."""
        return self.memory_kills > 0

    def over_pids(self) -> bool:
        """Tell what the kernel counted."""
        return self.pid_refusals > 0

    def reached(self) -> tuple[str, ...]:
        """Return what gVisor's trace told."""
        return ("processes",) if self.sink.refused_fork else ()

    def usage(self) -> Usage:
        """Return what the kernel counted."""
        return self.group.usage() if self.used is None else self.used

    def cut(self) -> str:
        """Return nothing: the guest holds the pipes itself."""
        return ""

    def egress(self) -> tuple[Egress, ...]:
        """Return the proxy's log."""
        return self.proxy.log() if self.proxy is not None else ()

    def behaviour(self) -> Behaviour:
        """Return gVisor's trace."""
        return self.sink.behaviour()

    def complaints(self) -> str:
        """Return the end of runsc's standard error."""
        task = self.last_words
        told = task.result() if task is not None and task.done() and not task.cancelled() else b""
        return shown(told.decode("utf-8", "replace").strip()[-300:])

    async def _runsc(self, *args: str) -> None:
        done = Child(self.room.command(*args), env={}, mute=True)
        try:
            async with asyncio.timeout(20):
                await done.ended()
        finally:
            await done.end()


def clear(home: Path, prefix: str) -> None:
    """Remove runsc's own files of sandboxes whose names begin so: one that is killed as it starts leaves its lock."""
    for path in (home / "runsc").glob(f"*{prefix}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def unmount(state: Path) -> None:
    """Take away the empty network that newer versions of runsc mount in their state folder and leave there.

    Call it when no sandbox of this folder runs; runsc mounts it anew where it needs it.
    """
    network = state / NETWORK
    if LIBC.umount2(os.fsencode(network), MNT_DETACH) == 0:
        network.unlink(missing_ok=True)


def _no_sockets(layer_dirs: tuple[Path, ...]) -> None:
    """Return when no layer holds a socket: with a way out, gVisor lets the guest connect to any that is mounted.

    Raises: SandboxError.
    """
    for top in layer_dirs:
        for folder, _, names in os.walk(top):
            for name in names:
                if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode):
                    raise SandboxError(
                        "sandbox.egress_socket", f"{folder}/{name} would be a second way out", "take the socket away"
                    )


async def _tail(stream: asyncio.StreamReader) -> bytes:
    held = bytearray()
    while data := await stream.read(READ_BYTES):
        held = (held + data)[-8192:]
    return bytes(held)
