"""The behaviour record: gVisor's own trace points, received outside the guest, decoded by hand.

gVisor's remote sink is a SOCK_SEQPACKET unix socket. The client greets with a version and wants one back; then each
packet is a header (header size, message type, dropped count) and one protobuf message.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import platform
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Behaviour, Connect

T = TypeVar("T")
HEAD = struct.Struct("<HHI")
GREETING = b"\x08\x01"
STARTED, CLONED, EXECED, CALLED, OPENED, CONNECTED = 1, 2, 3, 6, 7, 10
CONTEXT, BINARY, EXIT, ERROR, ADDRESS, PATHNAME, PROCESS = 1, 2, 2, 2, 6, 6, 9
FORKS: dict[str, tuple[int, ...]] = {"x86_64": (56, 57, 58, 435), "aarch64": (220, 435)}
"""The numbers of clone, fork, vfork and clone3: only how they end is told, and only a refusal is kept."""
MOST_CONNECTS, MOST_PROGRAMS, MOST_FILES = 200, 50, 2_000
FAMILIES: dict[int, str] = {socket.AF_UNIX: "unix", socket.AF_INET: "inet", socket.AF_INET6: "inet6"}


def session(endpoint: str, *, files: bool = False) -> dict[str, Any]:
    """Return the pod-init configuration that makes gVisor tell starts, clones, refused ones too, programs and connects.

    With `files` it tells every open as well, which costs about 33 us each.
    """
    name = {"context_fields": ["process_name"]}
    points = [
        {"name": "container/start"},
        {"name": "sentry/clone", **name},
        {"name": "sentry/execve", **name},
        {"name": "syscall/connect/enter", **name},
    ]
    points += [{"name": f"syscall/sysno/{number}/exit"} for number in FORKS.get(platform.machine(), ())]
    if files:
        points += [{"name": f"syscall/{call}/enter"} for call in ("openat", "open", "creat")]
    sink = {"name": "remote", "config": {"endpoint": endpoint, "retries": 3}}
    return {"trace_session": {"name": "Default", "ignore_missing": True, "points": points, "sinks": [sink]}}


def fields(message: bytes) -> dict[int, int | bytes]:
    """Return the fields of a protobuf message by number, the last of each. Raises: ValueError when it is not one."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            found[number], at = _varint(message, at)
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("not a protobuf message")
        if at + size > len(message):
            raise ValueError("a protobuf field runs past the end")
        found[number] = message[at : at + size]
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number without an end")


def _bytes(found: dict[int, int | bytes], number: int) -> bytes:
    value = found.get(number, b"")
    return value if isinstance(value, bytes) else b""


def connect_of(message: bytes) -> Connect | None:
    """Return the attempt that a connect message tells; None when it names no address."""
    found = fields(message)
    raw = _bytes(found, ADDRESS)
    if len(raw) < 2:
        return None
    family = int.from_bytes(raw[:2], "little")
    process = shown(_bytes(fields(_bytes(found, CONTEXT)), PROCESS).decode("utf-8", "replace"), 40)
    name = FAMILIES.get(family, str(family))
    if family == socket.AF_INET and len(raw) >= 8:
        return Connect(process, name, str(ipaddress.IPv4Address(raw[4:8])), int.from_bytes(raw[2:4], "big"))
    if family == socket.AF_INET6 and len(raw) >= 24:
        return Connect(process, name, str(ipaddress.IPv6Address(raw[8:24])), int.from_bytes(raw[2:4], "big"))
    if family != socket.AF_UNIX:
        return Connect(process, name, raw[2:].hex()[:110], 0)
    path = raw[2:] if raw[2:3] == b"\0" else raw[2:].partition(b"\0")[0]  # a leading NUL makes an abstract name
    return Connect(process, name, shown(path.rstrip(b"\0").decode("utf-8", "replace"), 110), 0)


class Sink:
    """Listen for one sandbox's trace. Use as `async with`; `behaviour()` is what was heard."""

    def __init__(self, folder: Path, name: str, *, files: bool = False) -> None:
        self.files = files
        self.path = folder / f"{name}.sock"
        self.config = folder / f"{name}.trace.json"
        self._task: asyncio.Task[None] | None = None
        self._connects: dict[Connect, None] = {}
        self._programs: dict[str, None] = {}
        self._files: dict[str, None] = {}
        self._clones = self._dropped = 0
        self._reason = "gVisor never connected to the trace socket"
        self._spilled = False
        self.started = self.refused_fork = False

    async def __aenter__(self) -> Self:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(os.fspath(self.path))
            listener.listen(1)
        except OSError as err:
            listener.close()
            self._reason = f"the trace socket could not be opened: {err.strerror or err}"
            return self
        listener.setblocking(False)
        self.config.write_text(json.dumps(session(os.fspath(self.path), files=self.files)), encoding="utf-8")
        self._task = asyncio.create_task(self._listen(listener))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._task is not None:
            # The sandbox is gone, so its end of the socket is closed; what it sent is still to be read.
            await asyncio.wait({self._task}, timeout=2 if self.started else 0)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for path in (self.path, self.config):
            path.unlink(missing_ok=True)

    def attached(self) -> None:
        """Take note that gVisor told to this sink before the sandbox had its order: no start will be told any more."""
        self.started = True

    @property
    def flags(self) -> list[str]:
        """What to add to runsc's command line; nothing when there is no socket."""
        return [f"--pod-init-config={self.config}"] if self._task is not None else []

    async def _listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            peer, _ = await loop.sock_accept(listener)
        with peer:
            try:
                await loop.sock_recv(peer, 1 << 16)
                await loop.sock_sendall(peer, GREETING)
                self._reason = ""
                while packet := await loop.sock_recv(peer, 1 << 18):
                    self._take(packet)
            except (OSError, ValueError, struct.error) as err:
                self._reason = f"the trace broke off: {err}"

    def _take(self, packet: bytes) -> None:
        size, kind, self._dropped = HEAD.unpack_from(packet)
        message = packet[size:]
        if kind == STARTED:
            self.started = True
        elif kind == CLONED:
            self._clones += 1
        elif kind == EXECED:
            if not self._programs:
                self._files.clear()  # what was opened before the command began was the supervisor's
            program = shown(_bytes(fields(message), BINARY).decode("utf-8", "replace"), 200)
            self._note(self._programs, program, MOST_PROGRAMS)
        elif kind == CALLED:
            self.refused_fork |= fields(_bytes(fields(message), EXIT)).get(ERROR) == errno.EAGAIN
        elif kind == OPENED:
            name = shown(_bytes(fields(message), PATHNAME).decode("utf-8", "replace"), 300)
            self._note(self._files, name, MOST_FILES)
        elif kind == CONNECTED and (attempt := connect_of(message)) is not None:
            self._note(self._connects, attempt, MOST_CONNECTS)

    def _note(self, into: dict[T, None], value: T, most: int) -> None:
        if len(into) < most:
            into[value] = None
        elif value not in into:
            self._spilled = True

    def behaviour(self) -> Behaviour:
        """Return what was heard; loss and silence are told, never presumed to be nothing."""
        status, reason = "recorded", self._reason
        if not self.started:
            status = "not recorded"
        elif self._dropped:
            status, reason = "incomplete", f"gVisor dropped {self._dropped} trace messages"
        elif self._spilled:
            status, reason = "incomplete", "more attempts or programs than the record holds"
        elif reason:
            status = "incomplete"
        return Behaviour(
            status,
            reason,
            tuple(self._connects),
            tuple(self._programs),
            self._clones,
            self._dropped,
            tuple(self._files),
        )
