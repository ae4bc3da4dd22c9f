"""One sandbox from start to gone: proved, given one order, read to its end. Nothing in here judges."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evoguard_sandbox.rooms import frames, spec
from evoguard_sandbox.rooms.backend import Make, Running, Wires
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Behaviour, Egress, Outcome, Usage

READ_BYTES = 1 << 16
SLACK_BYTES = 4 << 20
CPU_LOOK_S, CPU_SHARE, CPU_SLACK_MS = 0.5, 2, 2000
"""How often the host looks at the processor time, and how much more than `cpu_s` all processes may take: the guest's
own clock tells less than the host counts, by a third to a half.
"""
UNSAFE = "unsafe-"
REACHED = frozenset({"cpu", "file_size", "tmp", "processes", "report"})
"""The guest's own limits of which its PID 1 can see that they were reached."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the supervisor is to do once. `argv` and `env` are a job's; a test runner waits in its sandbox already."""

    stdin: str
    rows: Sequence[tuple[str, str, int, bool]]
    contents: Sequence[bytes]
    argv: Sequence[str] = ()
    take: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    wall_s: float | None = None
    """How long it may take, where that is less than the sandbox's own limit."""


@dataclass(slots=True)
class Seen:
    """What came out of one sandbox, and what the host's kernel says of it."""

    outcome: Outcome = "void"
    why: str = ""
    kernel: str = ""
    isolation: str = ""
    """"gvisor" once that was proved; the room's unsafe name where a person asked for it, whatever the guest says."""
    reports: list[bytes] = field(default_factory=list)
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    garbage: str = ""
    artefacts: list[tuple[str, bool, bytearray]] = field(default_factory=list)
    """Path, whether it may be executed, bytes: as the guest told them, unchecked."""
    omitted: str = ""
    exit_status: int | None = None
    behaviour: Behaviour = field(default_factory=lambda: Behaviour("not recorded", "the sandbox did not start"))
    limits_mode: str = "guest-only"
    reached: tuple[str, ...] = ()
    """Which of the guest's own limits were reached: the word of its PID 1, or of gVisor's trace."""
    usage: Usage = field(default_factory=Usage)
    cut: str = ""
    """Why the host ended the wires to the other half of a split run; empty when it did not."""
    egress: tuple[Egress, ...] = ()
    wall_ms: int = 0
    """From the order to the end; the start of a prepared sandbox is not in it."""


class _Void(Exception):  # noqa: N818 (never leaves this file)
    """The room failed, not the tests."""


class Box:
    """One sandbox for one order. Whoever starts it must call `obey` or `discard`."""

    def __init__(self, room: Room, make: Make, *, warm: bool = False) -> None:
        self.make, self.warm, self.seen = make, warm, Seen()
        self.nonce = secrets.token_hex(16)
        self.room, self.name = room, room.next_id()
        self.reader = frames.FrameReader()
        self.waiting: list[tuple[bytes, bytes]] = []
        self.running: Running | None = None
        self.taken = 0
        self.ended = False

    async def start(self, wires: Wires | None = None) -> Box:
        """Start it and wait until it is proved to be gVisor and ready; a failure is kept for `obey` to tell.

        Raises: SandboxError when a dependency layer is not there.
        """
        backend = self.room.backend
        try:
            self.running = await backend.launch(self.name, self.make, self._setup(), wires)
            self.seen.limits_mode = self.running.limits_mode
            async with asyncio.timeout(self.make.limits.start_s):
                self._greet(*await self._next("before its supervisor spoke"))
                kind, _ = await self._next("before it was ready")
                if kind != frames.READY:
                    raise _Void("the supervisor did not say that it was ready")
        except TimeoutError:
            self.seen.why = f"the sandbox did not start within {self.make.limits.start_s:g} s"
        except _Void as err:
            self.seen.why = str(err)
        except BaseException:
            await self.discard()
            raise
        return self

    def _setup(self) -> str:
        return spec.setup(self.room.python, self.make, warm=self.warm)

    @property
    def ready(self) -> bool:
        """Tell whether it waits for its order."""
        return self.running is not None and not self.seen.why and not self.running.stdout.at_eof()

    async def discard(self) -> None:
        """End it unused."""
        if self.running is not None:
            await asyncio.shield(asyncio.ensure_future(self.running.remove(clean=False)))
            self.running = None

    async def obey(self, order: Order) -> Seen:
        """Give it its order, read to the end, remove it, and say what was seen."""
        running, seen, began = self.running, self.seen, time.monotonic()
        if running is None:
            return seen
        clean = False
        try:
            if not seen.why:
                await self._talk(running, order)
                clean = seen.outcome == "finished"
        except _Void as err:
            seen.outcome, seen.why = "void", str(err)
        finally:
            self.running, seen.cut = None, running.cut()
            await asyncio.shield(asyncio.ensure_future(running.remove(clean=clean)))
            seen.wall_ms = int((time.monotonic() - began) * 1000)
            # Also for who does not wait for the end: what it tried to reach is evidence.
            seen.behaviour, seen.usage, seen.egress = running.behaviour(), running.usage(), running.egress()
        seen.reached = tuple(sorted({*seen.reached, *running.reached()}))
        self._classify(running)
        return seen

    def _classify(self, running: Running) -> None:
        """Host facts come first: exit codes are ambiguous (2, 137 and 0 all have several causes)."""
        seen = self.seen
        if seen.outcome in ("void", "crashed") and (told := running.complaints()):
            seen.why += f"; the runtime said: {told}"
        if seen.outcome in ("wall", "output", "void"):
            return
        if running.over_memory():
            seen.outcome, seen.why = "memory", "the host's kernel ended it for want of memory"
        elif seen.outcome == "crashed" and running.over_pids():
            seen.outcome, seen.why = "pids", "it reached the host's bound on tasks"

    async def _talk(self, running: Running, order: Order) -> None:
        wall_s = min(self.make.limits.wall_s, order.wall_s or self.make.limits.wall_s)
        helpers = [asyncio.create_task(self._feed(running, order))]
        try:
            async with asyncio.timeout(wall_s) as clock:
                helpers.append(asyncio.create_task(self._hold_cpu(running, clock)))
                await self._read(running)
                status = await running.ended()
        except TimeoutError:
            spent = "cpu" in self.seen.reached
            self.seen.outcome = "wall"
            self.seen.why = "it used up its processor time" if spent else f"it was still running after {wall_s:g} s"
            return
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        if not helpers[-1].cancelled() and (err := helpers[-1].exception()) is not None:
            raise err  # nobody held the processor time
        if not self.ended and self.seen.outcome == "void":
            self.seen.outcome = "crashed"
            self.seen.why = f"the sandbox ended without its supervisor's last word (exit status {status})"

    async def _hold_cpu(self, running: Running, clock: asyncio.Timeout) -> None:
        """End the run when all its processes together took far more processor time than one of them may.

        The guest's own limit comes first for a single process; gVisor does not hand it on to one that is forked.
        """
        began_ms = running.usage().cpu_ms
        bound_ms = began_ms + CPU_SHARE * 1000 * self.make.limits.cpu_s + CPU_SLACK_MS
        while running.usage().cpu_ms <= bound_ms:
            await asyncio.sleep(CPU_LOOK_S)
        self.seen.reached = ("cpu",)
        clock.reschedule(asyncio.get_running_loop().time())

    async def _next(self, when: str) -> tuple[bytes, bytes]:
        assert self.running is not None  # noqa: S101 (just started)
        while not self.waiting:
            data = await self.running.stdout.read(READ_BYTES)
            if not data:
                raise _Void(f"the sandbox ended {when}")
            try:
                self.waiting += self.reader.feed(data)
            except frames.FrameError as err:
                raise _Void("the first words were not the supervisor's") from err
        return self.waiting.pop(0)

    def _greet(self, kind: bytes, payload: bytes) -> None:
        try:
            told = json.loads(payload) if kind == frames.HELLO else {}
            version, log = str(told["version"]), str(told["log"])
        except (ValueError, KeyError, TypeError) as err:
            raise _Void("the supervisor did not say which kernel it runs on") from err
        self.seen.kernel, self.seen.isolation = shown(version, 200), self.room.isolation
        if self.room.isolation.startswith(UNSAFE):
            return  # a person named it so; what it says of itself makes it no safer
        if "gVisor" not in log or version == _host_kernel():
            told, self.seen.kernel, self.seen.isolation = self.seen.kernel, "", ""  # nothing of it is proved
            raise _Void(f"this is not gVisor: the guest runs on {told}")

    async def _feed(self, running: Running, order: Order) -> None:
        told = {
            "argv": list(order.argv),
            "env": dict(order.env),
            "stdin": order.stdin,
            "files": order.rows,
            "nonce": self.nonce,
            "take": list(order.take),
            "take_files": self.make.limits.take_files,
            "take_bytes": self.make.limits.take_bytes,
        }
        head = json.dumps(told).encode()
        with contextlib.suppress(ConnectionError):
            running.stdin.write(len(head).to_bytes(4, "big") + head)
            for data in order.contents:
                running.stdin.write(data)
                await running.stdin.drain()
            running.stdin.close()

    async def _read(self, running: Running) -> None:
        limits = self.make.limits
        cap = limits.report_bytes + 2 * limits.output_bytes + limits.take_bytes + SLACK_BYTES
        while data := await running.stdout.read(READ_BYTES):
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
        elif kind == frames.ARTEFACT:
            self._artefact(payload)
        elif kind == frames.BYTES and seen.artefacts:
            seen.artefacts[-1][2].extend(payload)
        elif kind == frames.EXIT:
            self._end(payload)
        else:
            seen.garbage = seen.garbage or "bytes that are no frame were written to the report pipe"

    def _artefact(self, payload: bytes) -> None:
        try:
            told = json.loads(payload)
            self.seen.artefacts.append((str(told["path"]), bool(told["exec"]), bytearray()))
        except (ValueError, KeyError, TypeError, OverflowError):
            self.seen.garbage = self.seen.garbage or "an artefact without a name"

    def _end(self, payload: bytes) -> None:
        seen = self.seen
        try:
            last = json.loads(payload)
            nonce, status = str(last["nonce"]), int(last["status"])
            flood, left = str(last["flood"]), int(last["left"]) or bool(last["garbage"])
            self.seen.omitted = shown(str(last["omitted"]), 300)
            reached = tuple(sorted(REACHED.intersection(map(str, last["reached"]))))
        except (ValueError, KeyError, TypeError, OverflowError):
            nonce, status, flood, left, reached = "", 0, "", 0, ()
        if not secrets.compare_digest(nonce.encode(), self.nonce.encode()):
            seen.garbage = "a last frame without this run's nonce"
            return
        self.ended, seen.exit_status, seen.outcome, seen.reached = True, status, "finished", reached
        if left and not seen.garbage:
            seen.garbage = "the report pipe ended in the middle of a frame"
        if flood:
            pipe = {"out": "standard output", "err": "standard error"}.get(flood, "its report")
            seen.outcome, seen.why = "output", f"it wrote more to {pipe} than the bound allows"


def _host_kernel() -> str:
    with open("/proc/version", encoding="utf-8") as file:
        return file.read().strip()
