"""Who approved what: commands signed by people's own keys, counted by distinct person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Digest, Json
from evoguard.domain.change import ActorKind, Author
from evoguard.domain.events import Event, StoredEvent

Vote = Literal["approve", "reject"]
MORE_VOTES = frozenset({"approval.quorum", "approval.owner", "approval.seats"})
"""What further approvals can mend: a change that lacks nothing else goes on waiting for people."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One identity's vote on one exact digest; times in unix seconds."""

    by: str
    kind: ActorKind
    digest: Digest
    verdict: Vote
    at: int
    expires: int
    nonce: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the approval as plain JSON, the shape that policies read."""
        return {
            "by": self.by,
            "kind": self.kind,
            "digest": self.digest,
            "verdict": self.verdict,
            "at": self.at,
            "expires": self.expires,
        }


def request(digest: str, quorum: int, apart: Iterable[str], seats: int) -> Event:
    """Return the event that asks people for a digest; it says who will not count, and how many agents review."""
    body: dict[str, Json] = {"digest": digest, "quorum": quorum, "apart": sorted(apart)}
    return Event("approval.requested", {**body, "seats": seats} if seats else body)


def seats_in(asked: Mapping[str, Json]) -> int:
    """Return how many agents a request asks beside people."""
    seats = asked.get("seats")
    return seats if isinstance(seats, int) else 0


def newest_request(stored: Sequence[StoredEvent]) -> Mapping[str, Json]:
    """Return what people of a change's stream were asked last; empty when they never were."""
    return next((item.event.body for item in reversed(stored) if item.event.type == "approval.requested"), {})


def set_apart(asked: Mapping[str, Json]) -> frozenset[str]:
    """Return whose approval a request does not count; one from before it was said counts everybody's."""
    names = asked.get("apart")
    return frozenset(str(name) for name in names) if isinstance(names, list | tuple) else frozenset()


def people_for(
    approvals: Iterable[Approval], *, digest: Digest, author: Author, now: int, apart: Collection[str] = ()
) -> frozenset[str]:
    """Return the distinct people whose unexpired approval names this exact digest.

    Never the author, never an agent, and none of those set apart: the people behind the agent.
    """
    return frozenset(
        a.by
        for a in approvals
        if a.verdict == "approve"
        and a.kind == "person"
        and a.digest == digest
        and a.by != author.id
        and a.by not in apart
        and a.expires > now
    )


def rejected_by(approvals: Iterable[Approval], *, digests: Collection[Digest], seats: int = 0) -> str:
    """Return who first rejected one of these digests, or an empty text; an agent only where agents have seats.

    A reject has no expiry.
    """
    no = (a for a in approvals if a.verdict == "reject" and a.digest in digests)
    return next((a.by for a in no if a.kind == "person" or seats), "")
