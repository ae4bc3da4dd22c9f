"""One sandbox from start to gone: what the host saw of it. Nothing in here judges."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evoguard_sandbox import cgroups, frames, spec
from evoguard_sandbox.room import Room
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trace import Sink
from evoguard_sandbox.types import Behaviour, Limits, Outcome

READ_BYTES = 1 << 16
SLACK_BYTES = 4 << 20
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What the supervisor is to do once."""

    mode: str
    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: str
    rows: Sequence[tuple[str, str, int, bool]]
    contents: Sequence[bytes]


@dataclass(slots=True)
class Seen:
    """What came out of one sandbox, and what the host's kernel says of it."""

    outcome: Outcome = "void"
    why: str = ""
    kernel: str = ""
    reports: list[bytes] = field(default_factory=list)
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    garbage: str = ""
    exit_status: int | None = None
    behaviour: Behaviour = field(default_factory=lambda: Behaviour("not recorded", "the sandbox did not start"))
    limits_mode: str = "guest-only"
    wall_ms: int = 0


class _Void(Exception):  # noqa: N818 (never leaves this file)
    """The room failed, not the tests."""


async def run_box(room: Room, order: Order, limits: Limits, layer_dirs: tuple[Any, ...] = ()) -> Seen:
    """Run one order in a fresh sandbox and leave nothing behind. Raises: SandboxError when a layer is not there."""
    seen, name = Seen(), room.next_id()
    group = cgroups.Cgroup("") if room.rootless else cgroups.make(name, limits)
    seen.limits_mode = group.mode
    folder = room.home / "b" / name
    try:
        folder.mkdir(mode=0o700)
        config = spec.bundle(
            room.home / "rootfs",
            room.binds(layer_dirs),
            python=room.python.guest_path,
            hostname=f"box-{secrets.token_hex(4)}",
            cgroup=group.name,
            limits=limits,
        )
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        async with Sink(room.sockets(), name) as sink:
            await _Box(room, name, order, limits, seen).live(sink.flags)
        seen.behaviour = sink.behaviour()
        _classify(seen, group)
    finally:
        group.remove()
        shutil.rmtree(folder, ignore_errors=True)
    return seen


def _classify(seen: Seen, group: cgroups.Cgroup) -> None:
    """Host facts come first: exit codes are ambiguous (2, 137 and 0 all have several causes)."""
    if seen.outcome in ("wall", "output", "void"):
        return
    if group.memory_kills():
        seen.outcome, seen.why = "memory", "the host's kernel ended it for want of memory"
    elif seen.outcome == "crashed" and group.pid_refusals():
        seen.outcome, seen.why = "pids", "it reached the host's bound on tasks"


class _Box:
    def __init__(self, room: Room, name: str, order: Order, limits: Limits, seen: Seen) -> None:
        self.room, self.name, self.order, self.limits, self.seen = room, name, order, limits, seen
        self.nonce = secrets.token_hex(16)
        self.reader = frames.FrameReader()
        self.taken = 0
        self.ended = False

    async def live(self, flags: list[str]) -> None:
        """Start, feed, read to the end, remove."""
        bundle = str(self.room.home / "b" / self.name)
        parent = os.getpid()

        def die_with_us() -> None:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        start = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *self.room.command(*flags, "run", "-bundle", bundle, self.name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.room.home)},
            preexec_fn=die_with_us,
        )
        complaints = asyncio.create_task(_tail(process.stderr))
        try:
            await self._talk(process)
        except _Void as err:
            self.seen.outcome, self.seen.why = "void", str(err)
        finally:
            await asyncio.shield(asyncio.ensure_future(self._remove(process)))
            self.seen.wall_ms = int((time.monotonic() - start) * 1000)
        told = await complaints
        if self.seen.outcome in ("void", "crashed") and told:
            self.seen.why += f"; runsc said: {shown(told.decode('utf-8', 'replace').strip()[-300:])}"

    async def _talk(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(self.limits.start_s):
                kind, payload = await self._first(process)
        except TimeoutError as err:
            raise _Void(f"the sandbox did not start within {self.limits.start_s:g} s") from err
        self._greet(kind, payload)
        feeder = asyncio.create_task(self._feed(process))
        try:
            async with asyncio.timeout(self.limits.wall_s):
                await self._read(process)
                status = await process.wait()
        except TimeoutError:
            self.seen.outcome, self.seen.why = "wall", f"it was still running after {self.limits.wall_s:g} s"
            return
        finally:
            feeder.cancel()
            await asyncio.gather(feeder, return_exceptions=True)
        if not self.ended and self.seen.outcome == "void":
            self.seen.outcome = "crashed"
            self.seen.why = f"the sandbox ended without its supervisor's last word (runsc exit status {status})"

    async def _first(self, process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
        assert process.stdout is not None  # noqa: S101 (asked for above)
        while data := await process.stdout.read(READ_BYTES):
            try:
                for frame in self.reader.feed(data):
                    return frame
            except frames.FrameError as err:
                raise _Void("the first words were not the supervisor's") from err
        raise _Void("the sandbox ended before its supervisor spoke")

    def _greet(self, kind: bytes, payload: bytes) -> None:
        try:
            told = json.loads(payload) if kind == frames.HELLO else {}
            version, log = str(told["version"]), str(told["log"])
        except (ValueError, KeyError, TypeError) as err:
            raise _Void("the supervisor did not say which kernel it runs on") from err
        self.seen.kernel = shown(version, 200)
        if "gVisor" not in log or version == _host_kernel():
            raise _Void(f"this is not gVisor: the guest runs on {self.seen.kernel}")

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101
        order = {
            "mode": self.order.mode,
            "argv": list(self.order.argv),
            "env": dict(self.order.env),
            "stdin": self.order.stdin,
            "files": self.order.rows,
            "nonce": self.nonce,
            "rlimits": spec.rlimits(self.limits),
            "output_bytes": self.limits.output_bytes,
            "report_bytes": self.limits.report_bytes,
        }
        head = json.dumps(order).encode()
        with contextlib.suppress(ConnectionError):
            process.stdin.write(len(head).to_bytes(4, "big") + head)
            for data in self.order.contents:
                process.stdin.write(data)
                await process.stdin.drain()
            process.stdin.close()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        cap = self.limits.report_bytes + 2 * self.limits.output_bytes + SLACK_BYTES
        while data := await process.stdout.read(READ_BYTES):
            self.taken += len(data)
            if self.taken > cap:
                self.seen.outcome, self.seen.why = "output", f"more than {cap >> 20} MiB came out of it"
                return
            try:
                for kind, payload in self.reader.feed(data):
                    self._take(kind, payload)
            except frames.FrameError as err:
                self.seen.garbage = self.seen.garbage or f"the sandbox's own stream is broken: {err}"
                return

    def _take(self, kind: bytes, payload: bytes) -> None:
        seen = self.seen
        if self.ended:
            seen.garbage = seen.garbage or "something was written after the supervisor's last frame"
        elif kind == frames.REPORT:
            seen.reports.append(payload)
        elif kind in (frames.OUT, frames.ERR):
            (seen.out if kind == frames.OUT else seen.err).extend(payload)
        elif kind == frames.EXIT:
            self._end(payload)
        else:
            seen.garbage = seen.garbage or "bytes that are no frame were written to the report pipe"

    def _end(self, payload: bytes) -> None:
        seen = self.seen
        try:
            last = json.loads(payload)
            nonce, status = str(last["nonce"]), int(last["status"])
            flood, left = str(last["flood"]), int(last["left"]) or bool(last["garbage"])
        except (ValueError, KeyError, TypeError):
            nonce, status, flood, left = "", 0, "", 0
        if not secrets.compare_digest(nonce.encode(), self.nonce.encode()):
            seen.garbage = "a last frame without this run's nonce"
            return
        self.ended, seen.exit_status, seen.outcome = True, status, "finished"
        if left and not seen.garbage:
            seen.garbage = "the report pipe ended in the middle of a frame"
        if flood:
            pipe = {"out": "standard output", "err": "standard error"}.get(flood, "its report")
            seen.outcome, seen.why = "output", f"it wrote more to {pipe} than the bound allows"

    async def _remove(self, process: asyncio.subprocess.Process) -> None:
        """End `runsc run`, with which the sandbox dies, and clear what is left; after its own end nothing is."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self.seen.outcome != "finished":
            await self._runsc("delete", "-force", self.name)

    async def _runsc(self, *args: str) -> None:
        done = await asyncio.create_subprocess_exec(
            *self.room.command(*args),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
        try:
            async with asyncio.timeout(20):
                await done.wait()
        except TimeoutError:
            done.kill()
            await done.wait()


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    held = bytearray()
    while stream is not None and (data := await stream.read(READ_BYTES)):
        held = (held + data)[-8192:]
    return bytes(held)


def _host_kernel() -> str:
    with open("/proc/version", encoding="utf-8") as file:
        return file.read().strip()
