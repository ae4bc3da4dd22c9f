"""Events: what happened, in business words. The event log is the truth; everything else is derived from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.errors import IntegrityError

FORMAT = 1
"""Version of a stored event row; a higher one stops its stream with a clear error."""

KNOWN = frozenset(
    {
        "change.submitted", "change.refused", "change.superseded", "change.withdrawn", "change.mapped",
        "candidate.scanned", "candidate.inspected", "candidate.replayed", "candidate.checked", "change.judged",
        "approval.requested", "approval.recorded", "approval.ignored", "approval.incomplete", "approval.voided",
        "policy.activated",
        "change.approved", "change.rejected", "change.admitted", "change.attested", "release.published",
        "rollout.queued", "rollout.opened", "rollout.widened", "rollout.completed", "rollout.aborted",
        "release.reverted", "revert.conflicted", "author.held", "change.killed", "change.known_good", "change.reverted",
        "registry.initialised", "person.added", "agent.added", "kill.recorded", "kill.lifted", "author.released",
        "kill.drilled", "kill.acknowledged", "rollout.held", "version.not_pinned",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: type, body of plain JSON, who did it and why, and what caused it."""

    type: str
    body: Mapping[str, Json] = field(default_factory=dict)
    actor: str = "evoguard"
    reason: str = ""
    causation: str = ""
    """`inbox/<n>` when a message from outside caused it; that row is consumed in the same transaction."""

    def as_json(self) -> dict[str, Json]:
        """Return the event as plain JSON."""
        return {
            "type": self.type,
            "body": dict(self.body),
            "actor": self.actor,
            "reason": self.reason,
            "causation": self.causation,
        }


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stands in the log, linked to the one before it in its stream."""

    stream: str
    version: int
    at: int
    """Unix milliseconds, never below the log's last time."""
    event: Event
    prev_hash: str
    hash: str


def link(stream: str, version: int, at: int, event: Event, prev_hash: str) -> str:
    """Return the hash that chains an event to its predecessor; `prev_hash` is empty for version 1."""
    return digest_of(
        {"v": FORMAT, "stream": stream, "version": version, "at": at, "event": event.as_json(), "prev": prev_hash}
    )


def encode(events: Iterable[Event]) -> str:
    """Return events as one JSON text, the only form in which they pass through a checkpoint channel."""
    return canonical([event.as_json() for event in events]).decode("utf-8")


def decode(text: str) -> tuple[Event, ...]:
    """Return the events of `encode`. Raises: IntegrityError for anything else."""
    if not text:
        return ()
    try:
        return tuple(event_from(row) for row in json.loads(text))
    except (ValueError, TypeError) as err:
        raise IntegrityError("events in a checkpoint are unreadable", code="log.unreadable") from err


def event_from(row: Mapping[str, object]) -> Event:
    """Return an event from its JSON. Raises: IntegrityError for an unknown type or shape."""
    kind, body = row.get("type"), row.get("body")
    texts = [row.get(name) for name in ("actor", "reason", "causation")]
    if not isinstance(kind, str) or kind not in KNOWN:
        raise IntegrityError(f"unknown event type {str(kind)[:60]!r}", code="log.unknown_type")
    if not isinstance(body, dict) or not all(isinstance(text, str) for text in texts):
        raise IntegrityError("an event row has the wrong shape", code="log.unreadable")
    actor, reason, causation = (str(text) for text in texts)
    return Event(kind, body, actor, reason, causation)
