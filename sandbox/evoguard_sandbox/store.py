"""The folder of layers: each under the digest of its content, rehashed at every use, thrown away when nobody uses it.

Nothing is taken from an earlier look: whoever can write here owns the code that runs beside the tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evoguard_sandbox.types import LayerError

MANIFEST = "evoguard-layer.json"
TOOLS = "tools"
UNFINISHED, KEYS, BUILDING, USE = ".tmp-", "keys", ".building", ".use"
REMOVE = "remove that layer and build it again; find out who wrote to it"
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Layer:
    """A folder of dependencies, named by its content. `packages`: (name, version, sha256 of the wheel in hex)."""

    digest: str
    path: Path
    packages: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that was removed, or would be. `why`: "unfinished", "old" or "too much"."""

    name: str
    size_bytes: int
    why: str


def open_folder(folder: Path) -> Path:
    """Return the folder, made when missing. Raises: LayerError when anybody but this user can reach into it."""
    with contextlib.suppress(FileExistsError):  # whatever stands there is looked at next
        folder.mkdir(mode=0o700, parents=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise LayerError("layer.folder_open", f"{folder} is not a folder of this user alone", f"chmod 700 {folder}")
    (folder / KEYS).mkdir(mode=0o700, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def locked(path: Path, how: int) -> Iterator[int]:
    """Hold a lock on a file of ours, made when missing. Raises: BlockingIOError with LOCK_NB."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, how)
        yield fd
    finally:
        os.close(fd)


def digest_of(folder: Path) -> str:
    """Return the digest of every path, mode and content below `folder`, folders with them.

    Raises: LayerError when anything is not a plain file or folder of this user with one name only.
    """
    whole = hashlib.sha256()
    for line in sorted(_entries(folder, "")):
        whole.update(json.dumps(line).encode() + b"\n")
    return f"sha256:{whole.hexdigest()}"


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, int, str]]:
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        seen = entry.stat(follow_symlinks=False)
        path, mode = prefix + entry.name, stat.S_IMODE(seen.st_mode)
        if seen.st_uid != os.geteuid():
            raise LayerError("layer.changed", f"{entry.path} belongs to another user", REMOVE)
        if stat.S_ISDIR(seen.st_mode):
            yield path + "/", mode, ""
            yield from _entries(Path(entry.path), path + "/")
        elif stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
            handle = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            with open(handle, "rb") as file:
                yield path, mode, hashlib.file_digest(file, "sha256").hexdigest()
        else:
            raise LayerError("layer.changed", f"{entry.path} is a link or no plain file", REMOVE)


def place(folder: Path, digest: str) -> Path:
    """Return where the layer of that digest lives."""
    return folder / digest.removeprefix("sha256:")


def verify(layer: Layer) -> None:
    """Return when every byte of the layer is what its digest says. Raises: LayerError, also when it is gone."""
    try:
        seen = layer.path.lstat()
        found = digest_of(layer.path) if stat.S_ISDIR(seen.st_mode) else ""
    except OSError as err:
        raise LayerError("layer.gone", f"the layer {layer.path} cannot be read", "build it again") from err
    if found != layer.digest or layer.path.name != layer.digest.removeprefix("sha256:") or seen.st_mode & 0o222:
        raise LayerError("layer.changed", f"the layer {layer.path} is not what it was when it was built", REMOVE)


@contextlib.contextmanager
def hold(layer: Layer) -> Iterator[Path]:
    """Yield the verified folder of a layer; while held, garbage collection leaves it alone. Raises: as `verify`."""
    with locked(layer.path.with_name(layer.path.name + USE), fcntl.LOCK_SH) as fd:
        os.utime(fd)  # the age that garbage collection asks for is that of the last use
        verify(layer)
        yield layer.path


def load(folder: Path, digest: str) -> tuple[Layer, str]:
    """Return a verified layer and the interpreter it was built for. Raises: LayerError as `verify`."""
    bare = Layer(digest, place(folder, digest), ())
    verify(bare)
    told = json.loads((bare.path / MANIFEST).read_bytes())
    return Layer(digest, bare.path, tuple((n, v, h) for n, v, h in told["packages"])), str(told["python"])


def built_with(layer: Layer) -> str:
    """Return the digest of what a verified layer's source archives were built with, empty when it has none."""
    return str(json.loads((layer.path / MANIFEST).read_bytes()).get(TOOLS, ""))


def collect_garbage(
    folder: Path, keep_bytes: int, keep_days: float, now: datetime, *, dry_run: bool = False
) -> tuple[Garbage, ...]:
    """Remove what no builder will finish, layers unused for `keep_days`, then the longest unused beyond `keep_bytes`.

    Never a layer in use: its bytes count, and it stays. With `dry_run` nothing is touched. A layer whose last use lies
    in the future, by a clock set back, counts as used now.
    """
    folder = open_folder(folder)
    with locked(folder / BUILDING, fcntl.LOCK_EX):
        dead = [path for path in sorted(folder.iterdir()) if path.name.startswith(UNFINISHED)]
        found = [Garbage(path.name, size_bytes(path), "unfinished") for path in dead]
        for path in dead if not dry_run else []:
            remove(path)
        layers = sorted((p for p in folder.iterdir() if len(p.name) == 64 and p.is_dir()), key=_last_use)
        sizes = {path: size_bytes(path) for path in layers}
        total = sum(sizes.values())
        for path in layers:
            old = now.timestamp() - _last_use(path) > keep_days * DAY_S
            if not old and total <= keep_bytes:
                continue
            if _drop(path, dry_run=dry_run):
                total -= sizes[path]
                found.append(Garbage(path.name, sizes[path], "old" if old else "too much"))
        _forget(folder, dry_run=dry_run)
    return tuple(found)


def _forget(folder: Path, *, dry_run: bool) -> None:
    """Remove the notes that lead to no layer."""
    for note in sorted((folder / KEYS).iterdir()) if not dry_run else []:
        if not place(folder, note.read_text(encoding="ascii", errors="replace") or "-").is_dir():
            note.unlink()


def _last_use(path: Path) -> float:
    use = path.with_name(path.name + USE)
    return (use if use.exists() else path).stat().st_mtime


def _drop(path: Path, *, dry_run: bool) -> bool:
    """Remove a layer that nobody holds; tell whether it is gone, or would be."""
    try:
        with locked(path.with_name(path.name + USE), fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not dry_run:
                gone = path.with_name(UNFINISHED + path.name)
                path.rename(gone)  # at no moment does half of it stand under its digest
                remove(gone)
    except BlockingIOError:
        return False
    return True


def size_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum((Path(top) / name).lstat().st_size for top, _, names in os.walk(path) for name in names)


def remove(path: Path) -> None:
    """Remove a file or a read-only tree."""
    if not path.is_dir():
        return path.unlink()
    for top, _, _ in os.walk(path):
        os.chmod(top, 0o700)
    return shutil.rmtree(path)
