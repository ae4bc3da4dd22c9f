"""The one way out of a sandbox: an HTTP proxy of the host on a unix socket, with a list of what it leads to.

Exact (host, port) pairs only. The proxy resolves names itself, once, refuses every address that is not public, and
connects to the address it checked: a name that changes its mind reaches nothing. It speaks CONNECT, and GET and HEAD
without a body, of which it writes the request anew: few of the guest's headers, and no second request, reach anyone.
What it does not look into: the bytes of a CONNECT (a TLS server may hold more names than the one allowed).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Egress

LOG = logging.getLogger(__name__)
CHUNK = 1 << 16
LAST_TURNS = 3
"""Turns of the loop until a connection that was cut is closed."""
HEAD_END = b"\r\n\r\n"
REQUEST = re.compile(rb"([A-Z]{1,16}) ([\x21-\x7e]{1,8192}) HTTP/1\.[01]")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
PASSED_ON = frozenset({b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"if-none-match",
                       b"if-modified-since", b"range", b"user-agent", b"authorization"})  # fmt: skip
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Place = tuple[str, int]
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one sandbox may take of its way out. Seconds and bytes; `records`: more requests than that are only counted.

    `loopback` lets an allowed name lead to this very host. For tests.
    """

    at_once: int = 16
    connections: int = 2000
    head_bytes: int = 16 << 10
    head_s: float = 10.0
    connect_s: float = 10.0
    idle_s: float = 30.0
    whole_s: float = 300.0
    sent_bytes: int = 16 << 20
    received_bytes: int = 512 << 20
    records: int = 1000
    loopback: bool = False


class _Refused(Exception):  # noqa: N818  (never leaves this file)
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(slots=True)
class _Asked:
    """One connection of the guest's, as far as it was understood."""

    method: str = "?"
    host: str = ""
    port: int = 0
    allowed: bool = False
    why: str = ""
    sent: int = 0
    received: int = 0


async def resolve(host: str, port: int) -> list[str]:
    """Return a name's addresses by this host's own resolver. Raises: OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in found]


def public(address: str, *, loopback: bool = False) -> bool:
    """Tell whether an address is one of the open internet, also by the IPv4 address that an IPv6 one may carry."""
    try:
        seen: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
    except ValueError:  # with a scope, say
        return False
    if isinstance(seen, ipaddress.IPv6Address):
        inner = seen.ipv4_mapped or seen.sixtofour or (seen.teredo[1] if seen.teredo else None)
        if inner is None and seen in NAT64:
            inner = ipaddress.IPv4Address(int(seen) & 0xFFFFFFFF)
        if inner is not None:
            return public(str(inner))
    if loopback and seen.is_loopback:
        return True
    return seen.is_global and not (seen.is_multicast or seen.is_reserved or seen.is_unspecified or seen.is_link_local)


class Proxy:
    """The way out of one sandbox. Use as `async with`; `log()` is everything that was asked of it."""

    def __init__(
        self, name: str, allowed: Sequence[Place], bounds: Bounds | None = None, look_up: Resolve = resolve
    ) -> None:
        self.name, self.bounds, self.look_up = name, bounds or Bounds(), look_up
        self.folder = Path()
        """Where it listens, once it does."""
        self.allowed = frozenset((host.lower(), port) for host, port in allowed)
        self.records: list[Egress] = []
        self.unrecorded = self.connections = self.open = self.sent = self.received = 0
        self._listening: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def listen(self, folder: Path, socket_name: str) -> None:
        """Listen on a socket in a folder, which is made for it alone."""
        folder.mkdir(mode=0o755)
        self.folder = folder
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            door = socket.socket(socket.AF_UNIX)
            door.bind(f"/proc/self/fd/{handle}/{socket_name}")  # a path of any length
        finally:
            os.close(handle)
        (folder / socket_name).chmod(0o666)  # the folder lies in one of ours alone; in the guest, anybody may
        door.listen(64)
        door.setblocking(False)
        self._listening = asyncio.create_task(self._listen(door))

    async def close(self) -> None:
        """Cut every connection and stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        for task, writer in self._tasks.items():
            task.cancel()
            writer.transport.abort()  # one that has not begun would not do it
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)

    def log(self) -> tuple[Egress, ...]:
        """Return what was asked, in order of its end; what is too much to keep is one last record, and a denial."""
        more = f"{self.unrecorded} more requests than the record holds"
        return (*self.records, *([Egress(self.name, "?", "", 0, False, more)] if self.unrecorded else []))

    async def _listen(self, door: socket.socket) -> None:
        """Take connections one by one; asyncio's own server loses one that comes while it is closed (Python 3.11)."""
        loop = asyncio.get_running_loop()
        with door:
            while True:
                try:
                    peer, _ = await loop.sock_accept(door)
                except OSError:  # no descriptor is left just now
                    await asyncio.sleep(0.05)
                    continue
                await self.serve(peer)

    async def serve(self, peer: socket.socket) -> None:
        """Take one connection of the guest's; it is answered from here on."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=self.bounds.head_bytes)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, peer)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        task = asyncio.ensure_future(self._answered(reader, writer))
        self._tasks[task] = writer
        task.add_done_callback(self._tasks.pop)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = _Asked()
        self.open += 1
        try:
            async with asyncio.timeout(self.bounds.whole_s):
                await self._answer(reader, writer, asked)
        except _Refused as err:
            asked.why = err.why
            with contextlib.suppress(OSError, RuntimeError, TimeoutError):
                if asked.allowed:  # the guest is in the middle of another's answer
                    return
                writer.write(b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                             % (err.status, b"refused by the sandbox"))  # fmt: skip
                async with asyncio.timeout(1):
                    await writer.drain()
        except TimeoutError:
            asked.why = f"longer than {self.bounds.whole_s:g} s"
        except OSError as err:
            asked.why = asked.why or f"the connection broke: {err.strerror or err}"
        finally:
            self.open -= 1
            self._note(asked)
            writer.transport.abort() if asked.why else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked) -> None:
        bounds = self.bounds
        self.connections += 1
        if self.connections > bounds.connections:
            raise _Refused(429, f"more than {bounds.connections} connections")
        if self.open > bounds.at_once:
            raise _Refused(429, f"more than {bounds.at_once} connections at once")
        try:
            async with asyncio.timeout(bounds.head_s):
                head = await reader.readuntil(HEAD_END)
        except TimeoutError as err:
            raise _Refused(408, f"no whole request within {bounds.head_s:g} s") from err
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as err:
            raise _Refused(400, "no whole request") from err
        request = _request(head, asked)
        far_reader, far_writer = await self._reach(asked)
        try:
            if asked.method == "CONNECT":
                writer.write(b"HTTP/1.1 200 connected\r\n\r\n")
                await writer.drain()
                await self._both(asked, (reader, writer), (far_reader, far_writer))
            else:
                self._count_sent(asked, request)
                far_writer.write(request)
                await far_writer.drain()
                await self._carry(far_reader, writer, lambda data: self._count_received(asked, data))
        finally:
            far_writer.transport.abort()

    async def _reach(self, asked: _Asked) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to what was asked for, when it is on the list and leads to a public address."""
        bounds = self.bounds
        if (asked.host, asked.port) not in self.allowed:
            raise _Refused(403, "not on the list")
        try:
            async with asyncio.timeout(bounds.connect_s):
                addresses = await self.look_up(asked.host, asked.port)
                inner = [address for address in addresses if not public(address, loopback=bounds.loopback)]
                if inner or not addresses:
                    raise _Refused(403, f"it leads to {inner[0]}, no public address" if inner else "it leads nowhere")
                connected = await asyncio.open_connection(addresses[0], asked.port, limit=CHUNK)
        except TimeoutError as err:
            raise _Refused(504, f"no connection within {bounds.connect_s:g} s") from err
        except (OSError, UnicodeError) as err:
            raise _Refused(502, f"no connection: {getattr(err, 'strerror', None) or err}") from err
        asked.allowed = True
        return connected

    async def _both(
        self,
        asked: _Asked,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        ways = {
            asyncio.ensure_future(self._carry(near[0], far[1], lambda data: self._count_sent(asked, data))),
            asyncio.ensure_future(self._carry(far[0], near[1], lambda data: self._count_received(asked, data))),
        }
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: Callable[[bytes], None]
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(self.bounds.idle_s):
                    data = await source.read(CHUNK)
                    count(data)
                    sink.write(data)
                    await sink.drain()
            except TimeoutError as err:
                raise _Refused(504, f"nothing moved for {self.bounds.idle_s:g} s") from err
            if not data:
                with contextlib.suppress(OSError, RuntimeError):
                    sink.write_eof()
                return

    def _count_sent(self, asked: _Asked, data: bytes) -> None:
        asked.sent += len(data)
        self.sent += len(data)
        if self.sent > self.bounds.sent_bytes:
            raise _Refused(403, f"more than {self.bounds.sent_bytes} bytes sent out")

    def _count_received(self, asked: _Asked, data: bytes) -> None:
        asked.received += len(data)
        self.received += len(data)
        if self.received > self.bounds.received_bytes:
            raise _Refused(403, f"more than {self.bounds.received_bytes} bytes brought in")

    def _note(self, asked: _Asked) -> None:
        told = Egress(self.name, asked.method, shown(asked.host, 253), asked.port, asked.allowed,
                      shown(asked.why, 200), asked.sent, asked.received)  # fmt: skip
        LOG.info(
            "sandbox.egress %s %s %s:%d %s sent=%d received=%d %s", told.sandbox, told.method, told.host, told.port,
            "allowed" if told.allowed else "denied", told.sent_bytes, told.received_bytes, told.why,
        )  # fmt: skip
        if len(self.records) < self.bounds.records:
            self.records.append(told)
        else:
            self.unrecorded += 1


def _request(head: bytes, asked: _Asked) -> bytes:
    """Read a request's head into `asked`, and return what is to be sent instead of it (nothing for CONNECT)."""
    first, *lines = head[: -len(HEAD_END)].split(b"\r\n")
    seen = REQUEST.fullmatch(first)
    if seen is None:
        raise _Refused(400, "no request of HTTP/1")
    asked.method, target = seen[1].decode(), seen[2].decode()
    fields: dict[bytes, bytes] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None or field[1].lower() in fields:
            raise _Refused(400, "a header that is none, goes on over a line, or comes twice")
        fields[field[1].lower()] = field[2].strip()
    if asked.method == "CONNECT":
        asked.host, asked.port = _place(target, None)
        return b""
    if asked.method not in ("GET", "HEAD"):
        raise _Refused(405, f"{asked.method} without CONNECT")
    if b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0" or b"upgrade" in fields:
        raise _Refused(400, "a body, or a change of protocol")
    scheme, _, rest = target.partition("://")
    if scheme.lower() != "http" or "#" in rest or "\\" in rest:
        raise _Refused(400, "no http:// address")
    parts = urlsplit(f"http://{rest}")
    asked.host, asked.port = _place(parts.netloc, 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = b"".join(b"%s: %s\r\n" % (name, value) for name, value in fields.items() if name in PASSED_ON)
    host = asked.host if asked.port == 80 else f"{asked.host}:{asked.port}"
    return f"{asked.method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n".encode() + kept + b"\r\n"


def _place(authority: str, port: int | None) -> Place:
    """Return host and port of an authority: a plain name or address, nothing before an @, no second reading of it."""
    name, colon, number = authority.rpartition(":")
    if not colon:
        name, number = authority, "" if port is None else str(port)
    name = name.lower()
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    numeric = bare != name and _is_address(bare)
    if not (numeric or HOST.fullmatch(name)) or not re.fullmatch(r"[0-9]{1,5}", number) or not 0 < int(number) < 65536:
        raise _Refused(400, f"no host and port: {shown(authority, 100)}")
    return bare, int(number)


def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.IPv6Address(text)
        return "%" not in text
    return False


def read_place(text: str) -> Place:
    """Return host and port of "HOST:PORT". Raises: ValueError."""
    try:
        return _place(text, None)
    except _Refused as err:
        raise ValueError(err.why) from err
