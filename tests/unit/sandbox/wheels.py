"""Wheels and locks made here, byte by byte; nothing comes from an index."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evoguard_sandbox.layer_locks import Pin
from evoguard_sandbox.room import Interpreter

Fetch = Callable[[Sequence[Pin], Path, Interpreter], None]
FILE = 0o100644


def member(path: str, mode: int = FILE) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path)
    info.external_attr = mode << 16
    return info


def wheel(files: Mapping[str, str | bytes], name: str = "demo", version: str = "1.0", *, mode: int = FILE) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in {f"{name}-{version}.dist-info/METADATA": f"Name: {name}\n", **files}.items():
            archive.writestr(member(path, mode if path in files else FILE), text)
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def lock(**wheels: bytes) -> bytes:
    return "".join(f"{name}==1.0 --hash=sha256:{sha256(data)}\n" for name, data in wheels.items()).encode()


def fetching(**wheels: bytes) -> Fetch:
    """Return a source that has these wheels, whatever it is asked for."""

    def fetch(pins: Sequence[Pin], into: Path, python: Interpreter) -> None:
        for name, data in wheels.items():
            (into / f"{name}-1.0-py3-none-any.whl").write_bytes(data)

    return fetch
