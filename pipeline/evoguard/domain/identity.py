"""Identities: registered agents and people, each with the public keys that may speak for them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evoguard.domain.canonical import Json
from evoguard.domain.change import ActorKind

COMMAND_TYPE = "application/vnd.evoguard.command+json"
PURPOSES = frozenset({"submit", "withdraw", "approve", "reject", "lift", "kill", "person.add", "agent.add"})
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}\Z")


@dataclass(frozen=True, slots=True)
class Identity:
    """A registered agent or person and the PEM of its P-256 public key."""

    name: str
    kind: ActorKind
    public_pem: str
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What an identity signed: a purpose on one subject, once, until it expires (unix seconds)."""

    purpose: str
    subject: str
    by: str
    nonce: str
    expires: int
    detail: str = ""
    """Further text bound into the signature: the intent of a submission, the reason of a reject."""

    def as_json(self) -> dict[str, Json]:
        """Return the command as plain JSON, the exact payload that is signed."""
        return {
            "purpose": self.purpose,
            "subject": self.subject,
            "by": self.by,
            "nonce": self.nonce,
            "expires": self.expires,
            "detail": self.detail,
        }


def is_name(text: str) -> bool:
    """Tell whether `text` may name an identity: 1-60 of a-z, 0-9, dot, dash, underscore."""
    return bool(_NAME.match(text))
