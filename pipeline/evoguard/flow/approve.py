"""STEP. Sleep until enough distinct people approved this exact digest with their own keys."""

from __future__ import annotations

import json
from collections.abc import Collection

from langgraph.types import interrupt

from evoguard.domain.approval import (
    MORE_VOTES,
    Approval,
    Vote,
    newest_request,
    people_for,
    rejected_by,
    request,
    seats_in,
)
from evoguard.domain.canonical import Digest, Json, as_digest, canonical
from evoguard.domain.events import Event, StoredEvent
from evoguard.domain.headline import headline
from evoguard.domain.identity import Command
from evoguard.domain.verdict import Finding, findings_json
from evoguard.errors import AuthError, InputError
from evoguard.flow.question import apart, as_told, ask, seats
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.ports import Ports
from evoguard.ports.inbox import Message

UNREVIEWED: dict[str, str | int | bool] = {
    "approved": False, "bundle": "", "passed": False, "evidence": "", "scan": "", "inspection": "", "regression": "",
    "allow": False, "decision": "", "approval": "", "quorum": 0,
}  # fmt: skip
"""All that a review under other rules found: no gate may open on what is left of it."""


async def approve(state: FlowState, ports: Ports) -> StepResult:
    """Record what arrived, count, and wait when nothing did. The interrupt comes last: before it there is no effect."""
    messages = await ports.inbox.pending(state["change"])
    left = await ended(messages, state, ports)
    if left is not None:
        return StepResult({"withdrawn": True, "outcome": left.type.removeprefix("change.")}, (left,))
    stored = await ports.queries.events(f"change/{state['change']}")
    asked = _asked(state, stored)
    events = [await _recorded(message, state, asked, ports) for message in messages]
    votes = votes_in(stored) + votes_of(events)
    digest, author, now = Digest(state["approval"]), proposal_of(state).author, ports.clock.now_ms() // 1000
    bundle = ports.policies.digest
    if by := rejected_by(votes, digests=asked, seats=seats_in(newest_request(stored))):
        events.append(Event("change.rejected", {"by": by, "digest": digest}, actor=by, reason=_reason(votes, by)))
        return StepResult({"rejected": True, "outcome": "rejected"}, tuple(events))
    if bundle != state["bundle"]:
        events.append(_voided(state["bundle"], bundle))
        return StepResult(UNREVIEWED, tuple(events))
    behind = await apart(author, ports)
    people = people_for(votes, digest=digest, author=author, now=now, apart=behind)
    if len(people) >= max(1, state["quorum"]):
        return await _counted(state, ports, (people, behind), votes, events)
    return _waiting(events)


async def _counted(
    state: FlowState, ports: Ports, sides: tuple[Collection[str], Collection[str]], votes: tuple[Approval, ...],
    events: list[Event],
) -> StepResult:  # fmt: skip
    """Let a change go on that enough people approved, unless the policies say whose approval is still missing.

    `sides`: the people who count, and those who are set apart.
    """
    (people, behind), digest = sides, state["approval"]
    lacking, quorum = await _lacking(state, ports, people, votes)
    if not lacking:
        counted = await ports.artifacts.put(canonical(as_told(votes, await ports.queries.events("registry"))))
        events.append(Event("change.approved", {"by": sorted(people), "digest": digest, "approvals": counted}))
        return StepResult({"approved": True, "approvals": counted}, tuple(events))
    if events:
        told = findings_json(lacking[:50])
        events.append(Event("approval.incomplete", {"deny": told}, reason=headline([f.as_json() for f in lacking])))
    if quorum > state["quorum"]:
        events.append(request(digest, quorum, behind, await seats(state, ports)))
        return StepResult({"approved": False, "quorum": quorum}, tuple(events))
    return _waiting(events)


def _waiting(events: list[Event]) -> StepResult:
    if not events:
        interrupt({"waiting": "approval", "wake_at": 0})
    return StepResult({"approved": False}, tuple(events))


async def _lacking(
    state: FlowState, ports: Ports, people: Collection[str], votes: tuple[Approval, ...]
) -> tuple[tuple[Finding, ...], int]:
    """Return what the policies miss that further votes can bring, and how many people they ask for now.

    Nothing where they would admit the change, and nothing where they refuse it for another reason: `sign` says so.
    """
    decision, _ = await ask("admit", state, ports, approvals=votes)
    if not {finding.code for finding in decision.deny} <= MORE_VOTES:
        return (), decision.quorum
    few = Finding("approval.quorum", f"{len(people)} of {decision.quorum} people approved this digest")
    return decision.deny or ((few,) if len(people) < decision.quorum else ()), decision.quorum


def _asked(state: FlowState, stored: tuple[StoredEvent, ...]) -> frozenset[Digest]:
    """Return every digest of this change that people were ever asked about: a no to any of them stands."""
    bodies = [item.event.body for item in stored if item.event.type == "approval.requested"]
    return frozenset({Digest(state["approval"]), *(Digest(str(body["digest"])) for body in bodies)})


def _voided(reviewed: str, bundle: Digest) -> Event:
    """Say why what people were asked to approve is asked no more: it was reviewed under other rules."""
    return Event(
        "approval.voided", {"reviewed": reviewed, "bundle": bundle},
        reason="other rules came into force while it waited; it is checked and reviewed again under them",
    )  # fmt: skip


def late(messages: tuple[Message, ...]) -> tuple[Event, ...]:
    """Return what to record about messages that came after the approval; a reject then needs a kill, and says so."""
    text = "came after the change was approved; to stop it now, use `evoguard kill` or withdraw it"
    return tuple(
        Event("approval.ignored", {"kind": m.kind}, causation=f"inbox/{m.id}", reason=text)
        for m in messages
        if m.kind in ("approve", "reject", "supersede", "withdraw", "kill")
    )


def votes_in(stored: tuple[StoredEvent, ...]) -> tuple[Approval, ...]:
    """Return every vote that the change's stream holds."""
    return votes_of([item.event for item in stored])


def votes_of(events: list[Event]) -> tuple[Approval, ...]:
    """Return the votes among events."""
    return tuple(_vote(dict(e.body)) for e in events if e.type == "approval.recorded")


def _vote(body: dict[str, Json]) -> Approval:
    verdict: Vote = "approve" if body["verdict"] == "approve" else "reject"
    return Approval(
        by=str(body["by"]),
        kind="person" if body["kind"] == "person" else "agent",
        digest=as_digest(str(body["digest"])),
        verdict=verdict,
        at=int(str(body["at"])),
        expires=int(str(body["expires"])),
        nonce=str(body["nonce"]),
    )


def _reason(votes: tuple[Approval, ...], by: str) -> str:
    return f"rejected by {by} ({sum(v.verdict == 'approve' for v in votes)} had approved)"


async def ended(messages: tuple[Message, ...], state: FlowState, ports: Ports) -> Event | None:
    """Return the event of a proved withdrawal or of a newer head, or None."""
    if wish := await withdrawal(messages, state, ports):
        return Event(
            "change.withdrawn",
            actor=state["author"],
            causation=f"inbox/{wish.id}",
            reason="withdrawn by its author",
        )
    for message in messages:
        if message.kind == "supersede":
            return Event(
                "change.superseded",
                {"by": message.body},
                causation=f"inbox/{message.id}",
                reason=f"superseded by {message.body}",
            )
    return None


async def withdrawal(messages: tuple[Message, ...], state: FlowState, ports: Ports) -> Message | None:
    """Return the first message that proves to be a withdrawal of this change, or None."""
    for message in messages:
        if message.kind == "withdraw" and await _withdrawn(message, state, ports):
            return message
    return None


async def _withdrawn(message: Message, state: FlowState, ports: Ports) -> bool:
    """Tell whether a message is the author's own signed, unexpired wish to end this change."""
    identity = await ports.queries.identity(state["author"])
    if identity is None:
        return False
    try:
        command = await ports.signer.command(str(json.loads(message.body)["envelope"]), identity)
    except (AuthError, InputError, KeyError, ValueError, TypeError):
        return False
    about = command.purpose == "withdraw" and command.subject == state["change"]
    return about and command.expires * 1000 > message.at


async def _recorded(message: Message, state: FlowState, asked: Collection[str], ports: Ports) -> Event:
    """Return the event for one message: a vote that counts, or why it does not."""
    cause = f"inbox/{message.id}"
    try:
        if message.kind not in ("approve", "reject"):
            raise InputError(f"a {message.kind} that proves nothing")
        doc = json.loads(message.body)
        identity = await ports.queries.identity(str(doc["by"]))
        if identity is None:
            raise AuthError("the voter is not registered")
        if identity.kind == "agent" and await ports.queries.held(identity.name):
            raise AuthError("the agent is held")
        command = await ports.signer.command(str(doc["envelope"]), identity)
        _must_be_about(command, message, asked if message.kind == "reject" else {state["approval"]})
    except (AuthError, InputError, KeyError, ValueError, TypeError) as err:
        return Event("approval.ignored", causation=cause, reason=str(err)[:300])
    vote: Vote = "approve" if command.purpose == "approve" else "reject"
    body: dict[str, Json] = {
        "by": identity.name, "kind": identity.kind, "digest": command.subject, "verdict": vote,
        "at": message.at // 1000, "expires": command.expires, "nonce": command.nonce,
        "envelope": str(doc["envelope"]),
    }  # fmt: skip
    return Event("approval.recorded", body, actor=identity.name, reason=command.detail[:300], causation=cause)


def _must_be_about(command: Command, message: Message, digests: Collection[str]) -> None:
    if command.purpose not in ("approve", "reject") or command.purpose != message.kind:
        raise InputError("the signature is not a vote")
    if command.subject not in digests:
        raise InputError("the vote is about another digest")
    if command.expires * 1000 <= message.at:
        raise InputError("the vote had expired when it arrived")
