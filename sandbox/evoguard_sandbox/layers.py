"""Dependency layers: from the base's lock to one read-only folder of verified wheels, named by its content.

A layer is mounted read-only in the sandbox, second on sys.path after the test runner's own. No package's code runs
while it is built; wheels only. Source: docs/adr/0005-the-verdict.md
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
from pathlib import Path

from evoguard_sandbox.layer_locks import DEFAULT_LOCK, LOOSE_LOCK, LayerError, Pin, lock_changed, lock_of, normal, parse
from evoguard_sandbox.layer_pip import NO_WHEEL, pip
from evoguard_sandbox.layer_store import (
    BUILDING,
    KEYS,
    MANIFEST,
    UNFINISHED,
    Garbage,
    Layer,
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
from evoguard_sandbox.layer_wheels import Caps, Unpacked, add_wheel
from evoguard_sandbox.room import Interpreter
from evoguard_sandbox.shown import shown

DEFAULT_LOCKS = (DEFAULT_LOCK, LOOSE_LOCK)
__all__ = [
    "DEFAULT_LOCKS",
    "Caps",
    "Garbage",
    "Layer",
    "LayerError",
    "build",
    "collect_garbage",
    "hold",
    "lock_changed",
    "lock_of",
    "verify",
]

Fetch = Callable[[Sequence[Pin], Path, Interpreter], None]
"""Puts one wheel for each pin into a folder; what it brings is not believed."""

COMPILE_S = 600
WHICH = "import sys, sysconfig; print(sys.implementation.cache_tag, *sys.version_info[:3], sysconfig.get_platform())"
COMPILE = """
import compileall, py_compile, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(sys.argv[1], quiet=2, force=True, stripdir=sys.argv[1], invalidation_mode=mode, workers=1)
"""


def build(lock: bytes, *, folder: Path, python: Interpreter, fetch: Fetch = pip, caps: Caps | None = None) -> Layer:
    """Return the verified layer of a lock for one interpreter, built once for the same lock.

    Only the builder's user may reach into `folder`; one build at a time runs in it.
    Raises: LayerError, and nothing is left behind under a digest.
    """
    pins, target = parse(lock), _target(python)
    folder = open_folder(folder)
    key = folder / KEYS / hashlib.sha256(json.dumps([lock.decode(), target]).encode()).hexdigest()
    with locked(folder / BUILDING, fcntl.LOCK_EX):
        known = _known(folder, key, pins, target)
        if known is not None:
            return known
        with _scratch(folder) as made, _scratch(folder) as wheels:
            wheels.mkdir(mode=0o700)
            fetch(pins, wheels, python)
            packages = _fill(made, _wheels(wheels, pins, caps or Caps()), target, caps or Caps())
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


def _known(folder: Path, key: Path, pins: Sequence[Pin], target: str) -> Layer | None:
    """Return the layer that an earlier build noted for the lock. The note is a hint: the layer itself must fit."""
    try:
        digest = key.read_text(encoding="ascii")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or not place(folder, digest).exists():
            return None
    except (OSError, ValueError):
        return None
    layer, built_for = load(folder, digest)
    return layer if built_for == target and _fits(layer.packages, pins) else None


def _fits(packages: Sequence[tuple[str, str, str]], pins: Sequence[Pin]) -> bool:
    """Tell whether these wheels are what the lock asks for: each one hashed in it, none missing but by a marker."""
    by_pin = [[p for p in packages if p[2] in pin.hashes and normal(p[0]) == normal(pin.name)] for pin in pins]
    whole = all(len(found) == 1 or (not found and pin.marker) for found, pin in zip(by_pin, pins, strict=True))
    return whole and sum(map(len, by_pin)) == len(packages)


def _wheels(folder: Path, pins: Sequence[Pin], caps: Caps) -> list[tuple[tuple[str, str, str], str, bytes]]:
    """Return each wheel as (package, file name, bytes): the bytes that were hashed are the bytes that are unpacked."""
    found = []
    for path in sorted(folder.iterdir()):
        name = re.fullmatch(r"([A-Za-z0-9._]+)-[A-Za-z0-9._!+-]+\.whl", path.name)
        if name is None:
            raise LayerError("layer.no_wheel", f"{shown(path.name)} is not a wheel", NO_WHEEL)
        data = _read(path, caps.wheel_bytes)
        value = hashlib.sha256(data).hexdigest()
        same = [pin for pin in pins if normal(pin.name) == normal(name[1])]
        pin = next((pin for pin in same if value in pin.hashes), None)
        if pin is None:
            fix = "write the lock again, and look at what changed"
            raise LayerError("layer.hash_mismatch", f"{shown(path.name)} is no file that the lock names", fix)
        found.append(((pin.name, pin.version, value), path.name, data))
    if not _fits([package for package, _, _ in found], pins):
        names = sorted({pin.name for pin in pins if not pin.marker} - {package[0] for package, _, _ in found})
        text = f"not every package of the lock came as one wheel: {', '.join(names[:5]) or 'one came twice'}"
        raise LayerError("layer.no_wheel", text, NO_WHEEL)
    return found


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
    made: Path, wheels: Sequence[tuple[tuple[str, str, str], str, bytes]], target: str, caps: Caps
) -> tuple[tuple[str, str, str], ...]:
    """Write the wheels' files and what they are; what they are is part of the digest."""
    unpacked = Unpacked()
    for _, name, data in wheels:
        add_wheel(unpacked, name, data, caps)
    packages = tuple(sorted(package for package, _, _ in wheels))
    told = json.dumps({"python": target, "packages": packages}, sort_keys=True).encode()
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
