"""Attacks on signatures: forged, foreign, cut, extended, doubled, swapped, and the right hint over the wrong key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from evoguard.adapters import dsse
from evoguard.adapters.signer import INTOTO_TYPE, sign_command
from evoguard.domain.canonical import canonical
from evoguard.domain.identity import COMMAND_TYPE
from evoguard.errors import AuthError, EvoguardError, InputError, IntegrityError
from unit.signing.people import a_command, a_signer, a_statement, an_actor

Tampering = Callable[[dict[str, Any]], None]


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def signature_of(doc: dict[str, Any]) -> bytes:
    return base64.b64decode(doc["signatures"][0]["sig"])


def cut(doc: dict[str, Any]) -> None:
    doc["signatures"][0]["sig"] = b64(signature_of(doc)[:-1])


def extended(doc: dict[str, Any]) -> None:
    doc["signatures"][0]["sig"] = b64(signature_of(doc) + b"\0")


def flipped(doc: dict[str, Any]) -> None:
    raw = bytearray(signature_of(doc))
    raw[-1] ^= 1
    doc["signatures"][0]["sig"] = b64(bytes(raw))


def emptied(doc: dict[str, Any]) -> None:
    doc["signatures"][0]["sig"] = ""


def zero(doc: dict[str, Any]) -> None:
    doc["signatures"][0]["sig"] = b64(b"\x30\x06\x02\x01\x00\x02\x01\x00")


def doubled(doc: dict[str, Any]) -> None:
    doc["signatures"] *= 2


def none(doc: dict[str, Any]) -> None:
    doc["signatures"] = []


def foreign_beside_it(doc: dict[str, Any]) -> None:
    doc["signatures"].append({"sig": b64(dsse.sign(INTOTO_TYPE, b"x", ec.generate_private_key(ec.SECP256R1())))})


def payload_swapped(doc: dict[str, Any]) -> None:
    doc["payload"] = b64(canonical(a_statement(at_s=1)))


def payload_extended(doc: dict[str, Any]) -> None:
    doc["payload"] = b64(base64.b64decode(doc["payload"]) + b" ")


def type_swapped(doc: dict[str, Any]) -> None:
    doc["payloadType"] = "text/plain"


def field_added(doc: dict[str, Any]) -> None:
    doc["payload2"] = doc["payload"]


TAMPERINGS: list[Tampering] = [
    cut, extended, flipped, emptied, zero, doubled, none, foreign_beside_it,
    payload_swapped, payload_extended, type_swapped, field_added,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda t: t.__name__)
async def test_a_tampered_bundle_does_not_verify(tmp_path: Path, tamper: Tampering):
    signer = a_signer(tmp_path)
    doc = json.loads(await signer.attest(a_statement()))
    assert await signer.verify(json.dumps(doc).encode())
    tamper(doc["dsseEnvelope"])
    with pytest.raises(IntegrityError):
        await signer.verify(json.dumps(doc).encode())


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda t: t.__name__)
async def test_a_tampered_command_is_no_command(tmp_path: Path, tamper: Tampering):
    ada = an_actor("ada")
    doc = json.loads(ada.signs("kill-00000001"))
    tamper(doc)
    with pytest.raises((AuthError, InputError)):
        await a_signer(tmp_path).command(json.dumps(doc), ada.identity)


async def test_a_bundle_of_another_service_does_not_verify_under_the_hint_of_ours(tmp_path: Path):
    ours, theirs = a_signer(tmp_path, "ours.key"), a_signer(tmp_path, "theirs.key")
    doc = json.loads(await theirs.attest(a_statement()))
    doc["verificationMaterial"] = json.loads(await ours.attest(a_statement()))["verificationMaterial"]
    with pytest.raises(IntegrityError):
        await ours.verify(json.dumps(doc).encode())


async def test_a_refused_changes_bundle_cannot_be_turned_into_a_passed_one(tmp_path: Path):
    signer = a_signer(tmp_path)
    doc = json.loads(await signer.attest(a_statement(passed=False)))
    doc["dsseEnvelope"]["payload"] = b64(canonical(a_statement(passed=True)))
    with pytest.raises(IntegrityError):
        await signer.verify(json.dumps(doc).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1"},
        {"mediaType": None},
        {"verificationMaterial": {"tlogEntries": []}},
        {"verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": [{"logIndex": "1"}]}},
        {"verificationMaterial": {"certificate": {"rawBytes": ""}, "tlogEntries": []}},
        {"verificationMaterial": {"publicKey": {"hint": 1}, "tlogEntries": []}},
        {"messageSignature": {"signature": ""}},
        {"dsseEnvelope": None},
    ],
    ids=str,
)
async def test_a_bundle_with_anything_that_cannot_be_proved_does_not_verify(tmp_path: Path, change: dict[str, Any]):
    signer = a_signer(tmp_path)
    doc = json.loads(await signer.attest(a_statement()))
    with pytest.raises(IntegrityError):
        await signer.verify(json.dumps({**doc, **change}).encode())


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"{" * 100, b" " * 70_000])
async def test_a_bundle_that_is_none_does_not_verify(tmp_path: Path, raw: bytes):
    with pytest.raises(IntegrityError):
        await a_signer(tmp_path).verify(raw)


async def test_a_second_envelope_hidden_under_a_doubled_key_does_not_verify(tmp_path: Path):
    signer = a_signer(tmp_path)
    raw = await signer.attest(a_statement())
    envelope = json.dumps(json.loads(raw)["dsseEnvelope"])
    for doubled_key in (f'"dsseEnvelope":{envelope}', '"mediaType":"x"'):
        with pytest.raises(IntegrityError):
            await signer.verify(raw[:-1] + b"," + doubled_key.encode() + b"}")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"_type":"https://in-toto.io/Statement/v1","a":1,"a":2}',
        b'{"_type":"https://in-toto.io/Statement/v1","a":1.5}',
        b'{"_type":"https://in-toto.io/Statement/v1","a":"\\ud800"}',
        b'{"_type":"https://in-toto.io/Statement/v0.1"}',
        b"[]",
    ],
)
async def test_even_the_right_key_cannot_sign_a_statement_that_reads_two_ways(tmp_path: Path, payload: bytes):
    from evoguard.adapters import keys

    signer = a_signer(tmp_path)
    doc = json.loads(await signer.attest(a_statement()))
    doc["dsseEnvelope"] = json.loads(dsse.seal(INTOTO_TYPE, payload, keys.load_private(tmp_path / "service.key")))
    with pytest.raises(IntegrityError):
        await signer.verify(json.dumps(doc).encode())


async def test_a_command_is_only_heard_from_the_key_of_its_sender(tmp_path: Path):
    ada, mallory = an_actor("ada"), an_actor("mallory", "agent")
    signer = a_signer(tmp_path)
    as_ada = sign_command(a_command("ada", "kill-00000001"), mallory.key)
    with pytest.raises(AuthError):
        await signer.command(as_ada, ada.identity)
    with pytest.raises(AuthError) as caught:
        await signer.command(as_ada, mallory.identity)
    assert caught.value.code == "auth.name"


async def test_a_revoked_identity_is_not_heard(tmp_path: Path):
    ada = an_actor("ada")
    with pytest.raises(AuthError) as caught:
        await a_signer(tmp_path).command(ada.signs("kill-00000001"), replace(ada.identity, revoked=True))
    assert caught.value.code == "auth.revoked"


async def test_a_registered_key_that_is_none_hears_nobody(tmp_path: Path):
    ada = an_actor("ada")
    with pytest.raises(AuthError):
        await a_signer(tmp_path).command(ada.signs("kill-00000001"), replace(ada.identity, public_pem="\ud800 none"))


async def test_an_attestation_is_no_command_and_a_command_no_attestation(tmp_path: Path):
    ada = an_actor("ada")
    signer = a_signer(tmp_path)
    body = canonical(a_command("ada", "kill-00000001").as_json())
    with pytest.raises(InputError):
        await signer.command(dsse.seal(INTOTO_TYPE, body, ada.key), ada.identity)


GOOD = a_command("ada", "kill-00000001").as_json()


@pytest.mark.parametrize(
    "payload",
    [
        {**GOOD, "purpose": "open sesame"},
        {**GOOD, "purpose": 1},
        {**GOOD, "nonce": "short"},
        {**GOOD, "nonce": "n" * 65},
        {**GOOD, "nonce": "n" * 31 + "\n"},
        {**GOOD, "expires": True},
        {**GOOD, "expires": "4000000000"},
        {**GOOD, "expires": 0},
        {**GOOD, "expires": -1},
        {**GOOD, "detail": None},
        {**GOOD, "more": ""},
        {key: GOOD[key] for key in GOOD if key != "detail"},
        [],
    ],
    ids=str,
)
async def test_a_signed_payload_of_another_shape_is_no_command(tmp_path: Path, payload: Any):  # noqa: ANN401
    ada = an_actor("ada")
    with pytest.raises(InputError):
        await a_signer(tmp_path).command(dsse.seal(COMMAND_TYPE, canonical(payload), ada.key), ada.identity)


@pytest.mark.parametrize("spelling", [{"indent": 1}, {"sort_keys": False}, {"ensure_ascii": True}])
async def test_only_the_canonical_payload_is_a_command(tmp_path: Path, spelling: dict[str, Any]):
    ada = an_actor("ada")
    raw = json.dumps({**GOOD, "detail": "ä"}, **{"separators": (",", ":"), "sort_keys": True, **spelling}).encode()
    with pytest.raises(InputError):
        await a_signer(tmp_path).command(dsse.seal(COMMAND_TYPE, raw, ada.key), ada.identity)


async def test_without_the_signature_check_a_forged_command_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The gate is load-bearing: the same forgery is refused with it and heard without it."""
    ada, mallory = an_actor("ada"), an_actor("mallory")
    forged = sign_command(a_command("ada", "kill-00000001"), mallory.key)
    signer = a_signer(tmp_path)
    with pytest.raises(EvoguardError):
        await signer.command(forged, ada.identity)
    monkeypatch.setattr(dsse, "unseal", lambda doc, kind, key: base64.b64decode(doc["payload"]))
    assert (await signer.command(forged, ada.identity)).by == "ada"
