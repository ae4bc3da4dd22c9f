"""ECDSA P-256 keys on disk: made once, refused when anybody else could have read them."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from evoguard.adapters import durable
from evoguard.domain.canonical import Digest, digest_of
from evoguard.errors import ConfigError, InputError

PASSPHRASE = "EVOGUARD_KEY_PASSPHRASE"  # noqa: S105  (the variable's name, not its content)
MAX_KEY_BYTES = 16_384


def generate(path: Path, *, passphrase: str = "") -> bytes:
    """Make a key in a new file of mode 0600, synced, and return its public PEM; an existing file is never touched.

    With a passphrase the file is encrypted. Raises: ConfigError when the file exists or cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    sealing: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing)
    try:
        durable.write(path.parent, path.name, raw, mode=0o600)
    except FileExistsError as err:
        raise ConfigError(
            f"{path} exists; a key is never overwritten", code="key.exists", fix="choose another file, or keep the key"
        ) from err
    except OSError as err:
        raise ConfigError(
            f"no key could be written to {path}: {err.strerror}", code="key.unwritable", fix="make its folder writable"
        ) from err
    return public_pem(key.public_key())


def load_private(path: Path, *, passphrase: str | None = None) -> ec.EllipticCurvePrivateKey:
    """Return the key in a PEM file that its owner alone can read; None takes the passphrase from the environment.

    Raises: ConfigError naming what is wrong and the mend.
    """
    raw = _private_bytes(path)
    words = os.environ.get(PASSPHRASE, "") if passphrase is None else passphrase
    encrypted = b"ENCRYPTED" in raw
    if encrypted and not words:
        raise ConfigError(f"{path} is encrypted", code="key.encrypted", fix=f"put its passphrase into {PASSPHRASE}")
    try:
        key = serialization.load_pem_private_key(raw, words.encode() if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        why = f"does not open with the passphrase in {PASSPHRASE}" if encrypted else "is not a PEM private key"
        raise ConfigError(f"{path} {why}", code="key.unreadable", fix="check the file with `openssl ec -in`") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(
            f"{path} is not an ECDSA key on curve P-256", code="key.curve", fix="make one: `evoguard key new FILE`"
        )
    return key


def load_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of a public PEM. Raises: InputError for a private key, another curve or anything else."""
    if len(pem) > MAX_KEY_BYTES or b"PUBLIC KEY-----" not in pem:
        raise InputError("not a PEM public key", code="key.public", fix="send the .pub file, never the private key")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise InputError("not a PEM public key", code="key.public", fix="send the .pub file as it was made") from err
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError("not an ECDSA key on curve P-256", code="key.curve", fix="make one: `evoguard key new FILE`")
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the one PEM form of a public key."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the key's SubjectPublicKeyInfo in DER, the bytes that name it."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> Digest:
    """Return `sha256:<hex>` of the key's SubjectPublicKeyInfo; two PEM spellings of one key have one fingerprint."""
    return digest_of(spki(key))


def spki_sha256(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the raw SHA-256 of the SubjectPublicKeyInfo, which a Sigstore bundle carries as its hint."""
    return hashlib.sha256(spki(key)).digest()


def _private_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_KEY_BYTES + 1)
    except OSError as err:
        raise ConfigError(
            f"the private key {path} cannot be read: {err.strerror}",
            code="key.missing",
            fix="name an existing key file, or make one: `evoguard key new FILE`",
        ) from err
    if b"PUBLIC KEY" in raw:
        fix = f"name the private one, most likely {path.with_suffix('')}"
        raise ConfigError(f"{path} is the public half of a key", code="key.public", fix=fix)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{path} can be read by others than its owner",
            code="key.exposed",
            fix=f"chmod 600 {path}, or make a new key",
        )
    if len(raw) > MAX_KEY_BYTES:
        raise ConfigError(f"{path} is too large to be a key", code="key.unreadable", fix="name a PEM private key")
    return raw
