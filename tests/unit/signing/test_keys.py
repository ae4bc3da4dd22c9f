from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from evoguard.adapters import keys
from evoguard.errors import ConfigError, InputError


def test_a_new_key_is_readable_by_its_owner_alone_and_loads_again(tmp_path: Path):
    pem = keys.generate(tmp_path / "a.key")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert keys.public_pem(keys.load_private(tmp_path / "a.key").public_key()) == pem


def test_an_existing_key_is_never_overwritten(tmp_path: Path):
    pem = keys.generate(tmp_path / "a.key")
    with pytest.raises(ConfigError, match="never overwritten"):
        keys.generate(tmp_path / "a.key")
    assert keys.public_pem(keys.load_private(tmp_path / "a.key").public_key()) == pem


def test_a_key_in_a_missing_folder_is_refused_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        keys.generate(tmp_path / "nowhere" / "a.key")
    assert caught.value.code == "key.unwritable"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_key_that_others_can_reach_is_refused_with_the_mend(tmp_path: Path, mode: int):
    keys.generate(tmp_path / "a.key")
    (tmp_path / "a.key").chmod(mode)
    with pytest.raises(ConfigError) as caught:
        keys.load_private(tmp_path / "a.key")
    assert caught.value.code == "key.exposed"
    assert "chmod 600" in caught.value.fix


def test_an_encrypted_key_opens_with_the_passphrase_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pem = keys.generate(tmp_path / "a.key", passphrase="correct horse")
    monkeypatch.setenv(keys.PASSPHRASE, "correct horse")
    assert keys.public_pem(keys.load_private(tmp_path / "a.key").public_key()) == pem


@pytest.mark.parametrize(("words", "code"), [("", "key.encrypted"), ("wrong", "key.unreadable")])
def test_an_encrypted_key_without_its_passphrase_names_the_variable(tmp_path: Path, words: str, code: str):
    keys.generate(tmp_path / "a.key", passphrase="correct horse")
    with pytest.raises(ConfigError) as caught:
        keys.load_private(tmp_path / "a.key", passphrase=words)
    assert caught.value.code == code
    assert keys.PASSPHRASE in caught.value.message + caught.value.fix


def test_a_passphrase_in_the_environment_does_not_disturb_a_plain_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys.generate(tmp_path / "a.key")
    monkeypatch.setenv(keys.PASSPHRASE, "not needed")
    assert keys.load_private(tmp_path / "a.key")


def pem_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "key.curve"),
        (pem_of(ed25519.Ed25519PrivateKey.generate()), "key.curve"),
        (b"", "key.unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key.unreadable"),
        (b"x" * 20_000, "key.unreadable"),
    ],
)
def test_a_file_that_is_no_p256_key_is_refused(tmp_path: Path, raw: bytes, code: str):
    path = tmp_path / "a.key"
    path.write_bytes(raw)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        keys.load_private(path)
    assert caught.value.code == code


def test_a_missing_key_is_a_config_error(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        keys.load_private(tmp_path / "none.key")
    assert caught.value.code == "key.missing"


def test_a_private_key_sent_as_a_public_one_is_refused_and_not_repeated():
    raw = pem_of(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(InputError) as caught:
        keys.load_public(raw)
    assert "never the private key" in caught.value.fix
    assert raw.decode().splitlines()[1] not in str(caught.value)


def test_two_spellings_of_one_key_have_one_fingerprint():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = keys.public_pem(key)
    assert keys.fingerprint(keys.load_public(b"a comment\n" + pem + b"\n")) == keys.fingerprint(key)
    assert keys.fingerprint(key).startswith("sha256:")
