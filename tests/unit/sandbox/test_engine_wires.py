"""Wires that ride on a container's streams: whole, bounded, and a side that does not read holds nobody else up."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evoguard_sandbox
from evoguard_sandbox.rooms import frames
from evoguard_sandbox.rooms.backend import Wires
from evoguard_sandbox.rooms.engine_wires import BROKEN, MOST_WAITING_BYTES, Wire

sys.path.append(str(Path(evoguard_sandbox.__file__).parent / "guest"))
from ways import CHUNK, Carrier


class Told:
    """A container's standard input that keeps what it is given."""

    def __init__(self) -> None:
        self.told, self.held = asyncio.Event(), b""
        self.told.set()

    def write(self, data: bytes) -> None:
        self.held += data

    async def drain(self) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    """Pipes to the other side and from it: each its end to read from, then its end to write to."""
    made = (*os.pipe(), *os.pipe())
    yield made
    for fd in made:
        try:
            os.close(fd)
        except OSError:
            continue


def said(*parts: tuple[bytes, bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join(frames.pack(kind, data) for kind, data in parts))
    return reader


async def joined(pipes: tuple[int, int, int, int], told: Told, source: asyncio.StreamReader, most_bytes: int = 1 << 20):
    wire = Wire(Wires(pipes[2], pipes[1]), most_bytes)
    return wire, await wire.join(told, source)  # type: ignore[arg-type]  # what it uses of them


async def test_what_the_child_says_goes_to_the_other_side_and_all_else_to_the_host(pipes):
    source = said((frames.WIRE, b"one"), (frames.REPORT, b"r"), (frames.WIRE, b"two"), (frames.WIRE, b""))
    wire, stdout = await joined(pipes, Told(), source)
    os.close(pipes[1])
    assert await stdout.read(1 << 16) == frames.pack(frames.REPORT, b"r")
    assert await asyncio.to_thread(os.read, pipes[0], 99) == b"onetwo"
    assert await asyncio.to_thread(os.read, pipes[0], 99) == b""
    await wire.close()


async def test_what_comes_for_the_child_waits_for_the_order_and_ends_with_its_sender(pipes):
    told = Told()
    told.told.clear()
    wire, _ = await joined(pipes, told, said())
    os.write(pipes[3], b"early")
    os.close(pipes[3])
    await asyncio.sleep(0.05)
    assert told.held == b""
    told.told.set()
    os.close(pipes[2])
    assert wire.pump is not None
    await wire.pump
    assert told.held == b"\0\0\0\5early" + bytes(4)
    await wire.close()


async def test_over_the_bound_the_wire_ends_and_says_why(pipes):
    source = said((frames.WIRE, b"x" * 60), (frames.WIRE, b"y" * 60), (frames.REPORT, b"r"))
    wire, stdout = await joined(pipes, Told(), source, most_bytes=100)
    os.close(pipes[1])
    assert wire.cut == ""
    assert await stdout.read(1 << 16) == frames.pack(frames.REPORT, b"r")
    assert "more than" in wire.cut
    assert await asyncio.to_thread(os.read, pipes[0], 999) == b"x" * 60
    assert await asyncio.to_thread(os.read, pipes[0], 999) == b""
    await wire.close()


async def test_a_side_that_is_not_read_waits_once_a_whole_message_waits_for_it(pipes):
    source = asyncio.StreamReader()
    wire, stdout = await joined(pipes, Told(), source, most_bytes=1 << 30)
    reading = asyncio.create_task(stdout.read(1 << 20))
    for _ in range((MOST_WAITING_BYTES >> 20) - 1):
        source.feed_data(frames.pack(frames.WIRE, bytes(1 << 20)))
    source.feed_data(frames.pack(frames.REPORT, b"r"))
    assert await reading == frames.pack(frames.REPORT, b"r")
    for _ in range(3):
        source.feed_data(frames.pack(frames.WIRE, bytes(1 << 20)))
    source.feed_data(frames.pack(frames.REPORT, b"s"))
    held_up = asyncio.create_task(stdout.read(1 << 20))
    assert not (await asyncio.wait({held_up}, timeout=0.2))[0]
    os.close(pipes[0])  # nobody is left to read it: no reason to wait
    assert await held_up == frames.pack(frames.REPORT, b"s")
    await wire.close()


async def test_what_is_no_frame_is_passed_on_as_none(pipes):
    source = asyncio.StreamReader()
    source.feed_data(frames.pack(frames.REPORT, b"r") + b"Z" + bytes(9))
    source.feed_eof()
    wire, stdout = await joined(pipes, Told(), source)
    seen = await stdout.read(1 << 16)
    assert seen == frames.pack(frames.REPORT, b"r") + BROKEN
    with pytest.raises(frames.FrameError):
        list(frames.FrameReader().feed(seen))
    await wire.close()


async def test_a_wire_that_was_never_joined_lets_go_of_its_pipes(pipes):
    wire = Wire(Wires(pipes[2], pipes[1]))
    os.close(pipes[1])
    await wire.close()
    assert os.read(pipes[0], 1) == b""


def test_the_guests_end_reads_no_more_than_the_child_takes_and_closes_in_the_end():
    host, to_child, from_child = os.pipe(), os.pipe(), os.pipe()
    sent: list[tuple[bytes, bytes]] = []
    carrier = Carrier(lambda kind, data: sent.append((kind, data)), to_child[1], from_child[0], host[0])
    data = bytes(range(256)) * 256
    taken = b""
    for _ in range(3):
        os.write(host[1], len(data[:60000]).to_bytes(4, "big") + data[:60000])
        carrier.take(host[0])
    assert carrier.wants() == ([from_child[0]], [to_child[1]])  # the pipe is full: no word of the host's is read
    while carrier.waiting:
        taken += os.read(to_child[0], CHUNK)
        carrier.flush()
    os.write(host[1], bytes(4))
    carrier.take(host[0])
    while more := os.read(to_child[0], CHUNK):
        taken += more
    assert taken == data[:60000] * 3
    assert carrier.wants() == ([from_child[0]], [])
    os.write(from_child[1], b"last")
    os.close(from_child[1])
    carrier.drain()
    assert sent == [(b"S", b"last"), (b"S", b"")]
    assert carrier.wants() == ([], [])
    for fd in (*host, to_child[0], from_child[0]):
        os.close(fd)


def test_a_child_that_reads_no_more_gets_nothing_more():
    host, to_child, from_child = os.pipe(), os.pipe(), os.pipe()
    carrier = Carrier(lambda kind, data: None, to_child[1], from_child[0], host[0])
    os.close(to_child[0])
    os.write(host[1], b"\0\0\0\2ab")
    carrier.take(host[0])
    assert carrier.wants() == ([from_child[0], host[0]], [])
    os.close(host[1])
    carrier.take(host[0])
    assert carrier.wants() == ([from_child[0]], [])
    for fd in (host[0], *from_child):
        os.close(fd)
