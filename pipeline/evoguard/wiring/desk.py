"""The front desk, wired: what `submit`, `approve`, `person add` and their like call."""

from __future__ import annotations

from pathlib import Path

from evoguard import desk
from evoguard.adapters import keys
from evoguard.adapters.git.mirror import Mirror
from evoguard.adapters.signer import new_nonce, read_command, sign_command
from evoguard.domain.canonical import canonical, digest_of
from evoguard.domain.change import ActorKind
from evoguard.domain.events import Event
from evoguard.domain.identity import Command, is_name
from evoguard.errors import AuthError, InputError
from evoguard.wiring.state import Opened


class KeyPen:
    """A private key file of the sender."""

    def __init__(self, path: Path) -> None:
        self._key = keys.load_private(path)

    def sign(self, command: Command) -> str:
        """Return the envelope of a command."""
        return sign_command(command, self._key)

    def nonce(self) -> str:
        """Return fresh text."""
        return new_nonce()

    @property
    def public_pem(self) -> str:
        """Return the public half."""
        return keys.public_pem(self._key.public_key()).decode()


def parts(opened: Opened) -> desk.Parts:
    """Return what the front desk needs."""
    return desk.Parts(
        mirror=Mirror(opened.settings.repos_dir), inbox=opened.inbox, queries=opened.queries,
        latches=opened.latches, clock=opened.clock,
    )  # fmt: skip


def register(
    opened: Opened, kind: ActorKind, name: str, public_pem: bytes, *, by: str = "", pen: KeyPen | None = None
) -> str:
    """Register an identity; the first person needs nobody, everyone later an existing person's signature.

    Returns the key's fingerprint. Raises: InputError, AuthError.
    """
    if not is_name(name):
        raise InputError("a name is 1-60 of a-z, 0-9, dot, dash and underscore", code="identity.name")
    pem = keys.public_pem(keys.load_public(public_pem)).decode()
    event_type = desk.person_or_agent(kind)
    envelope = ""
    if opened.registry.people() or kind == "agent":
        envelope = _sponsored(opened, kind, name, pem, by, pen)
    body = {"name": name, "public_pem": pem, "envelope": envelope}
    opened.registry.append("registry", Event(event_type, body, actor=by or name, reason=f"{kind} {name} registered"))
    return keys.fingerprint(keys.load_public(public_pem))


def _sponsored(opened: Opened, kind: ActorKind, name: str, pem: str, by: str, pen: KeyPen | None) -> str:
    sponsor = opened.queries.identity_now(by) if by else None
    if sponsor is None or sponsor.kind != "person" or pen is None:
        raise AuthError(
            "a registered person must sign this", code="auth.sponsor", fix="pass --as PERSON --sign-with THEIR_KEY"
        )
    purpose = "agent.add" if kind == "agent" else "person.add"
    subject = digest_of(canonical({"name": name, "kind": kind, "public_pem": pem}))
    now = opened.clock.now_ms() // 1000
    envelope = pen.sign(Command(purpose, subject, by, pen.nonce(), now + 3600))
    read_command(envelope, sponsor)  # refuses a key that is not the sponsor's
    return envelope
