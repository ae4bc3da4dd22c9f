"""Which policy bundle is in force: two people sign every change of it, and each signature holds for one change only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.domain.events import Event, StoredEvent
from evoguard.domain.identity import VOUCHED, Command, Identity, Prove, proved_by

STREAM = "policy"
ACTIVATED = "policy.activated"
PURPOSE = "policy.activate"
NEEDED = 2
"""People who must sign, always: what one person can put in force, one stolen key can take away."""
LIFE_S = 7 * 24 * 3_600
_MOST = 16
"""Signatures looked at in one event; two are enough."""

Known = Callable[[str], Identity | None]
"""Returns the registered identity of a name."""


@dataclass(frozen=True, slots=True)
class Activation:
    """What is signed: this bundle shall be in force at `guard` next after that one, as change number `serial` (from 1).

    The number makes a signature good for one change: who signed A to B does not sign it again after a rollback. The
    guard is the id of the installation: what people sign for one is nothing to another.
    """

    bundle: Digest
    previous: Digest
    serial: int
    guard: str

    @property
    def subject(self) -> Digest:
        """Return the digest that people sign."""
        return digest_of(canonical(self.as_json()))

    def as_json(self) -> dict[str, Json]:
        """Return the activation as plain JSON."""
        return {"bundle": self.bundle, "previous": self.previous, "serial": self.serial, "guard": self.guard}


@dataclass(frozen=True, slots=True)
class Signature:
    """What somebody is said to have signed; `counts` proves it. `report`: the digest of what they were shown."""

    by: str
    envelope: str
    report: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return what the event keeps, so that an auditor can prove it again."""
        return {"by": self.by, "envelope": self.envelope, "report": self.report}


def counts(activation: Activation, signature: Signature, known: Known, prove: Prove, *, now_s: int) -> Command | None:
    """Return the signature's command when a registered person signed this very activation and it holds now.

    One that would hold longer than a signature may is none.
    """
    said = (PURPOSE, activation.subject)
    command = proved_by(known(signature.by), signature.envelope, prove, said, now_s=now_s)
    return command if command is not None and command.expires <= now_s + LIFE_S else None


def filed(activation: Activation, signature: Signature) -> Event:
    """Return the event of a first signature: a person's approval of one activation."""
    body: dict[str, Json] = {
        "by": signature.by, "kind": "person", "verdict": "approve", "digest": activation.subject,
        "envelope": signature.envelope, "report": signature.report, **activation.as_json(),
    }  # fmt: skip
    return Event(VOUCHED, body, actor=signature.by, reason=f"{signature.by} signed; one more person must")


def activated(activation: Activation, signatures: Iterable[Signature]) -> Event:
    """Return the event that puts a bundle in force; each signature names what its signer was shown."""
    signed = [signature.as_json() for signature in signatures]
    people = " and ".join(sorted(str(one["by"]) for one in signed))
    return Event(
        ACTIVATED,
        {**activation.as_json(), "signatures": [*signed]},
        actor=str(signed[-1]["by"]),
        reason=f"signed by {people}",
    )


@dataclass(slots=True)
class InForce:
    """What is in force at `guard` by the log alone; feed it every event of the stream in order."""

    guard: str
    bundle: Digest | None = None
    """None: nobody activated anything, so the bundle that ships is in force."""
    serial: int = 0
    history: list[StoredEvent] = field(default_factory=list)
    """Every activation that proved, oldest first."""
    waiting: dict[Activation, dict[str, Signature]] = field(default_factory=dict)
    """What is signed for the next change, by whom; nothing of it is proved yet."""

    def take(self, item: StoredEvent, known: Known, prove: Prove) -> str:
        """Take in one event; return what is wrong with it as an activation, or an empty text."""
        if item.event.type == ACTIVATED:
            return self._activated(item, known, prove)
        if item.stream == STREAM and item.event.type == VOUCHED and (found := _activation(item.event)):
            self.waiting.setdefault(found, {})[str(item.event.body.get("by"))] = _signature(item.event.body)
        return ""

    def next(self, bundle: Digest, shipped: Digest) -> Activation:
        """Return what is signed to put a bundle in force now."""
        return Activation(bundle, self.bundle or shipped, self.serial + 1, self.guard)

    def before(self) -> Digest | None:
        """Return the bundle that was in force before this one, or None when nothing was ever activated."""
        return Digest(str(self.history[-1].event.body["previous"])) if self.history else None

    def _activated(self, item: StoredEvent, known: Known, prove: Prove) -> str:
        where = f"{item.stream} version {item.version}: rules"
        found = _activation(item.event)
        if item.stream != STREAM or found is None:
            return f"{where} were activated outside the stream of rules, or in another form"
        if found.guard != self.guard:
            return f"{where} were signed for another installation"
        if found.serial != self.serial + 1 or (self.bundle is not None and found.previous != self.bundle):
            return f"{where} do not follow the ones that were in force"
        now_s = item.at // 1000
        voices = {s.by for s in _signatures(item.event) if counts(found, s, known, prove, now_s=now_s)}
        if len(voices) < NEEDED:
            return f"{where} were activated with {len(voices)} of {NEEDED} signatures of registered people"
        self.bundle, self.serial = found.bundle, found.serial
        self.history.append(item)
        self.waiting.clear()
        return ""


def _activation(event: Event) -> Activation | None:
    bundle, previous, serial, guard = (event.body.get(name) for name in ("bundle", "previous", "serial", "guard"))
    if not isinstance(bundle, str) or not isinstance(previous, str) or not isinstance(guard, str):
        return None
    return Activation(Digest(bundle), Digest(previous), serial, guard) if type(serial) is int else None


def _signatures(event: Event) -> list[Signature]:
    said = event.body.get("signatures")
    rows = [row for row in said[:_MOST] if isinstance(row, Mapping)] if isinstance(said, list) else []
    return [_signature(row) for row in rows]


def _signature(row: Mapping[str, Json]) -> Signature:
    return Signature(str(row.get("by")), str(row.get("envelope")), str(row.get("report", "")))
