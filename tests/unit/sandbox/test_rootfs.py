"""A root filesystem is one content under one name, the same wherever it was made, and what was touched is not used."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evoguard_sandbox.rooms import rootfs
from evoguard_sandbox.rooms.image import Part, walk, whole
from evoguard_sandbox.rooms.rootfs import Rootfs, clear, open_rootfs, verify
from evoguard_sandbox.rooms.spec import Bind
from evoguard_sandbox.types import SandboxError

NAMES = {"bin/tool": 0o755, "lib/a.py": 0o644, "lib/b/ü.txt": 0o644, "lib/empty": 0o600}


def a_host(place: Path, *, backwards: bool = False, when: int = 9) -> Path:
    """Make the same files in one order or the other, with other times and under another umask."""
    place.mkdir(parents=True)
    for name, mode in list(NAMES.items())[:: -1 if backwards else 1]:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(mode | (0o044 if backwards else 0o004))
    (place / "link").symlink_to("lib/a.py")
    for path in [*place.rglob("*")]:
        os.utime(path, (when, when), follow_symlinks=False)
    return place


def parts_of(host: Path) -> list[Part]:
    return whole([*walk(Bind(host, "/")), Part("tmp"), Part("etc/passwd", text="root\n")])


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "HASHED", {})


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Rootfs]:
    found = open_rootfs(parts_of(a_host(tmp_path / "host")), tmp_path / "images")
    yield found
    found.close()


BUILD = """
import os, sys, time
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from unit.sandbox.test_rootfs import a_host, parts_of
from evoguard_sandbox.rooms.rootfs import open_rootfs
place, umask = Path(sys.argv[1]), int(sys.argv[2], 8)
os.umask(umask)
host = a_host(place / "host", backwards=umask == 0o077, when=umask + 5)
print(open_rootfs(parts_of(host), place / "images").digest)
"""


def test_two_builds_at_other_times_and_places_under_another_umask_and_locale_have_one_digest(tmp_path: Path):
    told = []
    for name, umask, words in (
        ("one", "022", {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"}),
        ("two/ü", "077", {"LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2"}),
    ):
        (tmp_path / name).mkdir(parents=True)
        paths = [path for path in sys.path if path]
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", BUILD, tmp_path / name, umask, *paths],
            capture_output=True, text=True, check=True, env={**words, "PATH": "/usr/bin:/bin"}, cwd=tmp_path / name,
        )  # fmt: skip
        told.append(done.stdout.strip())
    assert told[0] == told[1]
    one, two = (next(p for p in (tmp_path / n / "images").iterdir() if len(p.name) == 64) for n in ("one", "two/ü"))
    assert [_facts(one, p) for p in sorted(one.rglob("*"))] == [_facts(two, p) for p in sorted(two.rglob("*"))]


def _facts(top: Path, path: Path) -> tuple[str, int, int, bytes]:
    seen = path.lstat()
    data = b"" if path.is_dir() else os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return str(path.relative_to(top)), seen.st_mode, seen.st_mtime_ns, data


def test_another_byte_is_another_digest(tmp_path: Path, opened: Rootfs):
    host = a_host(tmp_path / "other")
    (host / "bin/tool").write_text("other")
    other = open_rootfs(parts_of(host), tmp_path / "images")
    assert other.digest != opened.digest
    other.close()


def test_it_is_laid_out_once_and_everything_in_it_is_the_builders_alone_to_write(tmp_path: Path, opened: Rootfs):
    again = open_rootfs(parts_of(tmp_path / "host"), tmp_path / "images")
    assert (again.digest, again.path, again.path.stat().st_ino) == (
        opened.digest,
        opened.path,
        opened.path.stat().st_ino,
    )
    again.close()
    assert opened.path.name == opened.digest.removeprefix("sha256:")
    modes = {p.relative_to(opened.path).as_posix(): oct(p.stat().st_mode & 0o7777) for p in opened.path.rglob("*")}
    assert modes["tmp"] == "0o1777"
    assert {mode for name, mode in modes.items() if name != "tmp"} == {"0o755", "0o644"}
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700


def _kept_times(path: Path, data: bytes) -> None:
    seen = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def _swapped(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, (0, 0))
    other.rename(path)


TOUCHES: dict[str, Callable[[Path], object]] = {
    "content": lambda p: (p / "bin/tool").write_text("evil"),
    "content of the same size with its times set back": lambda p: _kept_times(p / "bin/tool", b"BIN/TOOL"),
    "another file in its place": lambda p: _swapped(p / "lib/a.py"),
    "added": lambda p: _kept_times_added(p / "lib"),
    "added where it is not looked at": lambda p: os.mkfifo(p / "pipe", 0o644),
    "removed": lambda p: (p / "lib/empty").unlink(),
    "link": lambda p: ((p / "lib/a.py").unlink(), (p / "lib/a.py").symlink_to("/etc/passwd")),
    "link elsewhere": lambda p: ((p / "link").unlink(), (p / "link").symlink_to("bin/tool")),
    "second name": lambda p: os.link(p / "bin/tool", p.parent / "outside"),
    "set-user-id": lambda p: (p / "bin/tool").chmod(0o4755),
    "not for the guest": lambda p: (p / "bin/tool").chmod(0o700),
    "open to all": lambda p: (p / "lib").chmod(0o777),
    "time": lambda p: os.utime(p / "lib/a.py", (1, 1)),
    "the whole folder": lambda p: p.chmod(0o777),
}  # fmt: skip


def _kept_times_added(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("evil")
    for path in (folder / "sitecustomize.py", folder):
        os.utime(path, (0, 0))


@pytest.mark.parametrize("how", TOUCHES)
@pytest.mark.parametrize("known", [True, False], ids=["hashed in this process", "found by another process"])
def test_one_that_was_touched_is_never_used_again(tmp_path, opened, monkeypatch, how, known):
    opened.verify()
    TOUCHES[how](opened.path)
    if not known:
        monkeypatch.setattr(rootfs, "HASHED", {})
    for use in (opened.verify, lambda: open_rootfs(parts_of(tmp_path / "host"), tmp_path / "images")):
        with pytest.raises(SandboxError) as caught:
            use()
        assert (caught.value.code, bool(caught.value.fix)) == ("sandbox.image_changed", True)


def test_one_that_is_gone_is_made_again_and_a_lying_note_leads_to_no_other(tmp_path: Path, opened: Rootfs):
    rootfs.remove(opened.path)
    again = open_rootfs(parts_of(tmp_path / "host"), tmp_path / "images")
    assert again.digest == opened.digest
    again.close()
    for note in (tmp_path / "images" / "keys").iterdir():
        note.write_text("sha256:" + "0" * 64)
    again = open_rootfs(parts_of(tmp_path / "host"), tmp_path / "images")
    assert again.digest == opened.digest
    again.close()


def test_a_digest_under_another_name_is_not_believed(tmp_path: Path, opened: Rootfs):
    moved = opened.path.with_name("f" * 64)
    opened.path.rename(moved)
    with pytest.raises(SandboxError):
        verify(moved, opened.digest)
    with pytest.raises(SandboxError):
        verify(moved, "sha256:" + "f" * 64)


@pytest.mark.parametrize("how", [lambda p: p.chmod(0o755), lambda p: (p.rename(p.parent / "r"), p.symlink_to("r"))])
def test_a_folder_that_others_reach_into_is_refused(tmp_path, opened, how):
    how(tmp_path / "images")
    with pytest.raises(SandboxError) as caught:
        open_rootfs(parts_of(tmp_path / "host"), tmp_path / "images")
    assert (caught.value.code, bool(caught.value.fix)) == ("sandbox.image_folder", True)


def test_a_build_that_breaks_leaves_nothing_under_a_digest(tmp_path: Path):
    host = a_host(tmp_path / "host")
    parts = parts_of(host)
    (host / "lib/b/ü.txt").unlink()
    with pytest.raises(OSError, match="No such file"):
        rootfs._make(parts, rootfs.open_folder(tmp_path / "images"))
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["keys"]


def test_old_ones_are_cleared_and_those_in_use_never(tmp_path: Path, opened: Rootfs, monkeypatch: pytest.MonkeyPatch):
    host = a_host(tmp_path / "other")
    (host / "bin/tool").write_text("other")
    other = open_rootfs(parts_of(host), tmp_path / "images")
    late = datetime.now(UTC) + timedelta(days=rootfs.KEEP_DAYS + 1)
    assert clear(tmp_path / "images", now=late) == ()
    other.close()
    (tmp_path / "images" / ".tmp-dead").mkdir()
    assert [(g.name, g.why) for g in clear(tmp_path / "images", now=late)] == [
        (".tmp-dead", "unfinished"), (other.path.name, "old"),
    ]  # fmt: skip
    opened.verify()
    monkeypatch.setattr(rootfs, "KEEP_BYTES", 0)
    assert clear(tmp_path / "images") == ()


def test_one_in_use_is_held_by_a_lock(opened: Rootfs):
    fd = os.open(opened.path.with_name(opened.path.name + ".use"), os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
