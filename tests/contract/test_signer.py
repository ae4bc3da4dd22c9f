"""What every signer promises; the local one keeps its key in a file."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from sigstore_models.bundle.v1 import Bundle

from evoguard.adapters import keys
from evoguard.adapters.signer import BUNDLE_TYPE, LocalSigner, new_nonce, sign_command
from evoguard.errors import ConfigError, IntegrityError
from evoguard.ports.signer import Signer
from unit.signing.people import a_command, a_signer, a_statement, an_actor


def kept(signer: Signer) -> Signer:
    """Type-check that the adapter is what the port asks for."""
    return signer


async def test_a_stranger_with_the_public_key_alone_reads_the_statement(tmp_path: Path):
    bundle = await kept(a_signer(tmp_path)).attest(a_statement())
    public = keys.public_pem(keys.load_private(tmp_path / "service.key").public_key())
    assert await LocalSigner(None, public).verify(bundle) == a_statement()


async def test_a_bundle_is_a_sigstore_bundle_of_version_0_3(tmp_path: Path):
    raw = await a_signer(tmp_path).attest(a_statement())
    bundle = Bundle.from_json(raw)
    assert bundle.media_type == BUNDLE_TYPE
    assert bundle.dsse_envelope is not None
    assert bundle.dsse_envelope.payload_type == "application/vnd.in-toto+json"
    assert [signature.keyid for signature in bundle.dsse_envelope.signatures] == [None]
    assert len(raw) < 4096


async def test_the_hint_is_the_digest_of_the_public_key(tmp_path: Path):
    doc = json.loads(await a_signer(tmp_path).attest(a_statement()))
    public = keys.load_private(tmp_path / "service.key").public_key()
    hint = doc["verificationMaterial"]["publicKey"]["hint"]
    assert f"sha256:{base64.b64decode(hint).hex()}" == keys.fingerprint(public)


async def test_a_process_without_a_private_key_signs_nothing(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        await LocalSigner(None, keys.generate(tmp_path / "a.key")).attest(a_statement())
    assert caught.value.code == "key.none"


async def test_a_private_key_of_another_pair_signs_nothing(tmp_path: Path):
    keys.generate(tmp_path / "a.key")
    with pytest.raises(ConfigError) as caught:
        await LocalSigner(tmp_path / "a.key", keys.generate(tmp_path / "b.key")).attest(a_statement())
    assert caught.value.code == "key.pair"


async def test_a_key_that_was_exposed_signs_nothing(tmp_path: Path):
    signer = a_signer(tmp_path)
    (tmp_path / "service.key").chmod(0o644)
    with pytest.raises(ConfigError):
        await signer.attest(a_statement())


def test_a_public_key_that_is_none_is_a_config_error():
    with pytest.raises(ConfigError):
        LocalSigner(None, b"no key")


async def test_a_command_comes_back_as_it_was_signed(tmp_path: Path):
    ada = an_actor("ada")
    command = a_command("ada", "ch-0123456789ab", purpose="approve", nonce=new_nonce(), detail="warum: ä")
    assert await a_signer(tmp_path).command(sign_command(command, ada.key), ada.identity) == command


def test_no_two_nonces_are_equal():
    assert len({new_nonce() for _ in range(100)}) == 100


async def test_a_statement_that_is_none_is_refused(tmp_path: Path):
    signer = a_signer(tmp_path)
    with pytest.raises(IntegrityError):
        await signer.verify(await signer.attest({"_type": "something else"}))
