"""Content-addressed files: evidence, decisions and bundles under the digest of their bytes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from evoguard.adapters import durable
from evoguard.domain.canonical import Digest, as_digest, digest_of
from evoguard.errors import InputError, IntegrityError, UnavailableError


class FileArtifacts:
    """Bytes in `<folder>/sha256/ab/<62 hex>`, mode 0600 in folders of 0700; every read is proved against its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, raw: bytes) -> Digest:
        """Store bytes durably and return their digest. Raises: UnavailableError when the disk refuses."""
        return await asyncio.to_thread(self.keep, raw)

    async def get(self, digest: Digest) -> bytes:
        """Return the bytes, proved against the digest. Raises: IntegrityError when missing or changed."""
        return await asyncio.to_thread(self._get, digest)

    def keep(self, raw: bytes) -> Digest:
        """Do what `put` does, here and now."""
        digest = digest_of(raw)
        path = self._path(digest)
        try:
            if _read(path) != raw:
                _make_folders(self._folder, path.parent)
                durable.write(path.parent, path.name, raw, mode=0o600, replace=True)
            else:
                durable.sync(path.parent)
        except OSError as err:
            raise UnavailableError(
                "artifacts", f"nothing was stored: {err.strerror}", fix="free space in, or mend, the artifacts folder"
            ) from err
        return digest

    def _get(self, digest: Digest) -> bytes:
        try:
            raw = _read(self._path(digest))
        except OSError as err:
            raise UnavailableError("artifacts", f"unreadable: {err.strerror}", fix="mend the artifacts folder") from err
        if raw is None:
            raise IntegrityError(f"{digest} is missing", code="artifact.missing", fix="restore the artifacts folder")
        if digest_of(raw) != digest:
            raise IntegrityError(f"{digest} was changed", code="artifact.changed", fix="restore the artifacts folder")
        return raw

    def _path(self, digest: Digest) -> Path:
        try:
            name = as_digest(digest).removeprefix("sha256:")
        except ValueError as err:
            raise InputError(str(err), code="artifact.digest") from err
        return self._folder / "sha256" / name[:2] / name[2:]


def _read(path: Path) -> bytes | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(file, "rb") as opened:
        return opened.read()


def _make_folders(top: Path, leaf: Path) -> None:
    """Make the folders between `top` and `leaf`, each durable in its parent before anything is put into it."""
    for folder in (top, leaf.parent, leaf):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.sync(folder.parent)
