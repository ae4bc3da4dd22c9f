"""What every back-end promises of a way out: a list of hosts, one proxy of this host, a log, and nothing beside it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from evoguard_sandbox import Job, JobReport, Limits, Room, execute
from evoguard_sandbox.rooms import engine_out, runsc
from evoguard_sandbox.rooms.egress import Bounds, Proxy

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


@dataclass(frozen=True)
class Way:
    """How a back-end leads out: what lies in the guest's /run, whether a connect past the proxy is recorded."""

    left_behind: Callable[[Room], list[str]]
    lies_there: list[str]
    recorded: bool


async def look_up(host: str, port: int) -> list[str]:
    return NAMES[host]


def use(monkeypatch: pytest.MonkeyPatch, **words: object) -> None:
    """Have every back-end's proxy look names up here."""
    for module in (runsc, engine_out):
        monkeypatch.setattr(module, "Proxy", functools.partial(Proxy, look_up=look_up, **words))


@pytest.fixture
def host_is_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, bounds=Bounds(loopback=True, idle_s=5, head_s=3))


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


class EgressSuite:
    """Run by a class of each back-end, which has the fixtures `kind` (a Way) and `room`."""

    @pytest.mark.usefixtures("host_is_the_internet")
    async def test_only_what_is_on_the_list_is_reached_and_every_request_is_logged(
        self, room: Room, kind: Way, port: int, tmp_path: Path
    ):
        seen = await tried(room, port, tmp_path)
        assert (seen.outcome, seen.exit_status) == ("finished", 0), seen.stderr
        told = json.loads(seen.stdout)
        assert told["allowed"] == "found /x"
        assert told["tunnel"] == "HTTP/1.1 200 connected"
        for name in ("denied", "metadata", "tls elsewhere"):
            assert "403" in told[name], (name, told[name])
        assert told["another port"].startswith("HTTP/1.1 403 ")
        assert told["smuggled"].startswith("HTTP/1.1 400 ")
        shut = ("host loopback", "raw elsewhere", "name lookup", "second socket", "abstract socket", "docker")
        for name in (*shut, "a socket of its own there", "kill the relay"):
            assert "rror" in told[name] or "timed out" in told[name], (name, told[name])
        assert told["what lies there"] == kind.lies_there
        straight = told["straight to the socket"]
        assert straight.startswith("HTTP/1.1 403 ") if kind.lies_there else "FileNotFoundError" in straight
        assert told["uids"] == [0, 65533, 65534]
        assert told["flood"] == "held"
        assert told["after all"] == "found /y"
        reached = [(e.method, e.host, e.port) for e in seen.egress if e.allowed]
        assert reached == [
            ("GET", "allowed.test", port),
            ("CONNECT", "allowed.test", port),
            ("GET", "allowed.test", port),
        ]
        assert all(e.sandbox.startswith(f"eg-{room.installation}-") for e in seen.egress)
        named = {f.term for f in seen.findings if f.code == "sandbox.network_attempt"}
        assert named >= {f"denied.test:{port}", "evil.test:443", "169.254.169.254:80", "allowed.test:22"}
        assert ("192.0.2.1:443" in named) is kind.recorded  # what goes past the proxy is seen in gVisor's trace alone
        assert kind.left_behind(room) == []

    async def test_an_allowed_name_that_leads_to_this_host_is_refused_without_the_tests_own_leave(
        self, room: Room, port: int, monkeypatch: pytest.MonkeyPatch
    ):
        use(monkeypatch)
        code = f"import urllib.request as u; u.urlopen('http://inside.test:{port}/')"
        job = Job(("python", "-c", code), egress=(("inside.test", port),))
        seen = await execute(job, limits=LIMITS, room=room)
        assert b"403" in seen.stderr
        assert [(e.allowed, "127.0.0.1, no public address" in e.why) for e in seen.egress] == [(False, True)]
        assert [f.term for f in seen.findings] == [f"inside.test:{port}"]

    async def test_a_server_that_never_ends_holds_the_proxy_no_longer_than_the_sandbox(
        self, room: Room, kind: Way, host_is_the_internet: None
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
        assert kind.left_behind(room) == []
