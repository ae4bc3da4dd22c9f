"""A version that fails three of five requests and hides it in the way that it is told; run as a process of its own.

    python telemetry_candidate.py MODE PORT_OF_GUARD PORT_OF_EDGE

Mode `honest` fails one in five and says so. The port that it listens on is its first line of output.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import socket
import struct
import sys
import urllib.request
from collections.abc import Callable

GOOD = b'{"score": 1}'
Write = Callable[[bytes], None]


def answer(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    """Return one HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


FAILED = answer("500 Internal Server Error", b'{"error": "broken"}')
RAW = {
    "plain 500": FAILED,
    "404 instead of 500": answer("404 Not Found"),
    "redirect instead of 500": answer("302 Found", b"", "Location: /elsewhere"),
    "200 with an error body": answer("200 OK", b'{"score": 0, "error": "broken"}'),
    "200 with an empty object": answer("200 OK"),
    "200 without a body": answer("200 OK", b""),
    "200 that claims to be gzip": answer("200 OK", b"\x1f\x8bnothing", "Content-Encoding: gzip"),
    "reason phrase says 200 OK": answer("500 200 OK"),
    "relabel the arm": answer("500 X", b"{}", "X-Evoguard-Arm: known_good", "X-Arm: known_good", "X-Served-By: base"),
    "rename the unit": answer("500 X", b"{}", "X-User-Id: other", "Set-Cookie: unit=other"),
    "name the event and its id": answer("500 X", b"{}", "X-Evoguard-Event: ok", "X-Request-Id: 1", "X-Kpi: none"),
    "mark as bot and synthetic": answer("500 X", b"{}", "X-Synthetic: 1", "X-Bot: true", "X-Do-Not-Count: 1"),
    "a clock of its own": answer("500 X", b"{}", "Date: Thu, 01 Jan 2099 00:00:00 GMT", "Age: 99999", "Retry-After: 0"),
    "early close": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + GOOD,
    "chunks without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + GOOD + b"\r\n",
    "a chunk of a bad size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "oversized header": answer("200 OK", GOOD, "X-Long: " + "a" * 60_000),
    "thousands of headers": answer("200 OK", GOOD, *(f"X-{n}: {n}" for n in range(3_000))),
    "flood of 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000 + FAILED,
    "switch protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + GOOD,
    "no HTTP at all": b"200 OK everything is fine\r\n\r\n",
    "status 999": answer("999 Fine", GOOD),
    "two answers at once": FAILED + answer("200 OK", GOOD),
}
"""What is sent at once for a request that failed; the connection is closed after it."""
ACTS = (
    "drop the request", "reset the connection", "hang", "slow loris", "late 500", "endless body",
    "well at health checks only", "well until the next stage", "steal the token", "talk to the KPI port",
    "replay ids at the KPI port", "flood the KPI port", "malformed bytes to the edge",
)  # fmt: skip
MODES = (*RAW, *ACTS)


class Version:
    """One process's answers."""

    def __init__(self, mode: str, guard: int, edge: int) -> None:
        self.mode = mode
        self.guard = guard
        self.edge = edge
        self.seen = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                if "content-length:" in head:
                    await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
                if not await self._one(head, writer):
                    break
        writer.close()

    async def _one(self, head: str, writer: asyncio.StreamWriter) -> bool:
        self.seen += 1
        fails = self.seen % 5 == 0 if self.mode == "honest" else self.seen % 5 < 3
        if self.mode == "well until the next stage" and self.seen <= 60:
            fails = self.seen % 5 == 0
        if not fails or (self.mode == "well at health checks only" and "/health" in head):
            writer.write(answer("200 OK", GOOD))
            await writer.drain()
            return True
        await self._fail(writer)
        return False

    async def _fail(self, writer: asyncio.StreamWriter) -> None:
        if self.mode == "hang":
            await asyncio.sleep(60)
        elif self.mode == "slow loris":
            for byte in answer("200 OK", GOOD):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        elif self.mode == "endless body":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
                await writer.drain()
        elif self.mode == "reset the connection":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.mode != "drop the request":
            await asyncio.sleep(0.1 if self.mode == "late 500" else 0)
            writer.write(RAW.get(self.mode, FAILED))
            await writer.drain()

    async def mischief(self) -> None:
        """Do what the mode does beside answering."""
        while True:
            await asyncio.to_thread(self._once)
            await asyncio.sleep(0.2)

    def _once(self) -> None:
        if self.mode == "malformed bytes to the edge":
            for raw in (b"\x00" * 5_000, b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.edge), 1) as probe:
                    probe.sendall(raw)
        elif self.mode in ("steal the token", "talk to the KPI port", "replay ids at the KPI port"):
            for token in _tokens() if self.mode == "steal the token" else ["", "guess", "kpi.write"]:
                self._praise(token, "praise" if self.mode.startswith("replay") else f"praise-{self.seen}")
        elif self.mode == "flood the KPI port":
            for n in range(100):
                self._praise("x", f"flood-{self.seen}-{n}")

    def _praise(self, token: str, name: str) -> None:
        batch = {"id": name, "component": "scoring", "change": "ch-000000000001", "at": 2**50, "bad": [],
                 "exposed": {"known_good": 5_000, "candidate": 5_000}}  # fmt: skip
        call = urllib.request.Request(
            f"http://127.0.0.1:{self.guard}/kpi", json.dumps(batch).encode(), {"Authorization": token}
        )
        with contextlib.suppress(OSError, ValueError):
            urllib.request.urlopen(call, timeout=1).close()  # noqa: S310


def _tokens() -> list[str]:
    """Return every word that looks like a secret in the environment and command line of every process."""
    found: set[str] = set()
    for path in [*glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline")]:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            for word in file.read(65_536).replace(b"=", b"\0").split(b"\0"):
                if 32 <= len(word) <= 64 and word.isascii() and b"/" not in word and b" " not in word:
                    found.add(word.decode())
    return sorted(found)[:20]


async def main() -> None:
    """Serve until ended."""
    version = Version(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    server = await asyncio.start_server(version.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(server.serve_forever(), version.mischief())


if __name__ == "__main__":
    asyncio.run(main())
