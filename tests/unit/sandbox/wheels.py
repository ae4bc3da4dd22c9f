"""Wheels and locks made here, byte by byte; nothing comes from an index."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evoguard_sandbox.installing.locks import Pin
from evoguard_sandbox.rooms.room import Interpreter

Fetch = Callable[[Sequence[Pin], Path, Interpreter], None]
FILE = 0o100644


def member(path: str, mode: int = FILE) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path)
    info.external_attr = mode << 16
    return info


def wheel(
    files: Mapping[str, str | bytes],
    name: str = "demo",
    version: str = "1.0",
    *,
    mode: int = FILE,
    record: str | None = None,
    metadata: str = "",
) -> bytes:
    """Return a wheel that is true of itself, unless a `record` or lines of `metadata` are given."""
    info = f"{name}-{version}.dist-info"
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    whole: dict[str, str | bytes] = {f"{info}/METADATA": told, **files}
    if record is None:
        record = "".join(f"{path},sha256={urlsafe(data)},\n" for path, data in whole.items()) + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in {**whole, f"{info}/RECORD": record}.items():
            archive.writestr(member(path, mode if path in files else FILE), text)
    return out.getvalue()


def urlsafe(data: str | bytes) -> str:
    """Return a hash as RECORD writes it."""
    digest = hashlib.sha256(data.encode() if isinstance(data, str) else data).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


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
