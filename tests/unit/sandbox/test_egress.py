"""The way out's proxy, attacked from its own socket: what is on the list is reached, nothing else, however asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evoguard_sandbox.rooms.bites import egress_findings
from evoguard_sandbox.rooms.egress import Bounds, Proxy, public, read_place
from evoguard_sandbox.types import Egress

NAME = "allowed.test"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
QUICK = Bounds(loopback=True, head_s=0.3, connect_s=2, idle_s=5, whole_s=10)


@dataclass
class Far:
    """A server of the host that plays the internet; `heard` is every request's bytes."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    addresses: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    looked_up: list[str] = field(default_factory=list)

    async def look_up(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        return self.addresses


@asynccontextmanager
async def a_far() -> AsyncIterator[Far]:
    far = Far()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far.heard.append(await reader.read(1 << 16))
        writer.write(HELLO)
        writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    far.port = server.sockets[0].getsockname()[1]
    try:
        yield far
    finally:
        server.close()


@asynccontextmanager
async def a_proxy(
    folder: Path, far: Far, *, bounds: Bounds = QUICK, more: tuple[tuple[str, int], ...] = ()
) -> AsyncIterator[Proxy]:
    proxy = Proxy("eg-1", ((NAME, far.port), *more), bounds, far.look_up)
    await proxy.listen(folder / "way-out", "s")
    try:
        yield proxy
    finally:
        await proxy.close()


async def ask(proxy: Proxy, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(proxy.folder / "s"))
    writer.write(data)
    answer = b""
    try:
        async with asyncio.timeout(15):
            answer = await reader.read()
    except ConnectionError:
        pass
    writer.close()
    return answer


async def told(proxy: Proxy, count: int = 1) -> tuple[Egress, ...]:
    async with asyncio.timeout(15):
        while len(proxy.log()) < count:
            await asyncio.sleep(0.01)
    return proxy.log()


async def test_an_allowed_get_is_written_anew_and_logged_with_its_bytes(tmp_path, caplog):
    async with a_far() as far, a_proxy(tmp_path, far) as proxy:
        head = f"GET http://ALLOWED.test:{far.port}/a?b=c HTTP/1.1\r\nHost: other\r\nX-Own: 1\r\nUser-Agent: me\r\n\r\n"
        with caplog.at_level(logging.INFO, "evoguard_sandbox.rooms.egress"):
            assert await ask(proxy, head.encode()) == HELLO
            (seen,) = await told(proxy)
    assert (seen.sandbox, seen.method, seen.host, seen.port) == ("eg-1", "GET", NAME, far.port)
    assert (seen.allowed, seen.why, seen.received_bytes) == (True, "", len(HELLO))
    assert seen.sent_bytes == len(far.heard[0])
    sent = far.heard[0].decode().split("\r\n")
    assert sent[0] == "GET /a?b=c HTTP/1.1"
    assert sent[1:] == [f"Host: {NAME}:{far.port}", "Connection: close", "user-agent: me", "", ""]
    assert "eg-1 GET allowed.test" in caplog.text
    assert egress_findings((seen,)) == []


async def test_a_tunnel_carries_bytes_both_ways(tmp_path):
    async with a_far() as far, a_proxy(tmp_path, far) as proxy:
        reader, writer = await asyncio.open_unix_connection(str(proxy.folder / "s"))
        writer.write(f"CONNECT {NAME}:{far.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"ping")
        assert await reader.read() == HELLO
        writer.close()
        (seen,) = await told(proxy)
    assert (seen.method, seen.allowed, seen.sent_bytes, seen.received_bytes) == ("CONNECT", True, 4, len(HELLO))
    assert far.heard == [b"ping"]


def asked(target: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode()


ELSEWHERE: dict[str, Callable[[int], bytes]] = {
    "another name": lambda p: asked(f"http://denied.test:{p}/"),
    "a name below": lambda p: asked(f"http://x.{NAME}:{p}/"),
    "a longer name": lambda p: asked(f"http://{NAME}.evil:{p}/"),
    "another port": lambda p: asked(f"http://{NAME}:{p + 1}/"),
    "no port": lambda p: asked(f"http://{NAME}/"),
    "metadata": lambda p: asked("http://169.254.169.254/latest/meta-data/"),
    "metadata by tunnel": lambda p: asked("169.254.169.254:80", method="CONNECT"),
    "the host itself": lambda p: asked(f"http://127.0.0.1:{p}/"),
    "a tunnel to another port": lambda p: asked(f"{NAME}:22", method="CONNECT"),
    "a tunnel to another name": lambda p: asked(f"evil.test:{p}", method="CONNECT"),
    "a name before an @": lambda p: asked(f"http://{NAME}:{p}@evil.test/"),
    "a name behind an @": lambda p: asked(f"http://evil.test@{NAME}:{p}/"),
    "a tunnel with an @": lambda p: asked(f"evil@{NAME}:{p}", method="CONNECT"),
    "a backslash": lambda p: asked(f"http://evil.test\\@{NAME}:{p}/"),
    "a fragment": lambda p: asked(f"http://evil.test#{NAME}:{p}/"),
    "a trailing dot": lambda p: asked(f"http://{NAME}.:{p}/"),
    "an encoded name": lambda p: asked(f"http://allowed%2etest:{p}/"),
    "a port that is none": lambda p: asked(f"{NAME}:0{p:07d}", method="CONNECT"),
    "a port in other digits": lambda p: asked(f"{NAME}:+{p}", method="CONNECT"),
    "an address of IPv6": lambda p: asked(f"http://[::1]:{p}/"),
    "another scheme": lambda p: asked(f"ftp://{NAME}:{p}/"),
    "no scheme": lambda p: asked("/", f"Host: {NAME}:{p}"),
}
MALFORMED: dict[str, Callable[[int], bytes]] = {
    "two hosts": lambda p: asked(f"http://{NAME}:{p}/", "Host: a", "Host: b"),
    "two lengths": lambda p: asked(f"http://{NAME}:{p}/", "Content-Length: 0", "Content-Length: 9"),
    "a body": lambda p: asked(f"http://{NAME}:{p}/", "Content-Length: 5") + b"hello",
    "chunks": lambda p: asked(f"http://{NAME}:{p}/", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunks behind a tab": lambda p: asked(f"http://{NAME}:{p}/", "Transfer-Encoding:\tchunked"),
    "a name with a space": lambda p: asked(f"http://{NAME}:{p}/", "Transfer-Encoding : chunked"),
    "a folded line": lambda p: asked(f"http://{NAME}:{p}/", "A: b", " c"),
    "a bare line feed": lambda p: asked(f"http://{NAME}:{p}/", "A: b\nTransfer-Encoding: chunked"),
    "a bare return": lambda p: asked(f"http://{NAME}:{p}/", "A: b\rc"),
    "a NUL": lambda p: asked(f"http://{NAME}:{p}/", "A: \0"),
    "a line feed in the target": lambda p: asked(f"http://{NAME}:{p}/\nHost: evil"),
    "a protocol to change to": lambda p: asked(f"http://{NAME}:{p}/", "Upgrade: h2c"),
    "a post": lambda p: asked(f"http://{NAME}:{p}/", method="POST"),
    "HTTP of another time": lambda p: f"GET http://{NAME}:{p}/ HTTP/2.0\r\n\r\n".encode(),
    "no HTTP": lambda p: b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    "a head without end": lambda p: b"GET " + b"a" * (64 << 10),
}


@pytest.mark.parametrize("shape", [*ELSEWHERE, *MALFORMED])
async def test_what_is_not_exactly_on_the_list_reaches_nobody_and_is_a_finding(tmp_path, shape):
    async with a_far() as far, a_proxy(tmp_path, far) as proxy:
        answer = await ask(proxy, {**ELSEWHERE, **MALFORMED}[shape](far.port))
        (seen,) = await told(proxy)
        assert (far.heard, far.looked_up) == ([], [])
    assert not answer.startswith(b"HTTP/1.1 2")
    assert (seen.allowed, bool(seen.why), seen.received_bytes) == (False, True, 0)
    assert [f.code for f in egress_findings((seen,))] == ["sandbox.network_attempt"]


async def test_a_second_request_behind_the_first_is_never_sent(tmp_path):
    async with a_far() as far, a_proxy(tmp_path, far) as proxy:
        one = asked(f"http://{NAME}:{far.port}/one")
        assert await ask(proxy, one + asked(f"http://{NAME}:{far.port}/two") + b"GET /three HTTP/1.1\r\n\r\n") == HELLO
        (seen,) = await told(proxy)
    assert len(far.heard) == 1
    assert b"two" not in far.heard[0]
    assert b"three" not in far.heard[0]
    assert seen.allowed


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.1.2.3", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%lo", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2001:0:7f00:1::", "no address",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_open_internet_is_told(address):
    assert not public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:1.1.1.1"])
def test_an_address_of_the_open_internet_is_told(address):
    assert public(address)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:127.0.0.1"], []])
async def test_an_allowed_name_that_leads_inside_reaches_nobody(tmp_path, addresses):
    async with a_far() as far, a_proxy(tmp_path, far, bounds=Bounds()) as proxy:
        far.addresses = addresses
        assert (await ask(proxy, asked(f"http://{NAME}:{far.port}/"))).startswith(b"HTTP/1.1 403 ")
        (seen,) = await told(proxy)
        assert far.heard == []
    assert not seen.allowed


async def test_a_name_that_changes_its_mind_is_asked_once_and_connected_where_it_was_checked(tmp_path):
    async with a_far() as far, a_proxy(tmp_path, far) as proxy:
        answers = iter([["127.0.0.1"]])

        async def once(host: str, port: int) -> list[str]:
            return next(answers)  # a second look-up would be an error

        proxy.look_up = once
        assert await ask(proxy, asked(f"http://{NAME}:{far.port}/")) == HELLO


async def test_who_never_ends_a_request_is_cut_off(tmp_path):
    async with a_far() as far, a_proxy(tmp_path, far) as proxy:
        reader, writer = await asyncio.open_unix_connection(str(proxy.folder / "s"))
        writer.write(b"GET http://")
        answer = await reader.read()
        writer.close()
        (seen,) = await told(proxy)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "no whole request" in seen.why


async def test_a_flood_of_connections_is_held_to_its_bounds_and_ends_with_the_proxy(tmp_path):
    bounds = Bounds(loopback=True, at_once=4, connections=20, head_s=10, records=15)
    async with a_far() as far:
        async with a_proxy(tmp_path, far, bounds=bounds) as proxy:
            pairs = [await asyncio.open_unix_connection(str(proxy.folder / "s")) for _ in range(30)]
            log = await told(proxy, 16)
            assert proxy.open <= 30
        for _, writer in pairs:
            writer.close()
    assert not any(seen.allowed for seen in log)
    assert {seen.why for seen in log} >= {"more than 4 connections at once"}
    assert len(proxy.records) == 15
    assert "more requests than the record holds" in proxy.log()[-1].why


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with_end = asyncio.create_task(drain(reader))
    try:
        for _ in range(50):
            writer.write(bytes(1 << 16))
            await writer.drain()
    except ConnectionError:
        pass
    with_end.cancel()
    writer.close()


async def drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


@pytest.mark.parametrize("bounds", [{"received_bytes": 100_000}, {"sent_bytes": 100_000}], ids=["in", "out"])
async def test_bytes_are_bounded_each_way(tmp_path, bounds):
    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    far = Far(server.sockets[0].getsockname()[1])
    async with a_proxy(tmp_path, far, bounds=Bounds(loopback=True, **bounds)) as proxy:
        reader, writer = await asyncio.open_unix_connection(str(proxy.folder / "s"))
        writer.write(f"CONNECT {NAME}:{far.port} HTTP/1.1\r\n\r\n".encode())
        if "sent_bytes" in bounds:
            writer.write(bytes(1 << 20))
        got = 0
        try:
            while data := await reader.read(1 << 16):
                got += len(data)
        except ConnectionError:
            pass
        writer.close()
        (seen,) = await told(proxy)
    server.close()
    assert "more than 100000 bytes" in seen.why
    assert seen.allowed
    assert [f.code for f in egress_findings((seen,))] == ["sandbox.network_attempt"]
    if "received_bytes" in bounds:
        assert got <= 100_000 + 100


@pytest.mark.parametrize(
    "text", ["", "a", "a:", ":1", "a:0", "a:65536", "a:1:2", "u@a:1", "a b:1", "http://a:1", "[::1]"]
)
def test_what_is_no_host_and_port_is_refused_at_the_command_line(text):
    with pytest.raises(ValueError, match="host and port"):
        read_place(text)


def test_a_host_and_port_is_read():
    assert read_place("PyPI.org:443") == ("pypi.org", 443)
