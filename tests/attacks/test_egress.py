"""A command with a way out reaches what is on its list, by the proxy, and nothing else; without one there is none."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evoguard_sandbox import Job, JobReport, Limits, Room, SandboxError, execute
from evoguard_sandbox.rooms import runsc, spec
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.egress import Bounds, Proxy

pytestmark = pytest.mark.needs_gvisor
LIMITS = Limits(wall_s=60)
NAMES = {"allowed.test": ["127.0.0.1"], "inside.test": ["127.0.0.1"]}
GUEST = """
import json, os, socket, sys, urllib.request
port, planted, abstract = json.loads(sys.argv[1])
def attempt(do):
    try: return str(do())
    except BaseException as err: return f"{type(err).__name__}: {err}"[:90]
def get(url): return urllib.request.urlopen(url, timeout=10).read().decode()
def joined(where, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(3); s.connect(where); return "connected"
def through(data, where=("127.0.0.1", 3128), family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(10); s.connect(where); s.sendall(data)
        return s.recv(200).decode("utf-8", "replace").splitlines()[0]
def flood():
    held = []
    for _ in range(40):
        s = socket.socket(); s.settimeout(10); s.connect(("127.0.0.1", 3128)); held.append(s)
    return "held"
def bound():
    with socket.socket(socket.AF_UNIX) as s: return s.bind("/run/mine")
def owners():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try: found[pid] = os.stat("/proc/" + pid).st_uid
        except OSError: pass
    return sorted(set(found.values()))
def end(uid):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if os.stat("/proc/" + pid).st_uid == uid: os.kill(int(pid), 9)
print(json.dumps({
    "allowed": attempt(lambda: get(f"http://allowed.test:{port}/x")),
    "tunnel": attempt(lambda: through(f"CONNECT allowed.test:{port} HTTP/1.1\\r\\n\\r\\n".encode())),
    "straight to the socket": attempt(lambda: through(
        f"CONNECT evil.test:{port} HTTP/1.1\\r\\n\\r\\n".encode(), "/run/s", socket.AF_UNIX)),
    "denied": attempt(lambda: get(f"http://denied.test:{port}/")),
    "tls elsewhere": attempt(lambda: get("https://evil.test/")),
    "metadata": attempt(lambda: get("http://169.254.169.254/latest/meta-data/")),
    "another port": attempt(lambda: through(b"CONNECT allowed.test:22 HTTP/1.1\\r\\n\\r\\n")),
    "smuggled": attempt(lambda: through(
        f"GET http://allowed.test:{port}/ HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n".encode())),
    "host loopback": attempt(lambda: joined(("127.0.0.1", port))),
    "raw elsewhere": attempt(lambda: joined(("192.0.2.1", 443))),
    "name lookup": attempt(lambda: socket.getaddrinfo("allowed.test", 80)),
    "second socket": attempt(lambda: joined(planted, socket.AF_UNIX)),
    "abstract socket": attempt(lambda: joined("\\0" + abstract, socket.AF_UNIX)),
    "docker": attempt(lambda: joined("/var/run/docker.sock", socket.AF_UNIX)),
    "a socket of its own there": attempt(bound),
    "kill the relay": attempt(lambda: end(65533)),
    "flood": attempt(flood),
    "what lies there": sorted(os.listdir("/run")),
    "uids": owners(),
    "after all": attempt(lambda: get(f"http://allowed.test:{port}/y")),
}))
"""


async def look_up(host: str, port: int) -> list[str]:
    return NAMES[host]


@pytest.fixture
def host_is_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = functools.partial(Proxy, bounds=Bounds(loopback=True, idle_s=5, head_s=3), look_up=look_up)
    monkeypatch.setattr(runsc, "Proxy", opened)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        path = line.split(b" ")[1] if line.count(b" ") == 2 else b"?"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nfound %s" % (6 + len(path), path))
        writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def left_behind(room: Room) -> list[str]:
    return [p.name for f in (room.home / "b", room.sockets()) for p in f.iterdir()]


async def tried(room: Room, port: int, folder: Path) -> JobReport:
    planted, abstract = str(folder / "s"), f"eg-test-{folder.name}"
    shown = await asyncio.start_unix_server(lambda *_: None, planted)
    hidden = await asyncio.start_unix_server(lambda *_: None, "\0" + abstract)
    (folder / "s").chmod(0o777)
    try:
        argv = ("python", "-I", "-c", GUEST, json.dumps([port, planted, abstract]))
        return await execute(Job(argv, egress=(("allowed.test", port),)), limits=LIMITS, room=room)
    finally:
        shown.close()
        hidden.close()


@pytest.mark.usefixtures("host_is_the_internet")
async def test_only_what_is_on_the_list_is_reached_and_every_request_is_logged(room: Room, port: int, tmp_path: Path):
    seen = await tried(room, port, tmp_path)
    assert (seen.outcome, seen.exit_status) == ("finished", 0), seen.stderr
    told = json.loads(seen.stdout)
    assert told["allowed"] == "found /x"
    assert told["tunnel"] == "HTTP/1.1 200 connected"
    for name in ("denied", "metadata", "tls elsewhere"):
        assert "403" in told[name], (name, told[name])
    assert told["another port"].startswith("HTTP/1.1 403 ")
    assert told["straight to the socket"].startswith("HTTP/1.1 403 ")
    assert told["smuggled"].startswith("HTTP/1.1 400 ")
    shut = ("host loopback", "raw elsewhere", "name lookup", "second socket", "abstract socket", "docker")
    for name in (*shut, "a socket of its own there", "kill the relay"):
        assert "rror" in told[name] or "timed out" in told[name], (name, told[name])
    assert told["what lies there"] == ["s"]
    assert told["uids"] == [0, 65533, 65534]
    assert told["flood"] == "held"
    assert told["after all"] == "found /y"
    reached = [(e.method, e.host, e.port) for e in seen.egress if e.allowed]
    assert reached == [("GET", "allowed.test", port), ("CONNECT", "allowed.test", port), ("GET", "allowed.test", port)]
    assert all(e.sandbox.startswith(f"eg-{room.installation}-") for e in seen.egress)
    named = {f.term for f in seen.findings if f.code == "sandbox.network_attempt"}
    assert named >= {f"denied.test:{port}", "evil.test:443", "169.254.169.254:80", "allowed.test:22", "192.0.2.1:443"}
    assert left_behind(room) == []


async def test_an_allowed_name_that_leads_to_this_host_is_refused_without_the_tests_own_leave(
    room: Room, port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runsc, "Proxy", functools.partial(Proxy, look_up=look_up))
    code = f"import urllib.request as u; u.urlopen('http://inside.test:{port}/')"
    job = Job(("python", "-c", code), egress=(("inside.test", port),))
    seen = await execute(job, limits=LIMITS, room=room)
    assert b"403" in seen.stderr
    assert [(e.allowed, "127.0.0.1, no public address" in e.why) for e in seen.egress] == [(False, True)]
    assert [f.term for f in seen.findings] == [f"inside.test:{port}"]


async def test_a_server_that_never_ends_holds_the_proxy_no_longer_than_the_sandbox(
    room: Room, host_is_the_internet: None
):
    async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(met, "127.0.0.1", 0)
    where = server.sockets[0].getsockname()[1]
    code = f"import socket\ns = socket.create_connection(('127.0.0.1', 3128)); s.sendall(b'CONNECT allowed.test:{where} HTTP/1.1\\r\\n\\r\\n'); print(s.recv(99)[:12])"  # noqa: E501
    seen = await execute(Job(("python", "-c", code), egress=(("allowed.test", where),)), limits=LIMITS, room=room)
    server.close()
    for writer in held:
        writer.close()
    assert seen.stdout == b"b'HTTP/1.1 200'\n"
    assert [(e.host, e.allowed) for e in seen.egress] == [("allowed.test", True)]
    assert left_behind(room) == []


async def test_without_a_list_nothing_of_a_way_out_exists(room: Room):
    code = (
        "import os, socket\n"
        "print([n for n in os.environ if 'proxy' in n.lower()], os.listdir('/run'), end=' ')\n"
        "try: socket.create_connection(('127.0.0.1', 3128), 2)\n"
        "except OSError as e: print(e.errno)\n"
        "print({os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()} == {0, 65534})"
    )
    seen = await execute(Job(("python", "-c", code)), limits=LIMITS, room=room)
    assert seen.stdout == b"[] [] 111\nTrue\n"
    assert seen.egress == ()
    for egress, opens in (((), False), ((("a", 1),), True)):
        running = await room.backend.launch(room.next_id(), Make("job", LIMITS, egress=egress), spec.setup(
            room.python, Make("job", LIMITS, egress=egress)))  # fmt: skip
        given = room.command(*running.flags)  # type: ignore[attr-defined]  # this back-end's own
        config = json.loads((room.home / "b" / running.name / "config.json").read_text())
        await running.remove(clean=False)
        assert ("--host-uds=open" in given, given[given.index("--host-uds=none") :] != []) == (opens, True)
        assert any(mount["destination"] == "/run" for mount in config["mounts"]) is opens


async def test_a_layer_with_a_socket_in_it_would_be_a_second_way_out_and_is_refused(room: Room, tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
        with pytest.raises(SandboxError) as caught:
            job = Job(("true",), layer_dirs=(tmp_path,), egress=(("allowed.test", 80),))
            await execute(job, limits=LIMITS, room=room)
    assert caught.value.code == "sandbox.egress_socket"
    assert left_behind(room) == []
