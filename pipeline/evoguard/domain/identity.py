"""Identities: registered agents and people, each with the public keys that may speak for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.domain.change import ActorKind
from evoguard.domain.events import Event, StoredEvent
from evoguard.errors import AuthError, InputError

COMMAND_TYPE = "application/vnd.evoguard.command+json"
PURPOSES = frozenset(
    {"submit", "withdraw", "approve", "reject", "lift", "kill", "person.add", "agent.add", "policy.activate"}
)
VOUCHED = "approval.recorded"
"""On the stream `registry` this event is a vouch: a person's approval of one name with one key."""
NOBODY = "evoguard"
"""The actor of an event that no person wrote."""
VOUCH_LIFE_S = 7 * 24 * 3_600
VOUCH_MARGIN_S = 60
"""A vouch that ends this soon is not counted: it must still hold at the event's own time, by which auditors count."""
_ADDED: Mapping[str, ActorKind] = {"person.added": "person", "agent.added": "agent"}
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}\Z")
MOST_VOUCHES = 16
"""Vouches looked at in one event; two are enough."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}\Z")


@dataclass(frozen=True, slots=True)
class Identity:
    """A registered agent or person and the PEM of its P-256 public key."""

    name: str
    kind: ActorKind
    public_pem: str
    revoked: bool = False
    model: str = ""
    """The model that an agent says it runs; whoever puts their name to it signs that, too. Empty: not said."""


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


Prove = Callable[[str, Identity], Command]
"""Returns the command that exactly this identity signed. Raises: AuthError, InputError."""


@dataclass(frozen=True, slots=True)
class Vouch:
    """What somebody is said to have signed: that this name with this key may be registered. `counted` proves it."""

    applicant: Identity
    by: str
    envelope: str

    def as_json(self) -> dict[str, Json]:
        """Return what the event that registers the applicant keeps, so that an auditor can prove it again."""
        return {"by": self.by, "envelope": self.envelope}


def subject_of(applicant: Identity) -> Digest:
    """Return the digest that a sponsor signs: another name, kind, key or model is another subject."""
    doc: dict[str, Json] = {"name": applicant.name, "kind": applicant.kind, "public_pem": applicant.public_pem}
    return digest_of(canonical({**doc, "model": applicant.model} if applicant.model else doc))


def sponsors_needed(kind: ActorKind, *, people: int, first: bool) -> int:
    """Return how many people must vouch. `people` are registered and not revoked; `first`: nobody ever was.

    Two from the moment that two can: or one person with an invented name would be a quorum.
    """
    if kind == "agent":
        return 1  # it may submit and review, and never counts as a person
    return 0 if first else 2 if people >= 2 else 1


def counted(vouch: Vouch, sponsor: Identity | None, prove: Prove, *, now_s: int) -> Command | None:
    """Return the vouch's command when it counts now, else None.

    It counts when a registered person other than the applicant signed it for this very name, kind and key, and it
    has not expired.
    """
    if sponsor is not None and sponsor.name == vouch.applicant.name:
        return None
    purpose = "agent.add" if vouch.applicant.kind == "agent" else "person.add"
    return proved_by(sponsor, vouch.envelope, prove, (purpose, subject_of(vouch.applicant)), now_s=now_s)


def proved_by(
    signer: Identity | None, envelope: str, prove: Prove, said: tuple[str, str], *, now_s: int
) -> Command | None:
    """Return the command when a registered person signed exactly `said` (purpose, subject) and it holds, else None."""
    if signer is None or signer.kind != "person" or signer.revoked:
        return None
    try:
        command = prove(envelope, signer)
    except (AuthError, InputError):
        return None
    return command if (command.purpose, command.subject) == said and command.expires > now_s else None


def vouch_in(event: Event) -> Vouch | None:
    """Return the vouch that an event of the registry files, or None; nothing of it is proved yet."""
    if event.type != VOUCHED:
        return None
    name, pem, by, envelope = (str(event.body.get(key, "")) for key in ("name", "public_pem", "by", "envelope"))
    return Vouch(Identity(name, "person", pem), by, envelope)


def vouches_in(event: Event) -> tuple[Vouch, ...]:
    """Return what an event that registers somebody says was signed for them; nothing of it is proved yet.

    Before there were several, the one envelope was its actor's.
    """
    added = added_in(event)
    if added is None:
        return ()
    said = event.body.get("vouches")
    if not isinstance(said, list | tuple):
        said = [{"by": event.actor, "envelope": event.body.get("envelope", "")}]
    rows = [row for row in said[:MOST_VOUCHES] if isinstance(row, Mapping)]
    return tuple(Vouch(added, str(row.get("by", "")), str(row.get("envelope", ""))) for row in rows)


def sponsors_of(registry: Iterable[StoredEvent], agent: str) -> tuple[str, ...]:
    """Return who put their name to an agent, as the registry's stream says: the people behind what it proposes."""
    for item in registry:
        if item.event.type == "agent.added" and item.event.body.get("name") == agent:
            names = {item.event.actor, *(vouch.by for vouch in vouches_in(item.event))}
            return tuple(sorted(names - {agent, NOBODY, ""}))
    return ()


def added_in(event: Event) -> Identity | None:
    """Return whom an event of the registry registers, or None; that it may is proved elsewhere."""
    kind = _ADDED.get(event.type)
    if kind is None:
        return None
    name, pem, model = (str(event.body.get(key, "")) for key in ("name", "public_pem", "model"))
    return Identity(name, kind, pem, model=model)


def models_of(registry: Iterable[StoredEvent]) -> Mapping[str, str]:
    """Return agent → the model it was registered with, as the registry's stream says; the first registration counts."""
    added = [one for item in registry if (one := added_in(item.event)) is not None and one.kind == "agent"]
    return {one.name: one.model for one in reversed(added)}


def is_model(text: str) -> bool:
    """Tell whether `text` may name a model: 1-100 letters, digits and `._:/@+-`, as makers write them."""
    return bool(_MODEL.match(text))


def is_name(text: str) -> bool:
    """Tell whether `text` may name an identity: 1-60 of a-z, 0-9, dot, dash, underscore."""
    return bool(_NAME.match(text))
