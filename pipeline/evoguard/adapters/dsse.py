"""DSSE envelopes: one signature over exact bytes, checked before anything in them is looked at."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from evoguard.domain.canonical import Json, canonical
from evoguard.errors import AuthError, InputError

MAX_BYTES = 65_536
"""Of an envelope, a bundle or a latch file; larger ones are not looked at."""


def pae(kind: str, body: bytes) -> bytes:
    """Return the bytes that DSSE signs, so that no other payload type can be read out of a signature."""
    name = kind.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)


def sign(kind: str, body: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the DER signature over the payload."""
    return key.sign(pae(kind, body), ec.ECDSA(hashes.SHA256()))


def seal(kind: str, body: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the envelope of a payload as one line of canonical JSON."""
    envelope: Json = {
        "payload": b64(body),
        "payloadType": kind,
        "signatures": [{"sig": b64(sign(kind, body, key))}],
    }
    return canonical(envelope).decode("utf-8")


def unseal(envelope: object, kind: str, key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the payload of a parsed envelope, proved against one key; the payload has not been parsed yet.

    Raises: InputError for another shape, type or number of signatures; AuthError when the signature is not this key's.
    """
    if not isinstance(envelope, Mapping) or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise InputError("not a DSSE envelope", code="dsse.shape")
    if envelope["payloadType"] != kind:
        raise InputError(f"the payload type is not {kind}", code="dsse.type")
    signatures = envelope["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise InputError("an envelope carries exactly one signature", code="dsse.signatures")
    only = signatures[0]
    if not isinstance(only, Mapping) or not {"sig"} <= set(only) <= {"sig", "keyid"}:
        raise InputError("not a DSSE signature", code="dsse.shape")
    body, signature = unb64(envelope["payload"]), unb64(only["sig"])
    try:
        key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as err:
        raise AuthError("the signature is not this key's over these bytes", code="auth.signature") from err
    return body


def strict_json(raw: bytes) -> object:
    """Return bounded UTF-8 JSON without doubled keys, floats or huge integers, so that no two readers can disagree.

    Raises: InputError for anything else.
    """
    if len(raw) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes", code="json.size")
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_no_doubles,
            parse_float=_no_number,
            parse_constant=_no_number,
            parse_int=_small_int,
        )
    except (ValueError, RecursionError) as err:
        raise InputError("not strict JSON", code="json.malformed") from err


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_number(text: str) -> object:
    raise ValueError(f"not an integer: {text[:20]}")


def _small_int(text: str) -> int:
    if len(text) > 17:
        raise ValueError("an integer is too large")
    return int(text)


def b64(raw: bytes) -> str:
    """Return the one base64 spelling of bytes."""
    return base64.b64encode(raw).decode("ascii")


def unb64(text: object) -> bytes:
    """Decode the one base64 spelling; decoders that skip foreign characters accept many spellings of one envelope."""
    if not isinstance(text, str):
        raise InputError("not base64", code="dsse.base64")
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as err:
        raise InputError("not base64", code="dsse.base64") from err
    if b64(raw) != text:
        raise InputError("not the one base64 spelling of these bytes", code="dsse.base64")
    return raw
