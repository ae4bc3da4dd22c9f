"""Dependency layers: from the base's lock to one read-only folder of verified wheels, named by its content.

A layer is mounted read-only in the sandbox, second on sys.path after the test runner's own. No package's code runs on
this machine while it is built: wheels are unpacked by us, a source archive becomes a wheel inside a sandbox.
Source: docs/adr/0005-the-verdict.md
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from evoguard_sandbox.installing.locks import (
    DEFAULT_LOCK,
    HASHED,
    LOOSE_LOCK,
    Pin,
    lock_changed,
    lock_of,
    normal,
    parse,
)
from evoguard_sandbox.installing.metadata import check_project, check_together, same_version
from evoguard_sandbox.installing.pip import NO_WHEEL, pip
from evoguard_sandbox.installing.wheels import Caps, Unpacked, add_wheel
from evoguard_sandbox.rooms.room import Interpreter
from evoguard_sandbox.shown import shown
from evoguard_sandbox.store import (
    BUILDING,
    KEYS,
    MANIFEST,
    TOOLS,
    UNFINISHED,
    Garbage,
    Layer,
    built_with,
    collect_garbage,
    digest_of,
    hold,
    load,
    locked,
    open_folder,
    place,
    remove,
    verify,
)
from evoguard_sandbox.types import LayerError

DEFAULT_LOCKS = (DEFAULT_LOCK, LOOSE_LOCK)
__all__ = [
    "DEFAULT_LOCKS",
    "HASHED",
    "LOOSE_LOCK",
    "Caps",
    "Garbage",
    "Layer",
    "LayerError",
    "Workshop",
    "build",
    "build_apart",
    "check_python",
    "collect_garbage",
    "hold",
    "lock_changed",
    "lock_of",
    "verify",
]

Fetch = Callable[[Sequence[Pin], Path, Interpreter], None]
"""Puts one wheel or source archive for each pin into a folder; what it brings is not believed."""
SOURCES = (".tar.gz", ".zip")
APART = Caps(wheel_bytes=64 << 20, layer_bytes=256 << 20, layer_files=20_000, packages=200, sources=3)
APART_FETCH_S, APART_KEEP_BYTES, APART_KEEP_DAYS = 300, 1 << 30, 7
MARK = ".apart"
"""Says that every layer of a folder was made from a lock that nobody has approved yet."""


class Workshop(Protocol):
    """Makes wheels of source archives, apart from this machine; see `workshop.py`."""

    def tools(self) -> str:
        """Return the digest of what it builds with. Raises: LayerError."""

    def wheel(self, pin: Pin, archive: str, data: bytes, caps: Caps) -> tuple[str, bytes]:
        """Return the file name and the bytes of the wheel that an archive became. Raises: LayerError."""


@dataclass(frozen=True, slots=True)
class Brought:
    """One package of a layer: its wheel, and the sha256 in hex of the file in the lock: a source, if `built`."""

    name: str
    version: str
    origin: str
    file: str
    data: bytes
    built: bool = False

    @property
    def package(self) -> tuple[str, str, str]:
        """Return what a layer says of it."""
        return self.name, self.version, self.origin


COMPILE_S = 600
WHEEL = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._!+]+)-[A-Za-z0-9._!+-]+\.whl")
WHICH = "import sys, sysconfig; print(sys.implementation.cache_tag, *sys.version_info[:3], sysconfig.get_platform())"
COMPILE = """
import compileall, py_compile, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(sys.argv[1], quiet=2, force=True, stripdir=sys.argv[1], invalidation_mode=mode, workers=1)
"""


def build(
    lock: bytes,
    *,
    folder: Path,
    python: Interpreter,
    fetch: Fetch = pip,
    caps: Caps | None = None,
    workshop: Workshop | None = None,
) -> Layer:
    """Return the verified layer of a lock for one interpreter, built once for the same lock.

    Source archives are refused unless there is a `workshop`; what it builds with is then part of the layer's digest.
    Only the builder's user may reach into `folder`; one build at a time runs in it.
    Raises: LayerError, and nothing is left behind under a digest.
    """
    folder = open_folder(folder)
    if (folder / MARK).exists():
        raise LayerError("layer.folder_mixed", f"{folder} holds layers of changed locks", "name another folder")
    return _build(lock, folder, python, fetch, caps or Caps(), workshop)


def build_apart(
    lock: bytes, *, folder: Path, python: Interpreter, fetch: Fetch | None = None, workshop: Workshop | None = None
) -> Layer:
    """Return the layer of a lock that nobody has approved yet: narrower bounds, and a folder of its own.

    No base's layer is ever looked for in such a folder, and no build of a changed lock can push one out of its own.
    What is old or too much in it is removed afterwards. Raises: LayerError as `build`.
    """
    folder = open_folder(folder)
    with locked(folder / BUILDING, fcntl.LOCK_EX):
        if not (folder / MARK).exists() and any((folder / KEYS).iterdir()):
            raise LayerError("layer.folder_mixed", f"{folder} holds layers of base locks", "name another folder")
        (folder / MARK).touch(mode=0o600)
    layer = _build(lock, folder, python, fetch or partial(pip, within_s=APART_FETCH_S), APART, workshop)
    with hold(layer):
        collect_garbage(folder, APART_KEEP_BYTES, APART_KEEP_DAYS, datetime.now(UTC))
    return layer


def _build(
    lock: bytes, folder: Path, python: Interpreter, fetch: Fetch, caps: Caps, workshop: Workshop | None
) -> Layer:
    pins, target = parse(lock), _target(python)
    if len(pins) > caps.packages:
        text = f"the lock names {len(pins)} packages; here no more than {caps.packages} may be"
        raise LayerError("layer.too_large", text, "change it in smaller steps, or have it approved first")
    key = folder / KEYS / hashlib.sha256(json.dumps([lock.decode(), target]).encode()).hexdigest()
    with locked(folder / BUILDING, fcntl.LOCK_EX):
        known = _known(folder, key, pins, target, workshop)
        if known is not None:
            return known
        with _scratch(folder) as made, _scratch(folder) as wheels:
            wheels.mkdir(mode=0o700)
            fetch(pins, wheels, python)
            brought = _wheels(wheels, pins, caps, workshop)
            packages = _fill(made, brought, target, caps, workshop)
            _compile(made, python)
            _protect(made)
            layer = Layer(digest_of(made), made, packages)
            final = place(folder, layer.digest)
            if final.exists():
                load(folder, layer.digest)
            else:
                made.rename(final)
        _write(key, layer.digest.encode())
        return Layer(layer.digest, final, packages)


def check_python(pyproject: bytes | None, python: Interpreter) -> None:
    """Return when a project's pyproject.toml, None when it has none, lets its tests run on `python`.

    Raises: LayerError `layer.requires_python`, or `layer.no_python` when the interpreter does not run.
    """
    if pyproject is not None:
        check_project(pyproject, ".".join(_target(python).split()[1:4]))


def _target(python: Interpreter) -> str:
    """Return the interpreter's version and platform in its own words."""
    try:
        done = subprocess.run(
            [python.prefix / "bin" / python.name, "-I", "-S", "-c", WHICH],
            capture_output=True, text=True, timeout=30, check=True, env={},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as err:
        raise LayerError("layer.no_python", f"{python.name} in {python.prefix} does not run", "name another") from err
    return done.stdout.strip()


def _known(folder: Path, key: Path, pins: Sequence[Pin], target: str, workshop: Workshop | None) -> Layer | None:
    """Return the layer that an earlier build noted for the lock. The note is a hint: the layer itself must fit."""
    try:
        digest = key.read_text(encoding="ascii")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or not place(folder, digest).exists():
            return None
    except (OSError, ValueError):
        return None
    layer, built_for = load(folder, digest)
    tools = built_with(layer)
    same_tools = not tools or (workshop is not None and workshop.tools() == tools)
    return layer if built_for == target and same_tools and _fits(layer.packages, pins) else None


def _fits(packages: Sequence[tuple[str, str, str]], pins: Sequence[Pin]) -> bool:
    """Tell whether these wheels are what the lock asks for: each one hashed in it, none missing but by a marker."""
    by_pin = [[p for p in packages if p[2] in pin.hashes and normal(p[0]) == normal(pin.name)] for pin in pins]
    whole = all(len(found) == 1 or (not found and pin.marker) for found, pin in zip(by_pin, pins, strict=True))
    return whole and sum(map(len, by_pin)) == len(packages)


def _wheels(folder: Path, pins: Sequence[Pin], caps: Caps, workshop: Workshop | None) -> list[Brought]:
    """Return each package as a wheel: the bytes that were hashed are the bytes that are unpacked, or built from."""
    paths = sorted(folder.iterdir())
    if sum(path.name.endswith(SOURCES) for path in paths) > caps.sources:
        raise LayerError("layer.too_large", f"more than {caps.sources} packages have no wheel", NO_WHEEL)
    sources = [path for path in paths if path.name.endswith(SOURCES) and workshop is not None]
    found = [_wheel(path, pins, caps) for path in paths if path not in sources]
    told = [_source(path, pins, caps) for path in sources]
    if not _fits([one.package for one in (*found, *told)], pins):
        names = sorted({pin.name for pin in pins if not pin.marker} - {one.name for one in (*found, *told)})
        text = f"not every package of the lock came as one file: {', '.join(names[:5]) or 'one came twice'}"
        raise LayerError("layer.no_wheel", text, NO_WHEEL)
    return [*found, *(_built(one, pins, caps, workshop) for one in told if workshop is not None)]


def _wheel(path: Path, pins: Sequence[Pin], caps: Caps) -> Brought:
    name = WHEEL.fullmatch(path.name)
    if name is None:
        raise LayerError("layer.no_wheel", f"{shown(path.name)} is not a wheel", NO_WHEEL)
    return _hashed(path, [pin for pin in pins if normal(pin.name) == normal(name["name"])], caps)


def _source(path: Path, pins: Sequence[Pin], caps: Caps) -> Brought:
    return _hashed(path, [pin for pin in pins if normal(path.name).startswith(normal(pin.name) + "-")], caps)


def _hashed(path: Path, pins: Sequence[Pin], caps: Caps) -> Brought:
    data = _read(path, caps.wheel_bytes)
    value = hashlib.sha256(data).hexdigest()
    pin = next((pin for pin in pins if value in pin.hashes), None)
    if pin is None:
        fix = "write the lock again, and look at what changed"
        raise LayerError("layer.hash_mismatch", f"{shown(path.name)} is no file that the lock names", fix)
    return Brought(pin.name, pin.version, value, path.name, data)


def _built(source: Brought, pins: Sequence[Pin], caps: Caps, workshop: Workshop) -> Brought:
    pin = next(pin for pin in pins if source.origin in pin.hashes)
    file, data = workshop.wheel(pin, source.file, source.data, caps)
    name = WHEEL.fullmatch(file)
    if name is None or normal(name["name"]) != normal(pin.name) or not same_version(name["version"], pin.version):
        text = f"building {shown(pin.name)} {shown(pin.version)} made another release's wheel, {shown(file)}"
        raise LayerError("layer.other_package", text, NO_WHEEL)
    return Brought(pin.name, pin.version, source.origin, file, data, built=True)


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as err:
        raise LayerError("layer.no_wheel", f"{shown(path.name)} is no plain file", NO_WHEEL) from err
    with open(handle, "rb") as file:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > most_bytes:
            raise LayerError("layer.too_large", f"{shown(path.name)} is larger than {most_bytes >> 20} MiB", NO_WHEEL)
        return file.read(most_bytes)


def _fill(
    made: Path, brought: Sequence[Brought], target: str, caps: Caps, workshop: Workshop | None
) -> tuple[tuple[str, str, str], ...]:
    """Write the wheels' files and what they are; what they are is part of the digest."""
    unpacked = Unpacked()
    said = [add_wheel(unpacked, one.file, one.data, caps, package=(one.name, one.version)) for one in brought]
    check_together([one for one in said if one is not None], target)
    packages = tuple(sorted(one.package for one in brought))
    words: dict[str, object] = {"python": target, "packages": packages}
    if workshop is not None and any(one.built for one in brought):
        words[TOOLS] = workshop.tools()
    told = json.dumps(words, sort_keys=True).encode()
    made.mkdir(mode=0o700)
    for path, (mode, data) in {**unpacked.files, MANIFEST: (0o644, told)}.items():
        whole = made / path
        whole.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            os.fchmod(handle, mode)
    return packages


def _compile(made: Path, python: Interpreter) -> None:
    """Compile every module; a file that is no Python stays as it is. In the sandbox nobody could write the result."""
    command = [str(python.prefix / "bin" / python.name), "-I", "-S", "-B", "-c", COMPILE, str(made)]
    try:
        subprocess.run(command, capture_output=True, timeout=COMPILE_S, check=True, cwd="/", env={})
    except (OSError, subprocess.SubprocessError) as err:
        raise LayerError("layer.compile_failed", "the wheels' modules cannot be compiled", "look at the lock") from err


def _protect(made: Path) -> None:
    """Take the right to write from everything, and give the guest's user the right to read."""
    for top, _, names in os.walk(made):
        os.chmod(top, 0o555)  # noqa: S103 (the guest's user is another one; the folder above is ours alone)
        for name in names:
            path = os.path.join(top, name)
            os.chmod(path, 0o555 if os.stat(path).st_mode & 0o100 else 0o444)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a name that nothing has; what is made there and not renamed is removed."""
    path = folder / (UNFINISHED + secrets.token_hex(8))
    try:
        yield path
    finally:
        if path.exists():
            remove(path)


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(UNFINISHED + secrets.token_hex(8))
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
    fresh.rename(path)
