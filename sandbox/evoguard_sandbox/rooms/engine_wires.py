"""A split run's wires where no pipe reaches a container: they ride on its streams and meet in this process.

The guest's supervisor sends what its child writes as frames among its own; what comes for the child follows the order.
Between the two is what there is on runsc as well, a pair of pipes: a side that is not read waits, and fills nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from evoguard_sandbox.rooms import frames
from evoguard_sandbox.rooms.backend import Wires
from evoguard_sandbox.rooms.engine_link import Input, Streams

CHUNK = 1 << 16
MOST_WAITING_BYTES = 40 << 20
"""What may wait for the other side. More than one whole message of the protocol and the answer to it: a side that ever
waits longer is not the tests' side, whose report must not be held up by what the code does not read.
"""
MOST_BYTES = 1 << 30
"""What one side may say in all. A room that has no more to give has failed; it tells nothing of the code."""
BROKEN = bytes(frames.HEAD.size)
"""Stands for what was no frame; its reader says so."""


async def pipe_ends(
    read_fd: int, write_fd: int
) -> tuple[asyncio.StreamReader, asyncio.ReadTransport, asyncio.StreamWriter]:
    """Return a pipe to read from, what closes it, and one to write to. Both descriptors are owned from here on."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=CHUNK)
    inward, outward = os.fdopen(read_fd, "rb", 0), os.fdopen(write_fd, "wb", 0)
    source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), inward)
    sink, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, outward)
    return reader, source, asyncio.StreamWriter(sink, flow, None, loop)


class Wire:
    """One container's end of the pipes. Who makes one must call `close`."""

    def __init__(self, wires: Wires, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes, self.carried_bytes, self.cut = most_bytes, 0, ""
        self.fds = [os.dup(wires.read_fd), os.dup(wires.write_fd)]  # the caller closes its own
        self.transports: list[asyncio.BaseTransport] = []
        self.sink: asyncio.StreamWriter | None = None
        self.pump: asyncio.Task[None] | None = None

    async def join(self, stdin: Input, stdout: Streams) -> Carried:
        """Begin to carry; return the container's output without what was carried."""
        fds, self.fds = self.fds, []
        reader, source, self.sink = await pipe_ends(*fds)
        self.sink.transport.set_write_buffer_limits(high=MOST_WAITING_BYTES)
        self.transports += [source, self.sink.transport]
        self.pump = asyncio.create_task(self._inward(reader, stdin))
        return Carried(stdout, self)

    async def outward(self, data: bytes) -> None:
        """Carry what the child wrote; nothing is its end."""
        sink = self.sink
        if sink is None or sink.is_closing() or not self._counted(len(data)):
            return
        if not data:
            sink.close()
            return
        with contextlib.suppress(ConnectionError):  # nobody reads any more, which the child learns by silence
            sink.write(data)
            await sink.drain()

    async def _inward(self, reader: asyncio.StreamReader, stdin: Input) -> None:
        """Carry what comes for the child, once its order is told whole."""
        await stdin.told.wait()
        with contextlib.suppress(ConnectionError):
            while True:
                data = await reader.read(CHUNK)
                if not self._counted(len(data)):
                    return
                stdin.write(len(data).to_bytes(4, "big") + data)
                await stdin.drain()
                if not data:
                    return

    def _counted(self, size: int) -> bool:
        """Count what is carried; over the bound both sides find the wire at its end, and `cut` says why."""
        self.carried_bytes += size
        if self.carried_bytes > self.most_bytes and not self.cut:
            self.cut = f"the two halves of a split run said more than {self.most_bytes >> 20} MiB to each other"
            self._let_go()
        return not self.cut

    def _let_go(self) -> None:
        """Close both ends; what was said already still comes to whoever reads it."""
        for transport in self.transports:
            if not transport.is_closing():
                transport.close()

    async def close(self) -> None:
        """Let go of the pipes: whoever has the other ends finds them at their end."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.gather(self.pump, return_exceptions=True)
        self._let_go()


class Carried(asyncio.StreamReader):
    """A container's standard output without the frames that were carried on."""

    def __init__(self, source: Streams, wire: Wire) -> None:
        super().__init__()
        self.source, self.wire, self.reader, self.broken = source, wire, frames.FrameReader(), False

    def at_eof(self) -> bool:
        """Tell whether nothing more comes."""
        return self.source.at_eof()

    async def read(self, n: int = -1) -> bytes:
        """Return some of it, or none at its end; what is no frame is passed on as something that is none."""
        while data := await self.source.read(n):
            if self.broken:
                return data
            kept = bytearray()
            try:
                for kind, payload in self.reader.feed(data):
                    if kind == frames.WIRE:
                        await self.wire.outward(payload)
                    else:
                        kept += frames.pack(kind, payload)
            except frames.FrameError:
                self.broken = True
                kept += BROKEN
            if kept:
                return bytes(kept)
        return b""
