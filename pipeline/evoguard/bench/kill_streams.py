"""The server's own share of `evoguard bench kill`: plain streams in a process of their own, that only note a time.

`python -m evoguard.bench.kill_streams PORT TOKEN STREAMS` says `ready`; then, for each line of its input, when the next
change had arrived at each stream, as a JSON list of seconds since 1970.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

CHUNK = 1 << 20
CHANGED = b"event: unleash-updated"


class Streams:
    """Plain sockets; nothing that arrives is parsed."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self.opened = 0
        self.times: list[float] = []

    async def listen(self) -> None:
        """Note the time of each change, for ever."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"GET /api/client/streaming HTTP/1.1\r\nHost: loopback\r\nAuthorization: {self._token}\r\n\r\n"
        writer.write(head.encode("ascii"))
        await reader.readuntil(b"event: unleash-connected")
        self.opened += 1
        while part := await reader.read(CHUNK):
            if CHANGED in part:
                self.times.append(time.time())


async def main(port: int, token: str, count: int) -> None:
    """Open the streams and tell times whenever asked."""
    streams = Streams(port, token)
    tasks = [asyncio.ensure_future(streams.listen()) for _ in range(count)]
    while streams.opened < count:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        while len(streams.times) < count:
            await asyncio.sleep(0.002)
        print(json.dumps(streams.times), flush=True)
        streams.times.clear()
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
