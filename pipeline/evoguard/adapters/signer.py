"""Signing with a local P-256 key, and verifying as a stranger who has the public key alone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric import ec

from evoguard.adapters import dsse, keys
from evoguard.domain.attestation import STATEMENT_TYPE
from evoguard.domain.canonical import Json, canonical
from evoguard.domain.identity import COMMAND_TYPE, PURPOSES, Command, Identity
from evoguard.errors import AuthError, ConfigError, EvoguardError, InputError, IntegrityError

INTOTO_TYPE = "application/vnd.in-toto+json"
BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_FIELDS = frozenset({"purpose", "subject", "by", "nonce", "expires", "detail"})
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")


class LocalSigner:
    """The service's key in a file, or no key at all for somebody who only verifies.

    The key that verifies is the one handed in for this role; the hint inside a bundle chooses nothing.
    """

    def __init__(self, key_path: Path | None, public_pem: bytes) -> None:
        self._key_path = key_path
        try:
            self._public = keys.load_public(public_pem)
        except InputError as err:
            raise ConfigError(f"the service's public key: {err.message}", code=err.code, fix=err.fix) from err

    @cached_property
    def _private(self) -> ec.EllipticCurvePrivateKey:
        if self._key_path is None:
            raise ConfigError("no private key: this process may only verify", code="key.none")
        key = keys.load_private(self._key_path)
        if keys.fingerprint(key.public_key()) != keys.fingerprint(self._public):
            raise ConfigError(
                f"{self._key_path} does not belong to the published public key",
                code="key.pair",
                fix="restore the pair from one backup; what was signed before verifies with the old public key only",
            )
        return key

    async def attest(self, statement: Mapping[str, Json]) -> bytes:
        """Return a Sigstore bundle v0.3 over an in-toto statement. Raises: ConfigError when the key is unusable."""
        from sigstore_models.bundle.v1 import Bundle, VerificationMaterial
        from sigstore_models.common.v1 import PublicKeyIdentifier
        from sigstore_models.intoto import Envelope, Signature

        body = canonical(statement)
        signature = dsse.sign(INTOTO_TYPE, body, self._private)
        hint = dsse.b64(keys.spki_sha256(self._public))
        bundle = Bundle(
            media_type=BUNDLE_TYPE,
            verification_material=VerificationMaterial(public_key=PublicKeyIdentifier(hint=hint), tlog_entries=[]),
            dsse_envelope=Envelope(
                payload=dsse.b64(body).encode(),
                payload_type=INTOTO_TYPE,
                signatures=[Signature(sig=dsse.b64(signature).encode())],
            ),
        )
        return bundle.to_json().encode("utf-8")

    async def verify(self, bundle: bytes) -> Mapping[str, Json]:
        """Return the statement of a bundle as a stranger with the public key alone would. Raises: IntegrityError."""
        try:
            return _statement(dsse.unseal(_envelope(bundle), INTOTO_TYPE, self._public))
        except EvoguardError as err:
            raise IntegrityError(f"the bundle does not verify: {err.message}", code="bundle.invalid") from err

    async def command(self, envelope: str, identity: Identity) -> Command:
        """Return the command in a DSSE envelope signed by exactly this identity. Raises: AuthError, InputError.

        The caller checks purpose, subject, expiry and that the nonce is new: a signature alone is no permission.
        """
        return read_command(envelope, identity)


def sign_command(command: Command, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the DSSE envelope of a command, signed with its sender's own key."""
    return dsse.seal(COMMAND_TYPE, canonical(command.as_json()), key)


def new_nonce() -> str:
    """Return 32 characters nobody has used before."""
    return secrets.token_urlsafe(24)


def read_command(envelope: str, identity: Identity) -> Command:
    """Return the command that exactly this identity signed. Raises: AuthError, InputError."""
    if identity.revoked:
        raise AuthError(f"{identity.name} is revoked", code="auth.revoked")
    try:
        key = keys.load_public(identity.public_pem.encode("utf-8", "replace"))
    except InputError as err:
        raise AuthError(f"the registered key of {identity.name} is unusable", code="auth.key") from err
    parsed = dsse.strict_json(envelope.encode("utf-8", "replace"))
    command = _command(dsse.unseal(parsed, COMMAND_TYPE, key))
    if command.by != identity.name:
        raise AuthError("the command speaks for somebody else", code="auth.name")
    return command


def _command(body: bytes) -> Command:
    doc = dsse.strict_json(body)
    if not isinstance(doc, dict) or set(doc) != _FIELDS:
        raise InputError("a command has other fields", code="command.shape")
    texts = {name: doc[name] for name in _FIELDS - {"expires"}}
    expires = doc["expires"]
    if not all(isinstance(text, str) for text in texts.values()) or type(expires) is not int or expires <= 0:
        raise InputError("a command's field has the wrong type", code="command.shape")
    command = Command(expires=expires, **cast("dict[str, str]", texts))
    if command.purpose not in PURPOSES:
        raise InputError("unknown purpose", code="command.purpose", fix=f"one of {', '.join(sorted(PURPOSES))}")
    if not _NONCE.match(command.nonce):
        raise InputError("a nonce has 16-64 letters, digits, dashes or underscores", code="command.nonce")
    if _canonical(command.as_json()) != body:
        raise InputError("the payload is not canonical JSON", code="command.canonical")
    return command


def _envelope(bundle: bytes) -> object:
    """Return a bundle's envelope; every other part must be what `attest` writes, as nothing else could be proved."""
    doc = dsse.strict_json(bundle)
    if not isinstance(doc, dict) or set(doc) != {"mediaType", "verificationMaterial", "dsseEnvelope"}:
        raise InputError("not a Sigstore bundle over a DSSE envelope", code="bundle.shape")
    if doc["mediaType"] != BUNDLE_TYPE:
        raise InputError(f"the media type is not {BUNDLE_TYPE}", code="bundle.type")
    material = doc["verificationMaterial"]
    if not isinstance(material, dict) or set(material) != {"publicKey", "tlogEntries"} or material["tlogEntries"] != []:
        raise InputError("verification material that this verifier cannot prove", code="bundle.material")
    hint = material["publicKey"]
    if not isinstance(hint, dict) or set(hint) != {"hint"} or not isinstance(hint["hint"], str):
        raise InputError("not a public-key bundle", code="bundle.material")
    return doc["dsseEnvelope"]


def _statement(body: bytes) -> Mapping[str, Json]:
    doc = dsse.strict_json(body)
    if not isinstance(doc, dict) or doc.get("_type") != STATEMENT_TYPE:
        raise InputError("the payload is not an in-toto statement", code="bundle.statement")
    statement = cast("Mapping[str, Json]", doc)
    _canonical(statement)
    return statement


def _canonical(value: Json) -> bytes:
    try:
        return canonical(value)
    except ValueError as err:
        raise InputError("text that cannot be encoded", code="json.malformed") from err
