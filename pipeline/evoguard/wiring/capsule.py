"""One file that decides again: everything a stranger needs to make a change's decisions anew without any code of ours.

Read by deploy/tools/verify_capsule.py. Everything in it is named by the digest of its bytes; the signed verification
summary names the digests, so nothing in the file vouches for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from evoguard import bundle
from evoguard.adapters import dsse
from evoguard.domain.canonical import Json, as_digest, canonical, digest_of
from evoguard.errors import InputError, IntegrityError
from evoguard.ports.artifacts import Artifacts
from evoguard.settings import Settings
from evoguard.wiring import proofs
from evoguard.wiring.state import open_state

FORMAT = "evoguard capsule 1"
DECISIONS = frozenset({"decision", "admit"})


async def capsule(settings: Settings, change: str) -> bytes:
    """Return the capsule of a change's newest attestation as canonical JSON.

    Raises: InputError without an attestation; IntegrityError when a part is missing or was changed.
    """
    claim = await proofs.claim_of(settings, change)
    opened = open_state(settings)
    try:
        return await pack(change, claim.bundle, opened.artifacts)
    finally:
        opened.close()


async def pack(change: str, attestation: bytes, artifacts: Artifacts) -> bytes:
    """Return the capsule of one attestation, its parts taken from `artifacts`. Raises: as `capsule`."""
    statement = _statement(attestation)
    inputs = _inputs(statement)
    parts = {digest: await artifacts.get(as_digest(digest)) for digest in inputs.values()}
    for name in DECISIONS & inputs.keys():
        record = _map(json.loads(parts[inputs[name]]))
        parts |= await _named_by(record, artifacts)
        if floor := _map(record.get("floor")):
            parts |= await _rules(str(floor.get("bundle")), artifacts)
        if (own := _map(record.get("repository"))) and own.get("decision"):
            parts |= await _rules(str(own.get("bundle")), artifacts)
    parts |= await _rules(_policy(statement), artifacts)
    doc: Json = {
        "format": FORMAT,
        "change": change,
        "attestation": attestation.decode(),
        "parts": {digest: dsse.b64(raw) for digest, raw in parts.items()},
    }
    return canonical(doc)


async def _rules(digest: str, artifacts: Artifacts) -> dict[str, bytes]:
    """Return the bundle's parts. One from before they were kept is there only while it is the one that ships."""
    shipped = bundle.load()
    if shipped.manifest.digest == digest:
        return {digest_of(part): part for part in shipped.to_decide_again}
    try:
        named = await artifacts.get(as_digest(digest))
        doc = json.loads(named)
        return {digest: named, **{doc[k]: await artifacts.get(as_digest(doc[k])) for k in ("wasm", "data")}}
    except IntegrityError as err:
        raise InputError(
            f"the rules that decided ({digest}) are not kept here", code="capsule.rules_gone",
            fix="install the version of evoguard that decided, or restore the artifacts folder",
        ) from err  # fmt: skip


async def _named_by(record: Mapping[str, Json], artifacts: Artifacts) -> dict[str, bytes]:
    """Return what a recorded decision rests on: the evidence and the scan that its question names."""
    question = _map(record.get("question"))
    digests = [_map(question.get(name)).get("digest") for name in ("evidence", "scan", "inspection", "regression")]
    return {str(d): await artifacts.get(as_digest(str(d))) for d in digests if d}


def _statement(attestation: bytes) -> Mapping[str, Json]:
    payload = json.loads(attestation)["dsseEnvelope"]["payload"]
    statement: Mapping[str, Json] = json.loads(dsse.unb64(payload))
    return statement


def _inputs(statement: Mapping[str, Json]) -> dict[str, str]:
    """Return name → digest of what the summary rests on."""
    told = _map(statement.get("predicate")).get("inputAttestations")
    rows = [_map(row) for row in told] if isinstance(told, list) else []
    return {
        str(row.get("uri")).removeprefix("evoguard:"): f"sha256:{_map(row.get('digest')).get('sha256')}" for row in rows
    }


def _policy(statement: Mapping[str, Json]) -> str:
    return f"sha256:{_map(_map(_map(statement.get('predicate')).get('policy')).get('digest')).get('sha256')}"


def _map(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
