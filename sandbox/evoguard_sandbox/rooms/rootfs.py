"""The image as a folder: laid out once for every room of this user, named by its digest, verified when it is opened.

Whoever can write here owns what runs in the guest, the supervisor included. So nothing on disk vouches for it: its
first use in a process hashes every byte, each later one compares every name, size, right, time and inode with those.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import stat
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evoguard_sandbox.rooms import image
from evoguard_sandbox.rooms.image import Part
from evoguard_sandbox.rooms.spec import Bind
from evoguard_sandbox.store import (
    BUILDING,
    KEYS,
    UNFINISHED,
    USE,
    Garbage,
    collect_garbage,
    locked,
    open_folder,
    place,
    remove,
)
from evoguard_sandbox.types import LayerError, SandboxError

KEEP_BYTES, KEEP_DAYS = 1 << 30, 14
REMOVE = "remove it, then it is made again; find out who wrote to it"
HASHED: dict[Path, str] = {}
"""What this process has hashed and found right: the folder → its listing then."""
HASHING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Rootfs:
    """A root filesystem that is what `digest` says; garbage collection leaves it alone until `close`."""

    digest: str
    path: Path
    fd: int

    def verify(self) -> None:
        """Return when it is still what its digest says. Raises: SandboxError `sandbox.image_changed`."""
        verify(self.path, self.digest)

    def close(self) -> None:
        """Give it up."""
        os.close(self.fd)


def shared_folder() -> Path:
    """Return where the rooms of this user share their images: three of them are some hundred MiB."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "evoguard" / "rootfs"


def open_rootfs(parts: Sequence[Part], folder: Path) -> Rootfs:
    """Return the root filesystem of these parts, laid out now when it is not there, and verified.

    Raises: SandboxError when others can reach into the folder, or when what lies there is not what its name says.
    """
    try:
        folder = open_folder(folder)
    except LayerError as err:
        raise SandboxError("sandbox.image_folder", err.message, err.fix) from err
    except OSError as err:
        raise SandboxError("sandbox.image_folder", f"{folder} cannot be made", "name another folder") from err
    note, made = folder / KEYS / image.listing(parts), False
    with locked(folder / BUILDING, fcntl.LOCK_EX):
        digest = _noted(note)
        if not digest or not place(folder, digest).exists():
            digest, made = _make(parts, folder), True
            _write(note, digest)
        path = place(folder, digest)
        fd = os.open(path.with_name(path.name + USE), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
    found = Rootfs(digest, path, fd)
    try:
        os.utime(fd)
        found.verify()
        if made:
            clear(folder)
    except BaseException:
        found.close()
        raise
    return found


def clear(folder: Path, *, now: datetime | None = None) -> tuple[Garbage, ...]:
    """Remove what no build will finish and what nobody holds, beyond some days and some bytes; return what it was."""
    return collect_garbage(folder, KEEP_BYTES, KEEP_DAYS, now or datetime.now(UTC))


def verify(path: Path, digest: str) -> None:
    """Return when every file below `path` is what `digest` says and no other user can change it.

    Raises: SandboxError `sandbox.image_changed`.
    """
    with HASHING:
        seen = _listing(path)
        if HASHED.get(path) == seen and path.name == digest.removeprefix("sha256:"):
            return
        HASHED.pop(path, None)
        found = image.digest_of(image.whole(image.walk(Bind(path, "/"))))
        if found != digest or path.name != digest.removeprefix("sha256:") or _listing(path) != seen:
            raise _changed(path, "holds other files than its digest says")
        HASHED[path] = seen


def _changed(path: Path, why: str) -> SandboxError:
    return SandboxError("sandbox.image_changed", f"the root filesystem was changed: {path} {why}", REMOVE)


def _listing(path: Path) -> str:
    """Return a digest of everything the kernel tells of the files, or of what was last changed in them.

    Raises: SandboxError for whatever we do not make: another owner, right, kind or time, a second name.
    """
    whole = hashlib.sha256()
    try:
        for name, seen in sorted(_entries(path, ""), key=lambda entry: entry[0]):
            marks = (seen.st_size, seen.st_mode, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev)
            whole.update(repr((name, marks)).encode("utf-8", "surrogateescape"))
    except OSError as err:
        raise _changed(path, "cannot be read") from err
    return whole.hexdigest()


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    own = folder.lstat()
    if not prefix:
        _check(folder, prefix, own)
    with os.scandir(folder) as entries:
        found = list(entries)
    yield prefix, own
    for entry in found:
        seen, name = entry.stat(follow_symlinks=False), prefix + entry.name
        _check(Path(entry.path), name, seen)
        if stat.S_ISDIR(seen.st_mode):
            yield from _entries(Path(entry.path), name + "/")
        else:
            yield name, seen


def _check(path: Path, name: str, seen: os.stat_result) -> None:
    mode, kind = stat.S_IMODE(seen.st_mode), stat.S_IFMT(seen.st_mode)
    rights = {stat.S_IFDIR: {0o1777 if name == "tmp" else 0o755}, stat.S_IFREG: {0o644, 0o755}, stat.S_IFLNK: {0o777}}
    named = kind == stat.S_IFDIR or seen.st_nlink == 1
    if seen.st_uid != os.geteuid() or mode not in rights.get(kind, ()) or not named or seen.st_mtime_ns:
        raise _changed(path, "has another owner, right, kind or time than we gave it")


def _noted(note: Path) -> str:
    """Return the digest that was noted for the same files of the host; a hint, the folder itself must fit."""
    try:
        digest = note.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return digest if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else ""


def _write(note: Path, digest: str) -> None:
    fresh = note.with_name(UNFINISHED + secrets.token_hex(8))
    fresh.write_text(digest, encoding="ascii")
    fresh.rename(note)


def _make(parts: Sequence[Part], folder: Path) -> str:
    """Lay the parts out and return their digest; at no moment does half of them stand under it."""
    made = folder / (UNFINISHED + secrets.token_hex(8))
    try:
        digest = lay(parts, made)
        if place(folder, digest).exists():  # the same content of other files; what stands there is verified next
            return digest
        made.rename(place(folder, digest))
    finally:
        if made.exists():
            remove(made)
    return digest


def lay(parts: Sequence[Part], made: Path) -> str:
    """Write the parts below a new folder, every right and time set by us, and return the digest of their tar."""
    made.mkdir(mode=0o700)
    folders = {made: 0o755}

    def each(info: tarfile.TarInfo, data: bytes) -> None:
        path = made / info.name
        if info.isdir():
            path.mkdir(mode=0o700)
            folders[path] = info.mode
        elif info.issym():
            path.symlink_to(info.linkname)
            os.utime(path, (0, 0), follow_symlinks=False)
        else:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(handle, info.mode)
                os.utime(handle, (0, 0))

    digest = image.digest_of(parts, each)
    for path, mode in reversed(folders.items()):
        path.chmod(mode)
        os.utime(path, (0, 0))
    return digest
