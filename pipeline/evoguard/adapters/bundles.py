"""Policy bundles that people put in force, kept in the state folder under their digest."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from evoguard import bundle
from evoguard.adapters import dsse, durable
from evoguard.bundle import Bundle
from evoguard.domain.canonical import Digest, as_digest, canonical
from evoguard.domain.repository_rules import BUNDLE_TYPE
from evoguard.errors import AuthError, ConfigError, IntegrityError, UnavailableError

FOLDER = "bundles"
PARTS = (bundle.MANIFEST, bundle.WASM, bundle.TESTS, bundle.DATA, bundle.SCAN, bundle.SOURCES)
LEFT_OVER_S = 3_600
"""So old is what a killed process left half copied."""


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

    Raises: ConfigError when a file cannot be read; IntegrityError when it does not hold; UnavailableError when the
    disk refuses. Two who keep the same bundle at once both find it kept.
    """
    parts = {name: _part(source, name) for name in PARTS}
    home = state / FOLDER
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        _sweep(home)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
        try:
            return _placed(state, aside, parts)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as err:
        raise UnavailableError(
            "bundles", f"nothing was stored: {err.strerror}", fix="free space in the state folder"
        ) from err


def signature(digest: Digest, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the signature of whoever built a bundle, over its digest."""
    return f"{dsse.seal(BUNDLE_TYPE, signed_for(digest), key)}\n".encode()


def signature_in(folder: Path) -> bytes | None:
    """Return the signature beside a bundle, None where there is none. Raises: IntegrityError for no plain file."""
    try:
        return bundle.read_file(folder / bundle.SIGNATURE)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise IntegrityError(
            f"policy bundle: {bundle.SIGNATURE} cannot be read: {err.strerror}", code="integrity.signature"
        ) from err


def signed_by(raw: bytes, digest: Digest, known: Mapping[str, ec.EllipticCurvePublicKey]) -> str:
    """Return whose key of `known` signed exactly this bundle.

    Raises: AuthError when it is nobody's of them; InputError for another envelope; IntegrityError for another bundle.
    """
    envelope = dsse.strict_json(raw)
    for name, key in known.items():
        try:
            body = dsse.unseal(envelope, BUNDLE_TYPE, key)
        except AuthError:
            continue
        if body != signed_for(digest):
            raise IntegrityError(
                "policy bundle: its signature is over another bundle", code="integrity.signature",
                fix="build it again with --sign-with, or take the bundle as it was signed",
            )  # fmt: skip
        return name
    raise AuthError("policy bundle: its signature is by none of the keys that are known", code="auth.signature")


def keep_signature(state: Path, digest: Digest, raw: bytes) -> None:
    """Keep a signature that was proved beside the kept bundle. Raises: UnavailableError."""
    try:
        durable.write(place(state, digest), bundle.SIGNATURE, raw, mode=0o600, replace=True)
    except OSError as err:
        raise UnavailableError("bundles", f"nothing was stored: {err.strerror}", fix="free space there") from err


def signed_for(digest: Digest) -> bytes:
    """Return what a signature of a bundle is over, whoever asks for one."""
    return canonical({"bundle": digest})


def _placed(state: Path, aside: Path, parts: Mapping[str, bytes]) -> Digest:
    for name, raw in parts.items():
        durable.write(aside, name, raw, mode=0o600)
    bundle.sources(aside)
    digest = bundle.load(aside).manifest.digest
    target = place(state, digest)
    if target.exists() and not _whole(state, digest):
        os.replace(target, aside / "broken")
    try:
        os.replace(aside, target)
    except OSError:
        if not _whole(state, digest):  # else it was there, or somebody kept the same one meanwhile
            raise
    durable.sync(target.parent)
    return digest


def _part(source: Path, name: str) -> bytes:
    try:
        return bundle.read_file(source / name)
    except OSError as err:
        raise ConfigError(
            f"policy bundle: {name} cannot be read: {err.strerror}", code="policy.bundle",
            fix="name a folder that `evoguard policy build` wrote",
        ) from err  # fmt: skip


def _sweep(home: Path) -> None:
    """Remove what killed processes left half copied; what is younger may be somebody's work."""
    for path in home.glob(".new-*"):
        if path.lstat().st_mtime < time.time() - LEFT_OVER_S:
            shutil.rmtree(path, ignore_errors=True)


def _whole(state: Path, digest: Digest) -> bool:
    try:
        kept(state, digest)
    except IntegrityError:
        return False
    return True
