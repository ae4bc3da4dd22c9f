"""Who becomes a person, who speaks for whom, and how rules come into force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from evoguard.adapters.signer import read_command
from evoguard.domain.activation import LIFE_S
from evoguard.domain.canonical import Json
from evoguard.domain.events import Event
from evoguard.domain.identity import VOUCHED, Identity, subject_of
from evoguard.exam.bundles import another, enforced, in_force, wanted
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen
from evoguard.exam.surgery import Cut
from evoguard.wiring.desk import register

IDENTITY, ACTIVATION = "evoguard.domain.identity", "evoguard.domain.activation"
LOOSE: Mapping[str, Json] = {"guard": {"globs": ["{nothing,nothing/**}"], "people": 1}}


def _public(hall: Hall, name: str) -> str:
    return hall.pen(name).public_pem


async def lone_sponsor(hall: Hall) -> Seen:
    """Alice alone makes mallory a person."""
    done = register(
        hall.opened, "person", "mallory", _public(hall, "mallory").encode(), by="alice", pen=hall.pen("alice")
    )
    return Seen(not done.ask, f"waits for {', '.join(done.ask)}")


async def _vouched(hall: Hall, by: str, *, key: str = "", subject: str = "", purpose: str = "person.add",
                   life_s: int = 3600) -> Seen:  # fmt: skip
    """Write a vouch for mallory into the log, then have alice vouch."""
    applicant = Identity("mallory", "person", _public(hall, "mallory"))
    envelope = hall.signed(purpose, subject or subject_of(applicant), by, key=key, life_s=life_s)
    body = {"by": by, "name": "mallory", "public_pem": applicant.public_pem, "envelope": envelope}
    hall.append("registry", Event(VOUCHED, body, actor=by))
    return await lone_sponsor(hall)


async def forged_vouch(hall: Hall) -> Seen:
    """A vouch in bob's name that mallory signed."""
    return await _vouched(hall, "bob", key="mallory")


async def agents_vouch(hall: Hall) -> Seen:
    """An agent vouches for a new person."""
    return await _vouched(hall, "coder")


async def vouch_for_another(hall: Hall) -> Seen:
    """Bob's vouch for somebody else is filed for mallory."""
    return await _vouched(hall, "bob", subject="sha256:" + "0" * 64)


async def old_vouch(hall: Hall) -> Seen:
    """A vouch of bob's that has expired."""
    return await _vouched(hall, "bob", life_s=-60)


async def written_in(hall: Hall) -> Seen:
    """Whoever can write the database registers mallory as a person, with no signature at all."""
    hall.append("registry", Event("person.added", {"name": "mallory", "public_pem": _public(hall, "mallory")}))
    enforced(hall, another(hall, LOOSE), "alice", "mallory")
    return Seen(True, str(in_force(hall)))


async def speaks_for_another(hall: Hall) -> Seen:
    """A command that says it comes from bob, signed with alice's key."""
    alice = hall.opened.queries.identity_now("alice")
    command = read_command(hall.signed("approve", "sha256:" + "0" * 64, "bob", key="alice"), cast("Identity", alice))
    return Seen(True, f"heard as {command.by}")


async def revoked_person(hall: Hall) -> Seen:
    """Somebody who was taken out of the register signs on."""
    bob = replace(cast("Identity", hall.opened.queries.identity_now("bob")), revoked=True)
    command = read_command(hall.signed("approve", "sha256:" + "0" * 64, "bob"), bob)
    return Seen(True, f"heard as {command.by}")


async def one_signs_rules(hall: Hall) -> Seen:
    """One person alone puts milder rules in force."""
    enforced(hall, another(hall, LOOSE), "alice")
    return Seen(True, str(in_force(hall)))


async def same_person_twice(hall: Hall) -> Seen:
    """One person signs for milder rules twice."""
    enforced(hall, another(hall, LOOSE), "alice", "alice")
    return Seen(True, str(in_force(hall)))


async def agent_signs_rules(hall: Hall) -> Seen:
    """An agent is the second to sign for milder rules."""
    enforced(hall, another(hall, LOOSE), "alice", "coder")
    return Seen(True, str(in_force(hall)))


async def rules_of_another_guard(hall: Hall) -> Seen:
    """What two people signed for a test installation is brought to this one."""
    digest = another(hall, LOOSE)
    enforced(hall, digest, change=wanted(hall, digest, guard="evoguard:elsewhere"))
    return Seen(True, str(in_force(hall)))


async def rules_signed_before(hall: Hall) -> Seen:
    """Signatures that were given for another change of rules are used again."""
    digest = another(hall, LOOSE)
    enforced(hall, digest, change=wanted(hall, digest, serial=7))
    return Seen(True, str(in_force(hall)))


async def rules_signed_for_ever(hall: Hall) -> Seen:
    """Signatures for rules that claim to hold for ten years."""
    digest = another(hall, LOOSE)
    change = wanted(hall, digest)
    from evoguard.domain.activation import PURPOSE, STREAM, Signature, activated

    long = [Signature(by, hall.signed(PURPOSE, change.subject, by, life_s=100 * LIFE_S)) for by in ("alice", "bob")]
    hall.append(STREAM, activated(change, long))
    return Seen(True, str(in_force(hall)))


async def unconstitutional(hall: Hall) -> Seen:
    """Two people put rules in force that know no guard path, and an agent edits the policies."""
    enforced(hall, another(hall, LOOSE))
    return await hall.carried(await hall.submit({"policies/a/rule.rego": "package a\n"}))


_SEAL = "key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))"
GATES = (
    Gate("person.sponsors", Cut(f"{IDENTITY}:sponsors_needed", "2 if people >= 2 else 1", "1"), lone_sponsor,
         "waits for"),
    Gate("person.signature", Cut("evoguard.adapters.dsse:unseal", _SEAL, "None"), forged_vouch, "waits for"),
    Gate("person.kind", Cut(f"{IDENTITY}:proved_by", "signer.kind != 'person'"), agents_vouch, "waits for"),
    Gate("person.subject", Cut(f"{IDENTITY}:proved_by", "(command.purpose, command.subject) == said", "True"),
         vouch_for_another, "waits for"),
    Gate("person.expiry", Cut(f"{IDENTITY}:proved_by", "command.expires > now_s", "True"), old_vouch, "waits for"),
    Gate("person.proved_again", Cut("evoguard.adapters.sqlite.sponsors:Registrations.problem", "len(voices) < needed"),
         written_in, "policy.unproved"),
    Gate("command.sender", Cut("evoguard.adapters.signer:read_command", "command.by != identity.name"),
         speaks_for_another, "auth.name"),
    Gate("command.revoked", Cut("evoguard.adapters.signer:read_command", "identity.revoked"), revoked_person,
         "auth.revoked"),
    Gate("rules.two", Cut(f"{ACTIVATION}:InForce._activated", "len(voices) < NEEDED", "len(voices) < 1"),
         one_signs_rules, "policy.unproved"),
    Gate("rules.distinct", Cut(f"{ACTIVATION}:InForce._activated",
         "{s.by for s in _signatures(item.event) if counts(found, s, known, prove, now_s=now_s)}",
         "[s.by for s in _signatures(item.event) if counts(found, s, known, prove, now_s=now_s)]"), same_person_twice,
         "policy.unproved"),
    Gate("rules.person", Cut(f"{IDENTITY}:proved_by", "signer is None or signer.kind != 'person' or signer.revoked",
         "signer is None"), agent_signs_rules, "policy.unproved", ("rules.people_only",)),
    Gate("rules.people_only", Cut("evoguard.adapters.sqlite.sponsors:Registrations.problem", "added.kind == 'person'",
         "True"), agent_signs_rules, "policy.unproved", ("rules.person",)),
    Gate("rules.guard", Cut(f"{ACTIVATION}:InForce._activated", "found.guard != self.guard"), rules_of_another_guard,
         "policy.unproved"),
    Gate("rules.serial", Cut(f"{ACTIVATION}:InForce._activated",
         "found.serial != self.serial + 1 or (self.bundle is not None and found.previous != self.bundle)"),
         rules_signed_before, "policy.unproved"),
    Gate("rules.life", Cut(f"{ACTIVATION}:counts", "command.expires <= now_s + LIFE_S", "True"), rules_signed_for_ever,
         "policy.unproved"),
    Gate("rules.constitution", Cut("evoguard.domain.verdict:Floor.under", "f.code in self.constitution"),
         unconstitutional, "approval.guard_paths"),
)  # fmt: skip
