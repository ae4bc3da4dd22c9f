"""The load of `evoguard bench kill`, in a process of its own: open streams and polls, over plain sockets.

`python -m evoguard.bench.kill_load PORT TOKEN STREAMS POLLS_A_SECOND` says `ready`, and at the next line of its input
how many answers were wrong and how many polls a second were answered.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable

POLLERS, AT_ONCE, CHUNK = 50, 50, 1 << 16


class Load:
    """Counts while it listens and asks. An end of a stream is a wrong answer."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.wrong = self.polls = 0
        self.tag = '""'

    async def stream(self, opened: asyncio.Semaphore) -> None:
        """Listen for ever."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(self._ask("streaming"))
            head = await reader.readuntil(b"\r\n\r\n")
            self.wrong += not head.startswith(b"HTTP/1.1 200")
        finally:
            opened.release()
        while await reader.read(CHUNK):
            pass
        self.wrong += 1

    async def poll(self, every_s: float) -> None:
        """Ask for the features again and again, as an SDK does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while True:
            began = time.monotonic()
            writer.write(self._ask("features", f"If-None-Match: {self.tag}\r\n"))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if length := int(fields.get("content-length", "0")):
                await reader.readexactly(length)
            self.tag = fields.get("etag", self.tag)
            self.wrong += head[9:12] not in ("200", "304")
            self.polls += 1
            await asyncio.sleep(max(0.0, every_s - (time.monotonic() - began)))

    def _ask(self, what: str, more: str = "") -> bytes:
        head = f"GET /api/client/{what} HTTP/1.1\r\nHost: loopback\r\nAuthorization: {self.token}\r\n{more}\r\n"
        return head.encode("ascii")


async def main(port: int, token: str, streams: int, rate: int) -> None:
    """Open the streams, begin to poll, and tell at the end what was seen."""
    load, opened = Load(port, token), asyncio.Semaphore(0)
    tasks: list[asyncio.Task[None]] = []

    def start(work: Awaitable[None]) -> None:
        tasks.append(asyncio.ensure_future(work))

    for at in range(0, streams, AT_ONCE):
        some = min(AT_ONCE, streams - at)
        for _ in range(some):
            start(load.stream(opened))
        for _ in range(some):
            await opened.acquire()
    for _ in range(POLLERS):
        start(load.poll(POLLERS / rate))
    await asyncio.sleep(0.5)
    began, load.polls = time.monotonic(), 0
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    failed = sum(task.done() and not task.cancelled() and task.exception() is not None for task in tasks)
    print(load.wrong + failed, load.polls / (time.monotonic() - began), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
