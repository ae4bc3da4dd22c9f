"""The root filesystem in real gVisor: nothing else of the host is there, and one that was touched is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoguard_sandbox import Job, Limits, Room, SandboxError, execute
from evoguard_sandbox.rooms import rootfs
from evoguard_sandbox.rooms.rootfs import shared_folder

pytestmark = pytest.mark.needs_gvisor
REPO = Path(__file__).parents[2]


def tools() -> tuple[Path, Path]:
    found = [
        subprocess.run([REPO / "deploy/tools" / script], capture_output=True, text=True, check=True).stdout.strip()
        for script in ("get-runsc.sh", "runner-layer.sh")
    ]
    return Path(found[0]), Path(found[1])


async def python(room: Room, text: str, *words: str) -> str:
    seen = await execute(Job(("python", "-c", text, *words)), limits=Limits(), room=room)
    assert (seen.outcome, seen.exit_status) == ("finished", 0), seen
    return seen.stdout.decode()


LISTS = """
import json, os
found = {top: sorted(os.listdir(top)) for top in ("/", "/usr/bin", "/usr/lib", "/etc", "/opt", "/opt/guest")}
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
print(json.dumps([found, mounts]))
"""


async def test_the_guest_sees_its_image_and_no_folder_of_the_host(room):
    found, mounts = json.loads(await python(room, LISTS))
    for top, names in found.items():
        assert names == sorted(os.listdir(room.rootfs / top[1:])), top
    assert {mount for mount in mounts if not mount.startswith(("/proc", "/dev", "/sys"))} == {"/", "/tmp", "/room"}
    assert room.image == f"sha256:{room.rootfs.name}"


WORKS = """
import json, locale, os, subprocess, sys, zoneinfo, json.decoder, asyncio, sqlite3, ssl, ctypes, curses, bz2, lzma
locale.setlocale(locale.LC_ALL, "C.UTF-8")
os.chdir("/tmp")
git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
for words in ("init -q r", "-C r commit -q --allow-empty -m x", "-C r log --oneline"):
    subprocess.run([*git, *words.split()], check=True, capture_output=True)
subprocess.run(["bash", "-c", "set -o pipefail; printf 'b\\na\\n' | sort | awk '{print $1}' | grep -q a"], check=True)
subprocess.run(["perl", "-Mstrict", "-e", "print 1"], check=True, capture_output=True)
print(json.dumps([str(zoneinfo.ZoneInfo("Europe/Vienna")), locale.getlocale()[1]]))
"""


async def test_what_real_suites_ask_for_is_there(room):
    assert json.loads(await python(room, WORKS)) == ["Europe/Vienna", "UTF-8"]


async def test_pythons_own_library_comes_compiled_and_is_believed(room):
    seen = await execute(Job(("python", "-v", "-c", "import asyncio, email.parser")), limits=Limits(), room=room)
    told = seen.stderr.decode()
    assert told.count("matches /opt/python/lib") + told.count("matches /usr/lib") > 50
    assert "could not create" not in told
    assert "wrote " not in told


async def test_rooms_share_one_image_and_tell_which(room, tmp_path):
    other = Room.open(tmp_path, room.runsc, room.layer)
    assert (other.image, other.rootfs) == (room.image, room.rootfs)
    assert room.rootfs.parent == shared_folder().resolve()
    other.close()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """Open a room with an image that no other room uses."""
    monkeypatch.setattr(rootfs, "HASHED", {})
    made = Room.open(tmp_path / "state", *tools(), images=tmp_path / "images")
    yield made
    made.close()


EVIL = "import os\nos._exit(0)\n"


@pytest.mark.parametrize("path", ["opt/guest/supervisor.py", "opt/layer/pytest/__init__.py", "sitecustomize"])
def test_a_room_whose_image_was_touched_does_not_open_and_the_open_one_tells(own, tmp_path, path, monkeypatch):
    library = next(own.rootfs.glob("opt/python/lib/python3*"), own.rootfs / "usr/lib" / own.python.name)
    file = library / "sitecustomize.py" if path == "sitecustomize" else own.rootfs / path
    seen = file.stat() if file.exists() else None
    if file.is_symlink():  # Debian's leads into this machine's own /etc
        file.unlink()
    text = EVIL if seen is None else (EVIL + "#" * seen.st_size)[: seen.st_size]
    file.write_text(text)
    for touched in (file, file.parent):
        os.utime(touched, (0, 0))
    file.chmod(0o644)
    for known in (True, False):
        monkeypatch.setattr(rootfs, "HASHED", rootfs.HASHED if known else {})
        with pytest.raises(SandboxError) as caught:
            Room.open(tmp_path / "state", own.runsc, own.layer, images=tmp_path / "images")
        assert (caught.value.code, bool(caught.value.fix)) == ("sandbox.image_changed", True)
        with pytest.raises(SandboxError):
            own.verify()


def test_an_image_is_the_same_built_twice_from_this_host(own, room):
    assert (own.image, own.rootfs == room.rootfs) == (room.image, False)
    assert sum(p.lstat().st_size for p in own.rootfs.rglob("*") if p.is_file()) < 300 << 20


async def test_a_program_that_is_asked_for_is_there_and_else_it_is_not(room, tmp_path):
    wanted = next((p for p in map(Path, ("/usr/bin/sqlite3", "/usr/bin/openssl", "/usr/bin/gpg")) if p.is_file()), None)
    if wanted is None:
        pytest.skip("no program beside the small tools")
    assert await python(room, f"import os; print(os.path.exists({str(wanted)!r}))") == "False\n"
    more = Room.open(tmp_path / "state", room.runsc, room.layer, programs=(wanted,), images=tmp_path / "images")
    seen = await execute(Job((str(wanted), "--version")), limits=Limits(), room=more)
    assert seen.exit_status in (0, 1), seen
    assert b"shared librar" not in seen.stderr
    assert more.image != room.image
    more.close()
    shutil.rmtree(tmp_path / "images")


def mounts(room: Room) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(room.home) in line]


def test_what_newer_gvisor_mounts_for_itself_is_gone_when_the_last_room_of_a_home_closes(tmp_path):
    one, two = Room.open(tmp_path, *tools()), Room.open(tmp_path, *tools())
    network = one.home / "runsc" / "null-netns"
    network.parent.mkdir(exist_ok=True)
    network.touch()
    if os.geteuid() == 0:  # else gVisor cannot mount anything either
        subprocess.run(["mount", "--bind", "/proc/self/ns/net", network], check=True)
        assert len(mounts(one)) == 1
    one.close()
    assert len(mounts(two)) == (os.geteuid() == 0)
    two.close()
    assert mounts(two) == []
    assert network.exists() == (os.geteuid() != 0)
