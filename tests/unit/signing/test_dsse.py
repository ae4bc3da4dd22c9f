from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from evoguard.adapters import dsse
from evoguard.errors import AuthError, EvoguardError, InputError

KEY = ec.generate_private_key(ec.SECP256R1())
KIND = "application/vnd.test+json"


def test_the_signed_bytes_are_those_of_the_dsse_specification():
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_count_bytes_not_characters():
    assert dsse.pae("ä", b"") == "DSSEv1 2 ä 0 ".encode()


@given(st.binary(max_size=300))
def test_whatever_is_sealed_comes_out_unchanged(body: bytes):
    envelope = dsse.strict_json(dsse.seal(KIND, body, KEY).encode())
    assert dsse.unseal(envelope, KIND, KEY.public_key()) == body


@given(st.binary(min_size=1, max_size=60), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_flipped_byte_of_an_envelope_yields_another_payload(body: bytes, place: int, flip: int):
    raw = bytearray(dsse.seal(KIND, body, KEY).encode())
    raw[place % len(raw)] ^= flip
    try:
        found = dsse.unseal(dsse.strict_json(bytes(raw)), KIND, KEY.public_key())
    except EvoguardError:
        return
    assert found == body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"a":1}}',
        b"1.5",
        b"1e3",
        b"NaN",
        b"-Infinity",
        b"\xff",
        b"[" * 50_000,
        b"1" * 30,
        b'{"a":1} trailing',
        b'"' + b"x" * 70_000 + b'"',
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(raw: bytes):
    with pytest.raises(InputError):
        dsse.strict_json(raw)


@pytest.mark.parametrize("extra", ["\n", " ", "=", "!", "-"])
def test_base64_has_one_spelling(extra: str):
    doc = json.loads(dsse.seal(KIND, b"payload", KEY))
    doc["payload"] = doc["payload"] + extra
    with pytest.raises(InputError):
        dsse.unseal(doc, KIND, KEY.public_key())


def test_bits_hidden_behind_the_base64_padding_are_refused():
    doc = json.loads(dsse.seal(KIND, b"a", KEY))
    assert doc["payload"] == "YQ=="
    doc["payload"] = "YR=="
    with pytest.raises(InputError, match="one base64 spelling"):
        dsse.unseal(doc, KIND, KEY.public_key())


def test_a_signature_for_one_payload_type_is_none_for_another():
    doc = json.loads(dsse.seal(KIND, b"payload", KEY))
    doc["payloadType"] = "application/vnd.other"
    with pytest.raises(AuthError):
        dsse.unseal(doc, "application/vnd.other", KEY.public_key())


def test_a_key_id_is_allowed_and_chooses_nothing():
    doc = json.loads(dsse.seal(KIND, b"payload", KEY))
    doc["signatures"][0]["keyid"] = "of somebody else"
    assert dsse.unseal(doc, KIND, KEY.public_key()) == b"payload"


@pytest.mark.parametrize(
    "doc", [None, [], "x", {}, {"payload": "", "payloadType": KIND, "signatures": [], "more": 1}, {"payload": "YQ=="}]
)
def test_anything_but_an_envelope_is_refused(doc: object):
    with pytest.raises(InputError):
        dsse.unseal(doc, KIND, KEY.public_key())
