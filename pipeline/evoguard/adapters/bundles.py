"""Policy bundles that people put in force, kept in the state folder under their digest."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from evoguard import bundle
from evoguard.bundle import Bundle
from evoguard.domain.canonical import Digest, as_digest
from evoguard.errors import ConfigError, IntegrityError, UnavailableError

FOLDER = "bundles"
NEEDED = (bundle.MANIFEST, bundle.WASM, bundle.TESTS, bundle.DATA, bundle.SCAN)
SOURCES = "sources.json"
"""What the rules were written as, for people; a bundle judges without it."""
MOST_BYTES = 64 << 20
"""Of one file of a bundle."""


def kept(state: Path, digest: Digest) -> Bundle:
    """Return a kept bundle, proved against its digest. Raises: IntegrityError when it is missing or another."""
    folder = place(state, digest)
    loaded = bundle.load(folder)
    if loaded.manifest.digest != digest:
        raise IntegrityError(
            f"policy bundle: {folder.name} holds another one", code="integrity.policies",
            fix="restore the folder `bundles` of the state",
        )  # fmt: skip
    return loaded


def place(state: Path, digest: Digest) -> Path:
    """Return where a bundle is kept."""
    return state / FOLDER / as_digest(digest).removeprefix("sha256:")


def keep(state: Path, source: Path) -> Digest:
    """Copy a bundle into the state folder and return its digest; it is proved as it was copied, then appears whole.

    Raises: ConfigError when a file is too large or cannot be read; IntegrityError when it does not hold;
    UnavailableError when the disk refuses.
    """
    home = state / FOLDER
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
    except OSError as err:
        raise UnavailableError("bundles", f"nothing was stored: {err.strerror}", fix="free space in the state") from err
    try:
        for name in (*NEEDED, SOURCES):
            _copy(source / name, aside / name, needed=name in NEEDED)
        digest = bundle.load(aside).manifest.digest
        target = place(state, digest)
        if target.exists() and not _whole(state, digest):
            os.replace(target, aside / "broken")
        if not target.exists():
            os.replace(aside, target)
        return digest
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy(source: Path, target: Path, *, needed: bool) -> None:
    try:
        with source.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as err:
        if not needed:
            return
        raise ConfigError(
            f"policy bundle: {source.name} cannot be read: {err.strerror}", code="policy.bundle",
            fix="name a folder that `evoguard policy build` wrote",
        ) from err  # fmt: skip
    if len(raw) > MOST_BYTES:
        raise ConfigError(
            f"policy bundle: {source.name} is larger than {MOST_BYTES} bytes", code="policy.bundle",
            fix="name a folder that `evoguard policy build` wrote",
        )  # fmt: skip
    with target.open("wb") as out:
        out.write(raw)
        out.flush()
        os.fsync(out.fileno())


def _whole(state: Path, digest: Digest) -> bool:
    try:
        kept(state, digest)
    except IntegrityError:
        return False
    return True
