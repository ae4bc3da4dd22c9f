"""Keys as the command line uses them: made, read, and proved to be the registered ones before anything is filed."""

from __future__ import annotations

from pathlib import Path

from evoguard.adapters import durable, keys
from evoguard.adapters.signer import read_command
from evoguard.domain.identity import Command, Identity
from evoguard.errors import AuthError, ConfigError
from evoguard.wiring.desk import KeyPen
from evoguard.wiring.state import Opened


def pen_of(opened: Opened, name: str, key: Path) -> KeyPen:
    """Return a key file's pen, held to the identity registered under the name where there is one. Raises: AuthError."""
    identity = opened.queries.identity_now(name) if name else None
    return ProvedPen(key, identity) if identity is not None else KeyPen(key)


def new_key(path: Path, *, passphrase: str = "") -> dict[str, str]:
    """Make FILE (0600) and FILE.pub, and return paths and fingerprint. Raises: ConfigError when one of them exists."""
    path = path.absolute()
    public_file = path.with_name(f"{path.name}.pub")
    if public_file.exists():
        raise ConfigError(
            f"{public_file} exists; a key is never overwritten", code="key.exists", fix="choose another file"
        )
    public = keys.generate(path, passphrase=passphrase)
    try:
        durable.write(path.parent, public_file.name, public, mode=0o644)
    except OSError as err:
        why = f"no public key could be written to {public_file}: {err.strerror}"
        raise ConfigError(why, code="key.unwritable", fix=f"remove {path} and try again") from err
    return {"key": str(path), "public": str(public_file), "fingerprint": fingerprint(public)}


def unusable(path: Path) -> str:
    """Return why a private key file cannot sign, or an empty text."""
    try:
        keys.load_private(path)
    except ConfigError as err:
        return err.message
    return ""


def fingerprint(public_pem: bytes) -> str:
    """Return the fingerprint of a public PEM. Raises: InputError when it is none."""
    return keys.fingerprint(keys.load_public(public_pem))


class ProvedPen(KeyPen):
    """A private key that signs for one registered identity, and notices at once when it is somebody else's."""

    def __init__(self, path: Path, identity: Identity) -> None:
        super().__init__(path)
        self._path, self._identity = path, identity
        if fingerprint(self.public_pem.encode()) != fingerprint(identity.public_pem.encode()):
            raise self._foreign()

    def sign(self, command: Command) -> str:
        """Return the envelope of a command. Raises: AuthError when the identity would not be believed."""
        envelope = super().sign(command)
        try:
            read_command(envelope, self._identity)
        except AuthError as err:
            raise self._foreign() from err
        return envelope

    def _foreign(self) -> AuthError:
        what = f"{self._path} is not the key that is registered for {self._identity.name}"
        return AuthError(what, code="auth.wrong_key", fix="pass your own key to --sign-with")
