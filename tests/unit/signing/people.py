"""Builders for tests about signatures: people with keys made at run time, and what they sign."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner, sign_command
from evoguard.domain.attestation import vsa_statement
from evoguard.domain.canonical import Json, digest_of
from evoguard.domain.change import ActorKind, Author, CommitId, Proposal, TreeId
from evoguard.domain.identity import Command, Identity

LATER = 4_000_000_000
AT = 1_790_000_000
HEAD, TREE = CommitId("b" * 40), TreeId("c" * 40)
POLICY = digest_of(b"the policy bundle")


@dataclass(frozen=True)
class Actor:
    """An identity and its private key, which only tests hold together."""

    identity: Identity
    key: ec.EllipticCurvePrivateKey

    def signs(self, subject: str, **changes: object) -> str:
        return sign_command(a_command(self.identity.name, subject, **changes), self.key)


@dataclass
class Registry:
    """Who is registered; `silent` is a database that gives no answer."""

    people: dict[str, Identity] = field(default_factory=dict)
    silent: bool = False

    def __call__(self, name: str) -> Identity | None:
        if self.silent:
            raise TimeoutError
        return self.people.get(name)

    async def asks(self, name: str) -> Identity | None:
        return self(name)

    def add(self, *actors: Actor) -> None:
        self.people.update({actor.identity.name: actor.identity for actor in actors})

    def revoke(self, actor: Actor) -> None:
        self.people[actor.identity.name] = replace(actor.identity, revoked=True)


def an_actor(name: str, kind: ActorKind = "person", *, key: ec.EllipticCurvePrivateKey | None = None) -> Actor:
    held = key or ec.generate_private_key(ec.SECP256R1())
    return Actor(Identity(name, kind, keys.public_pem(held.public_key()).decode()), held)


def a_command(by: str, subject: str, **changes: object) -> Command:
    command = Command(purpose="lift", subject=subject, by=by, nonce="n" * 32, expires=LATER)
    return replace(command, **changes)  # type: ignore[arg-type]  (tests send wrong types on purpose)


def a_statement(*, passed: bool = True, at_s: int = AT, inputs: dict[str, bytes] | None = None) -> dict[str, Json]:
    return vsa_statement(
        proposal=Proposal("lending", CommitId("a" * 40), HEAD, TREE, "why", Author("bot", "agent")),
        branch="release/scoring",
        policy=POLICY,
        inputs={name: digest_of(raw) for name, raw in (inputs or {"evidence": b"1", "approvals": b"2"}).items()},
        passed=passed,
        verifier="evoguard:test",
        at_s=at_s,
    )


def a_signer(folder: Path, name: str = "service.key") -> LocalSigner:
    return LocalSigner(folder / name, keys.generate(folder / name))
