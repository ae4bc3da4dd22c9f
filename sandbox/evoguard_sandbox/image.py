"""A sandbox's root filesystem as one tar: the same bytes for the same files, wherever and whenever it is made.

A host's /usr may hold gigabytes, and an engine may be far away. So the image is a choice of it: shared libraries, the
small tools of `TOOLS`, time zones, the interpreter without what is installed in it, the runner's layer, our programs.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from evoguard_sandbox.spec import PYTHON, Bind
from evoguard_sandbox.types import SandboxError

if TYPE_CHECKING:
    from evoguard_sandbox.room import Interpreter

LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
MOST_LIBRARY_BYTES = 40 << 20
TOOLS = re.findall(
    r"\S+",
    """awk basename bash cat chmod cmp cp cut date dd df diff dirname du echo env expr false file find getconf getent
    git grep gunzip gzip head hostname id install kill ldd ln locale ls make md5sum mkdir mkfifo mktemp mv nice nohup
    nproc od patch perl printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum sleep sort split stat stty tail
    tar tee test timeout touch tr true tsort tty uname uniq wc which whoami xargs yes""",
)
WHOLE = ("/usr/lib/locale/C.utf8", "/usr/share/zoneinfo")
MOUNTED = ("dev/shm", "room")
LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "idlelib", "turtledemo"})
MARK = ".wh."
"""In a layer such a name takes a file of the layer below away."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing of an image: a file of the host, a link when `link` is set, a folder when neither."""

    target: str
    source: Path | None = None
    link: str = ""


def base(rootfs: Path, binds: Sequence[Bind], python: Interpreter) -> list[Part]:
    """Return everything of an image but the project's own layers; `binds` are the folders of ours that are in it."""
    parts = [*walk(Bind(rootfs, "/")), *(Part(name) for name in MOUNTED)]
    parts += [part for top in LIBRARIES for part in _libraries(Path(top))]
    for name in TOOLS:
        found = Path("/usr/bin", name)
        if found.is_file():
            parts.append(Part(f"usr/bin/{name}", found.resolve()))
    for place in map(Path, WHOLE):
        parts += walk(Bind(place, str(place)))
    return whole([*parts, *_interpreter(python), *(part for bind in binds for part in walk(bind))])


def layer(bind: Bind) -> list[Part]:
    """Return a folder of dependencies as a layer of its own."""
    return whole(walk(bind))


def walk(bind: Bind, skip: Callable[[str], bool] = lambda _: False) -> list[Part]:
    """Return the folders, links and files below a folder that everybody may read; what is for some only stays here."""
    at = bind.target.strip("/")
    found = [Part(at)] if at and bind.source.is_dir() else []
    for folder, folders, names in os.walk(bind.source):
        folders[:] = [name for name in folders if not skip(name)]
        for name in (*folders, *names):
            path = Path(folder, name)
            target = f"{at}/{path.relative_to(bind.source)}".lstrip("/")
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found.append(Part(target, link=os.readlink(path)))
            elif stat.S_ISDIR(mode):
                found.append(Part(target))
            elif stat.S_ISREG(mode) and mode & 0o004 and not skip(name):
                found.append(Part(target, path))
    return found


def whole(parts: Sequence[Part]) -> list[Part]:
    """Return the parts in order, each once, with every folder above them.

    Raises: SandboxError for a name that an engine would read as an order to take a file away.
    """
    named = {part.target: part for part in reversed(parts)}
    for target in list(named):
        if any(piece.startswith(MARK) for piece in target.split("/")):
            raise SandboxError("sandbox.image", f"a file called {target} cannot be in an image", "leave it out")
        above = os.path.dirname(target)
        while above:
            named.setdefault(above, Part(above))
            above = os.path.dirname(above)
    return [named[target] for target in sorted(named)]


def listing(parts: Sequence[Part]) -> str:
    """Return a digest that changes whenever the tar could; it reads no file."""
    digest = hashlib.sha256(sys.version.encode())
    for part in parts:
        seen = part.source.stat() if part.source is not None else None
        marks = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_mode) if seen else ()
        digest.update(repr((part.target, part.link, marks)).encode())
    return digest.hexdigest()


def write(parts: Sequence[Part], out: IO[bytes]) -> str:
    """Write the tar and return its digest, `sha256:…`: names in order, no times, no owners, no rights but to run."""
    digest = hashlib.sha256()
    for part in parts:
        info, data = _member(part)
        for piece in (info.tobuf(tarfile.GNU_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)):
            digest.update(piece)
            out.write(piece)
    end = bytes(2 * tarfile.BLOCKSIZE)
    digest.update(end)
    out.write(end)
    return f"sha256:{digest.hexdigest()}"


def _member(part: Part) -> tuple[tarfile.TarInfo, bytes]:
    info, data = tarfile.TarInfo(part.target), b""
    if part.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, part.link, 0o777
    elif part.source is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o1777 if part.target == "tmp" else 0o755
    else:
        data = _content(part.source)
        info.size, info.mode = len(data), 0o755 if part.source.stat().st_mode & 0o111 else 0o644
    return info, data


def _content(path: Path) -> bytes:
    """Return a file's bytes. Compiled Python names its source's time, which is 0 in the image as every time is.

    One that does not belong to the source beside it stays as it is, so that Python goes on passing it over.
    """
    data = path.read_bytes()
    source = path.parent.parent / f"{path.name.partition('.')[0]}.py"
    if path.suffix == ".pyc" and data[4:8] == bytes(4) and source.is_file():
        seen = source.stat()
        belongs = struct.pack("<II", int(seen.st_mtime) & 0xFFFFFFFF, seen.st_size & 0xFFFFFFFF)
        if data[8:16] == belongs:
            return data[:8] + bytes(4) + data[12:]
    return data


def _libraries(top: Path) -> Iterator[Part]:
    """Yield shared libraries of one folder of the system and of the folder for this machine's kind below it."""
    if not top.is_dir() or top.is_symlink():
        return
    for folder in (top, *(p for p in sorted(top.iterdir()) if "-linux-" in p.name and p.is_dir())):
        for path in sorted(folder.iterdir()):
            named = ".so" in path.name and path.is_file() and path.stat().st_size <= MOST_LIBRARY_BYTES
            if not named or not path.stat().st_mode & 0o004:
                continue
            here = str(path)[1:]
            beside = path.is_symlink() and "/" not in os.readlink(path)
            yield Part(here, link=os.readlink(path)) if beside else Part(here, path.resolve())


def _interpreter(python: Interpreter) -> list[Part]:
    at = "/usr" if str(python.prefix) == "/usr" else PYTHON
    found = []
    for name in (python.name, "python3", "python"):
        path = python.prefix / "bin" / name
        if path.is_file():
            found.append(Part(f"{at}/bin/{name}".lstrip("/"), path.resolve()))
    for path in (python.prefix / "lib").glob("libpython*.so*"):
        found.append(Part(f"{at}/lib/{path.name}".lstrip("/"), path.resolve()))
    library = python.prefix / "lib" / python.name
    return [*found, *walk(Bind(library, f"{at}/lib/{python.name}"), lambda name: name in LEFT_OUT or name[-2:] == ".a")]
