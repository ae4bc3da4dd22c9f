"""One wheel becomes files: read by us within bounds. Nothing of it is run, and nothing of it can run at start-up."""

from __future__ import annotations

import io
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from evoguard_sandbox.installing.metadata import Told, check_own
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import TreeError, read_tree
from evoguard_sandbox.types import LayerError, Limits

RUNNER_NAMES = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "packaging"})
START_NAMES = frozenset({"sitecustomize", "usercustomize"})
STDLIB_NAMES = frozenset(sys.stdlib_module_names)
COMPILED = (".pyc", ".pyo")
TREES = ("purelib", "platlib")
READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others unpack a whole block before anybody can count it."""
REPAIR = "pin another release of it"


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of one layer, and of each wheel in it."""

    wheel_bytes: int = 256 << 20
    layer_bytes: int = 1 << 30
    layer_files: int = 100_000
    packages: int = 2_000
    sources: int = 20


@dataclass(slots=True)
class Unpacked:
    """The files of one or more wheels: path → (mode, bytes); only 0o644 and 0o755 occur."""

    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    total_bytes: int = 0


def add_wheel(
    into: Unpacked, name: str, data: bytes, caps: Caps, *, package: tuple[str, str] | None = None
) -> Told | None:
    """Add the files of the wheel called `name`; with `package`, a name and a version, it must be that release.

    Scripts, headers, data, .pth files and compiled Python are left out. Returns what it says of itself.
    Raises: LayerError when it holds a path out of itself, a link, code that runs at start-up, a name of the test runner
    or of the standard library, or more than the bounds allow.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            own = _own_data(archive)
            taken: dict[str, tuple[int, bytes]] = {}
            read: dict[str, bytes] = {}
            for info in _members(archive, name, caps):
                path = _place(info.filename, own)
                if not path:
                    continue
                _refuse_names(name, path)
                if path in taken:
                    raise _bad(name, path, "is in it twice")
                into.total_bytes += info.file_size
                if into.total_bytes > caps.layer_bytes or len(into.files) + len(taken) >= caps.layer_files:
                    raise _bad(name, path, "is more than a layer may hold", "layer.too_large")
                taken[path] = (_mode(info), _content(archive, info, name))
                read[info.filename] = taken[path][1]
            told = check_own(name, package, archive.namelist(), read) if package else None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as err:
        raise LayerError(
            "layer.bad_wheel", f"{shown(name)} is not a readable wheel: {shown(str(err), 100)}", REPAIR
        ) from err
    _merge(into, taken, name, caps)
    return told


def _bad(name: str, path: str, why: str, code: str = "layer.bad_wheel") -> LayerError:
    return LayerError(code, f"{shown(name)} was refused: {shown(path)} {why}", REPAIR)


def _members(archive: zipfile.ZipFile, name: str, caps: Caps) -> Iterator[zipfile.ZipInfo]:
    """Yield the plain files. What is checked is the name in the archive, before zipfile has mended it."""
    members = archive.infolist()
    if len(members) > caps.layer_files:
        raise LayerError("layer.too_large", f"{shown(name)} holds {len(members)} files", REPAIR)
    for info in members:
        path = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        if path != info.filename or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _bad(name, path, "is a link, a device or a name with a control character")
        if path.endswith("/"):
            continue
        if info.flag_bits & 1 or kind == stat.S_IFDIR or info.compress_type not in READ:
            raise _bad(name, path, "cannot be read")
        try:
            read_tree({path: (0o100644, b"")}, Limits())
        except TreeError as err:
            raise LayerError("layer.bad_wheel", f"{shown(name)} was refused: {err.finding.msg}", REPAIR) from err
        yield info


def _own_data(archive: zipfile.ZipFile) -> str:
    """Return the name of the wheel's own .data folder, beside its one .dist-info."""
    tops = {path.partition("/")[0] for path in archive.namelist() if "/" in path}
    infos = [top for top in tops if top.endswith(".dist-info")]
    if len(infos) != 1:
        raise ValueError("it must hold one .dist-info folder")
    return infos[0].removesuffix(".dist-info") + ".data"


def _place(path: str, own: str) -> str:
    """Return where a file goes, empty when it is left out."""
    if path.startswith(own + "/"):
        kind, _, rest = path.removeprefix(own + "/").partition("/")
        path = rest if kind in TREES else ""
    if path.endswith((*COMPILED, ".pth")) or "__pycache__" in path.split("/"):
        return ""
    return path


def _refuse_names(name: str, path: str) -> None:
    top = path.split("/", 1)[0]
    module = top.split(".", 1)[0]
    if "/" in path and "." in top:
        return  # a folder with a dot in its name cannot be imported
    if module in RUNNER_NAMES:
        text = f"{shown(name)} holds {shown(path)}: the dependency shadows the test runner"
        raise LayerError(
            "layer.shadows_runner", text, "leave pytest and what it needs out of the lock: the runner brings its own"
        )
    if module in START_NAMES:
        raise _bad(name, path, "would run at Python's start, before any test", "layer.start_code")
    if module in STDLIB_NAMES and ("/" in path or path.endswith((".py", ".so"))):
        raise _bad(name, path, "shadows Python's own library", "layer.shadows_stdlib")


def _mode(info: zipfile.ZipInfo) -> int:
    return 0o755 if info.external_attr >> 16 & 0o111 else 0o644


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise _bad(name, info.filename, "is not as long as it says")
    return data


def _merge(into: Unpacked, taken: dict[str, tuple[int, bytes]], name: str, caps: Caps) -> None:
    for path, entry in taken.items():
        if into.files.get(path, entry) != entry:
            raise _bad(name, path, "is in another wheel, too, with other bytes", "layer.clash")
    into.files.update(taken)
    try:
        read_tree(into.files, Limits(tree_bytes=caps.layer_bytes, tree_files=caps.layer_files + 1))
    except TreeError as err:
        raise LayerError("layer.clash", f"{shown(name)} was refused: {err.finding.msg}", REPAIR) from err
