"""The host's end of a container's way out, with a guest that says whatever it likes on the wires."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Iterator

import pytest

from evoguard_sandbox.rooms.egress import Bounds
from evoguard_sandbox.rooms.engine_out import CHUNK, FRAME, MOST_OPEN, WayOut

REFUSED = b"HTTP/1.1 403 refused by the sandbox\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
ASKED = b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n"


def frame(number: int, data: bytes = b"") -> bytes:
    return FRAME.pack(number, len(data)) + data


@pytest.fixture
async def way_out() -> AsyncIterator[WayOut]:
    before = len(os.listdir("/proc/self/fd"))
    made = WayOut("eg-1", (("allowed.test", 443),))
    await made.start()
    yield made
    await made.close()
    await made.wire.close()
    await asyncio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) == before


async def heard(way_out: WayOut, frames: int) -> list[tuple[int, bytes]]:
    """Return what comes to the guest, frame by frame."""

    def read(size: int) -> bytes:
        held = b""
        while len(held) < size:
            held += os.read(way_out.wire.fds[0], size - len(held))
        return held

    def all_of_it() -> Iterator[tuple[int, bytes]]:
        for _ in range(frames):
            number, size = FRAME.unpack(read(FRAME.size))
            yield number, read(size)

    async with asyncio.timeout(20):
        return await asyncio.to_thread(lambda: list(all_of_it()))


def say(way_out: WayOut, *frames: bytes) -> None:
    os.write(way_out.wire.fds[1], b"".join(frames))


async def test_what_is_not_on_the_list_is_refused_by_the_same_proxy_and_logged(way_out: WayOut):
    say(way_out, frame(1), frame(2), frame(2, ASKED), frame(1, ASKED[:9]), frame(1, ASKED[9:]))
    told = await heard(way_out, 4)
    assert {number: b"".join(data for n, data in told if n == number) for number in (1, 2)} == {1: REFUSED, 2: REFUSED}
    assert [(e.sandbox, e.host, e.port, e.allowed) for e in way_out.log()] == [("eg-1", "evil.test", 443, False)] * 2


async def test_a_number_that_was_there_or_falls_begins_nothing(way_out: WayOut):
    say(way_out, frame(7), frame(7, ASKED))
    assert await heard(way_out, 2) == [(7, REFUSED), (7, b"")]
    say(way_out, frame(7, ASKED), frame(3), frame(3, ASKED), frame(0, ASKED), frame(8), frame(8, ASKED))
    assert await heard(way_out, 2) == [(8, REFUSED), (8, b"")]
    assert len(way_out.log()) == 2


async def test_more_connections_than_are_carried_are_cut_at_once(way_out: WayOut):
    way_out.proxy.bounds = Bounds(at_once=2 * MOST_OPEN)
    say(way_out, *(frame(n) for n in range(1, MOST_OPEN + 2)))
    assert await heard(way_out, 1) == [(MOST_OPEN + 1, b"")]


@pytest.mark.parametrize(
    "said", [struct.pack(">II", 1, CHUNK + 1), b"\xff" * 8, frame(1)[:5]], ids=["too large", "no frame", "half a frame"]
)
async def test_what_is_no_frame_ends_the_way_out_and_nothing_else(way_out: WayOut, said: bytes):
    say(way_out, frame(1), said)
    os.close(way_out.wire.fds.pop())
    async with asyncio.timeout(20):
        while way_out._carrying is not None and not way_out._carrying.done():
            await asyncio.sleep(0.01)
    assert way_out.log() == ()


async def test_a_way_out_that_never_began_leaves_nothing():
    before = len(os.listdir("/proc/self/fd"))
    made = WayOut("eg-1", (("allowed.test", 443),))
    await made.close()
    await made.wire.close()
    assert len(os.listdir("/proc/self/fd")) == before
