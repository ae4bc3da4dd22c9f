from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from evoguard_sandbox.rooms.engine_link import TAIL_BYTES, Streams

CHUNKS = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20)


def mixed(chunks: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for kind, data in chunks)


async def read_all(sent: bytes, size: int) -> tuple[bytes, bytes]:
    source = asyncio.StreamReader()
    source.feed_data(sent)
    source.feed_eof()
    streams, out = Streams(source), b""
    while data := await streams.read(size):
        assert len(data) <= size
        out += data
    return out, bytes(streams.tail)


@given(CHUNKS, st.integers(1, 50))
def test_standard_output_comes_out_whole_and_without_the_other(chunks: list[tuple[int, bytes]], size: int):
    out, tail = asyncio.run(read_all(mixed(chunks), size))
    assert out == b"".join(data for kind, data in chunks if kind == 1)
    assert tail == b"".join(data for kind, data in chunks if kind == 2)


@given(CHUNKS, st.integers(0, 400))
def test_a_stream_that_breaks_off_ends_and_adds_nothing(chunks: list[tuple[int, bytes]], cut: int):
    out, _ = asyncio.run(read_all(mixed(chunks)[:cut], 16))
    assert b"".join(data for kind, data in chunks if kind == 1).startswith(out)


async def test_of_a_flood_on_the_other_only_the_end_is_kept():
    out, tail = await read_all(mixed([(2, b"a" * TAIL_BYTES), (2, b"end"), (1, b"out")]), 100)
    assert out == b"out"
    assert (len(tail), tail[-4:]) == (TAIL_BYTES, b"aend")


async def test_nothing_is_taken_from_the_engine_before_it_is_asked_for():
    source = asyncio.StreamReader()
    source.feed_data(mixed([(1, b"x" * 1000)]) * 10)
    streams = Streams(source)
    assert await streams.read(100) == b"x" * 100
    source.feed_eof()
    assert len(await source.read()) == 10 * 1008 - 8 - 100


async def test_an_engine_that_hung_up_is_seen_before_anything_is_asked_of_it():
    source = asyncio.StreamReader()
    streams = Streams(source)
    source.feed_data(mixed([(1, b"out")]))
    source.feed_eof()
    assert not streams.at_eof()
    assert await streams.read(2) == b"ou"
    assert not streams.at_eof()
    assert await streams.read(2) == b"t"
    assert streams.at_eof()
