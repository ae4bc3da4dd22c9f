"""A way out of a container, where no socket of this host is in the guest: it rides on the container's own streams.

The guest's relay sends all its connections by one pair of wires, in frames: the connection's number, a size, as many
bytes. The first frame of a number begins it, an empty one later is a side's end; numbers rise. Each is one connection
of the same proxy that a sandbox of runsc has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Sequence

from evoguard_sandbox.rooms.backend import Wires
from evoguard_sandbox.rooms.egress import Place, Proxy
from evoguard_sandbox.rooms.engine_wires import CHUNK, Wire, pipe_ends
from evoguard_sandbox.types import Egress

FRAME = struct.Struct(">II")
MOST_OPEN = 64
"""Connections that have not ended on both sides; the relay opens 24. One more than that is cut at once."""


class WayOut:
    """One container's way out. Who makes one must call `close`, and `wire.close`: that is the container's end.

    What is no frame, or is larger than one, ends the way out and nothing else.
    """

    def __init__(self, name: str, allowed: Sequence[Place]) -> None:
        self.proxy = Proxy(name, allowed)
        inward, outward = os.pipe(), os.pipe()
        self.wire = Wire(Wires(inward[0], outward[1]))
        for fd in (inward[0], outward[1]):
            os.close(fd)  # the wire holds its own
        self._fds = [outward[0], inward[1]]
        self._source: asyncio.ReadTransport | None = None
        self._sink: asyncio.StreamWriter | None = None
        self._open: dict[int, asyncio.StreamWriter] = {}
        self._last = 0
        self._carrying: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to carry."""
        fds, self._fds = self._fds, []
        reader, self._source, self._sink = await pipe_ends(*fds)
        self._carrying = asyncio.create_task(self._outward(reader))

    async def close(self) -> None:
        """Cut every connection and let go of the pipes."""
        if self._source is not None:
            self._source.close()
        if self._sink is not None:
            self._sink.transport.abort()
        for writer in self._open.values():
            writer.transport.abort()
        if self._carrying is not None:
            # Its pipe is at its end, so it ends by itself. Cancelled in the middle it would lose a connection.
            await asyncio.wait({self._carrying})
        await self.proxy.close()
        await asyncio.gather(*self._answering)
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def log(self) -> tuple[Egress, ...]:
        """Return what was asked of the proxy."""
        return self.proxy.log()

    async def _outward(self, reader: asyncio.StreamReader) -> None:
        """Take what the guest says, to its end; who does not read holds up the guest's other connections alone."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                number, size = FRAME.unpack(await reader.readexactly(FRAME.size))
                if size > CHUNK:
                    return
                data = await reader.readexactly(size)
                if number > self._last:
                    self._last = number
                    await self._begin(number)
                elif (near := self._open.get(number)) is not None:
                    await _give(near, data)

    async def _begin(self, number: int) -> None:
        """Open one connection of the proxy's for a new number, unless there are too many."""
        if len(self._open) >= MOST_OPEN:
            await self._say(number, b"")
            return
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        await self.proxy.serve(far)
        reader, writer = await asyncio.open_connection(sock=near, limit=CHUNK)
        self._open[number] = writer
        task = asyncio.create_task(self._inward(number, reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _inward(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the proxy's answers; after the last of them nothing of the connection is left."""
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(CHUNK):
                    await self._say(number, data)
            await self._say(number, b"")
        finally:
            del self._open[number]
            writer.transport.abort()

    async def _say(self, number: int, data: bytes) -> None:
        sink = self._sink
        if sink is not None and not sink.is_closing():
            with contextlib.suppress(OSError):
                sink.write(FRAME.pack(number, len(data)) + data)
                await sink.drain()


async def _give(near: asyncio.StreamWriter, data: bytes) -> None:
    """Give the proxy what the guest said; a proxy that has hung up takes nothing more."""
    with contextlib.suppress(OSError, RuntimeError):
        if data:
            near.write(data)
            await near.drain()
        else:
            near.write_eof()
