"""A sandbox's root filesystem, chosen from the host: the same bytes for the same files, wherever and whenever made.

A host's /usr may hold gigabytes, and an engine may be far away. So the image is a choice of it: shared libraries, the
small tools of `TOOLS`, time zones, the interpreter without what is installed in it, the runner's layer, our programs.
Its digest is that of one tar; `rootfs.py` lays the same content out as a folder, an engine is given the tar.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from evoguard_sandbox.rooms.spec import DEPS, GUEST, LAYER, MOST_LAYERS, PYTHON, Bind
from evoguard_sandbox.types import SandboxError

if TYPE_CHECKING:
    from evoguard_sandbox.rooms.room import Interpreter

LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
LINKED = ("/lib", "/lib64", "/bin", "/sbin")
MOST_LIBRARY_BYTES = 8 << 20
"""A host with a desktop has hundreds of MiB in a few libraries that no test asks for."""
TOOLS = re.findall(
    r"\S+",
    """awk b2sum base64 basename bash bzip2 cat chmod cksum cmp column comm cp cut date dd df diff dirname du echo env
    expand expr false file find flock fmt fold getconf getent git grep gunzip gzip head hostname id install join kill
    ldd less link ln locale ls make md5sum mkdir mkfifo mktemp more mv nice nl nohup nproc od paste patch perl printenv
    printf ps pwd readlink realpath rm rmdir sed seq setsid sh sha1sum sha256sum sha512sum shuf sleep sort split stat
    stdbuf stty sum tac tail tar taskset tee test timeout touch tput tr true truncate tsort tty uname uniq unlink unxz
    unzip wc which who whoami xargs xz yes zip""",
)
WHOLE = ("/usr/lib/locale", "/usr/share/zoneinfo", "/usr/lib/terminfo", "/usr/share/git-core/templates")
MOST_WHOLE_BYTES = 8 << 20
"""Of what is taken whole, a file larger than this stays here: an archive of every locale, say."""
FOLDERS = (
    "dev/shm", "etc", "proc", "room", "run", "sys", "tmp", "usr/bin", "usr/lib", "usr/sbin", "var", "work", PYTHON[1:],
)  # fmt: skip
"""Everything that is mounted over, and what a program looks for: on a read-only root nothing can be made later."""
ETC = {
    "passwd": "root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/tmp:/bin/false\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
}
LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "idlelib", "turtledemo"})
MARK = ".wh."
"""In a layer such a name takes a file of the layer below away."""


Each = Callable[[tarfile.TarInfo, bytes], object]
Last = Callable[[bytes], object]
END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing of an image: a file of the host, a text of ours, a link when `link` is set, a folder when none."""

    target: str
    source: Path | None = None
    link: str = ""
    text: str | None = None


def base(layer_dir: Path, python: Interpreter, programs: Sequence[Path] = ()) -> list[Part]:
    """Return everything of an image but the project's own layers. `programs` of the host join it where they are here.

    Raises: SandboxError when a program is not there.
    """
    parts = [*_skeleton(), *(part for top in LIBRARIES for part in _libraries(Path(top)))]
    for name in TOOLS:
        found = Path("/usr/bin", name)
        if found.is_file():
            parts.append(Part(f"usr/bin/{name}", found.resolve()))
    for place in (*map(Path, WHOLE), *Path("/usr/lib").glob("*-linux-*/perl-base")):
        parts += walk(Bind(place, str(place)), too_large) if place.is_dir() else []
    guest = [Part(f"{GUEST[1:]}/{path.name}", path) for path in (Path(__file__).parents[1] / "guest").glob("*.py")]
    more = [part for program in programs for part in _program(program)]
    return whole([*parts, *more, *_interpreter(python), *walk(Bind(layer_dir, LAYER)), *guest])


def _skeleton() -> list[Part]:
    names = (*FOLDERS, *(f"{DEPS[1:]}/{n}" for n in range(MOST_LAYERS)))
    found = [*map(Part, names), Part("var/tmp", link="/tmp")]  # noqa: S108 (a link in the guest)
    found += [Part(f"etc/{name}", text=text) for name, text in ETC.items()]
    for path in map(Path, LINKED):
        if path.is_symlink():
            found.append(Part(str(path)[1:], link=os.readlink(path)))
        elif path.is_dir():
            found.append(Part(str(path)[1:]))
    return found


def _program(path: Path) -> list[Part]:
    """Return a program of the host and the libraries that the host's own loader finds for it."""
    if not path.is_absolute() or not path.is_file():
        raise SandboxError("sandbox.program_missing", f"there is no program {path}", "install it, or do not name it")
    told = subprocess.run(["ldd", path.resolve()], capture_output=True, text=True, timeout=30, check=False).stdout
    needs = {Path(found) for found in re.findall(r"(?:^|\s)(/\S+) \(0x", told)}
    return [Part(str(f.parent.resolve() / f.name)[1:], f.resolve()) for f in sorted({path, *needs})]


def too_large(path: Path) -> bool:
    """Tell whether a file is larger than what is taken without being asked for by name."""
    return path.is_file() and path.stat().st_size > MOST_WHOLE_BYTES


def layer(bind: Bind) -> list[Part]:
    """Return a folder of dependencies as a layer of its own."""
    return whole(walk(bind))


def walk(bind: Bind, skip: Callable[[Path], bool] = lambda _: False) -> list[Part]:
    """Return the folders, links and files below a folder that everybody may read; what is for some only stays here."""
    at = bind.target.strip("/")
    found = [Part(at)] if at and bind.source.is_dir() else []
    for folder, folders, names in os.walk(bind.source):
        folders[:] = sorted(name for name in folders if not skip(Path(folder, name)))
        for name in (*folders, *names):
            path = Path(folder, name)
            target = f"{at}/{path.relative_to(bind.source)}".lstrip("/")
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found.append(Part(target, link=os.readlink(path)))
            elif stat.S_ISDIR(mode):
                found.append(Part(target))
            elif stat.S_ISREG(mode) and mode & 0o004 and not skip(path):
                found.append(Part(target, path))
    return found


def whole(parts: Sequence[Part]) -> list[Part]:
    """Return the parts in order, each once, with every folder above them.

    Raises: SandboxError for a name that an engine would read as an order to take a file away, or one below a link.
    """
    named = {part.target: part for part in reversed(parts)}
    for target in list(named):
        if any(piece.startswith(MARK) for piece in target.split("/")):
            raise SandboxError("sandbox.image", f"a file called {target} cannot be in an image", "leave it out")
        above = os.path.dirname(target)
        while above:
            if named.setdefault(above, Part(above)).link:
                raise SandboxError("sandbox.image", f"{target} lies below a link in the image", "leave it out")
            above = os.path.dirname(above)
    return [named[target] for target in sorted(named)]


def listing(parts: Sequence[Part]) -> str:
    """Return a digest that changes whenever the tar could; it reads no file."""
    digest = hashlib.sha256(sys.version.encode())
    for part in parts:
        seen = part.source.stat() if part.source is not None else None
        marks = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_mode) if seen else ()
        digest.update(repr((part.target, part.link, part.text, marks)).encode())
    return digest.hexdigest()


def write(parts: Sequence[Part], out: IO[bytes]) -> str:
    """Write the tar and return its digest, `sha256:…`: names in order, no times, no owners, no rights but to run."""
    return digest_of(parts, lambda info, data: out.writelines(_pieces(info, data)), out.write)


def digest_of(parts: Sequence[Part], each: Each | None = None, end: Last | None = None) -> str:
    """Return the digest of the parts' tar; `each` sees every member, `end` the bytes that follow the last one."""
    digest = hashlib.sha256()
    for part in parts:
        info, data = _member(part)
        for piece in _pieces(info, data):
            digest.update(piece)
        if each is not None:
            each(info, data)
    digest.update(END)
    if end is not None:
        end(END)
    return f"sha256:{digest.hexdigest()}"


def _pieces(info: tarfile.TarInfo, data: bytes) -> tuple[bytes, ...]:
    return info.tobuf(tarfile.GNU_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)


def _member(part: Part) -> tuple[tarfile.TarInfo, bytes]:
    info, data = tarfile.TarInfo(part.target), b""
    if part.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, part.link, 0o777
    elif part.text is not None:
        data = part.text.encode()
        info.size, info.mode = len(data), 0o644
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
            yield _library(path, str(path)[1:])


def _library(path: Path, target: str) -> Part:
    beside = path.is_symlink() and "/" not in os.readlink(path)
    return Part(target, link=os.readlink(path)) if beside else Part(target, path.resolve())


def _interpreter(python: Interpreter) -> list[Part]:
    at = "/usr" if str(python.prefix) == "/usr" else PYTHON
    found = []
    for name in (python.name, "python3", "python"):
        path = python.prefix / "bin" / name
        if path.is_file():
            found.append(Part(f"{at}/bin/{name}".lstrip("/"), path.resolve()))
    for path in (python.prefix / "lib").glob("libpython*.so*"):
        found.append(_library(path, f"{at}/lib/{path.name}".lstrip("/")))
    library = python.prefix / "lib" / python.name
    return [*found, *walk(Bind(library, f"{at}/lib/{python.name}"), _unwanted)]


def _unwanted(path: Path) -> bool:
    """Tell what of an interpreter no guest needs; what is compiled for -O is two thirds of all compiled files."""
    return path.name in LEFT_OUT or path.name.endswith((".a", ".opt-1.pyc", ".opt-2.pyc"))
