"""The front desk: what a sender may ask. All is proved here first and again by the flow; nothing is decided here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evoguard.domain.approval import newest_request, seats_in, set_apart
from evoguard.domain.canonical import Json, digest_of
from evoguard.domain.change import ActorKind, Author, ChangeId, Proposal, change_id, is_change_id
from evoguard.domain.identity import Command, Identity, is_name
from evoguard.errors import AuthError, HaltedError, InputError
from evoguard.ports.clock import Clock
from evoguard.ports.inbox import Inbox, MessageKind
from evoguard.ports.latches import Latches
from evoguard.ports.mirror import Brought, Mirror
from evoguard.ports.queries import ChangeRow, Queries

SUBMIT_LIFE_S = 3_600
VOTE_LIFE_S = 24 * 3_600
MAX_INTENT = 2_000


class Pen(Protocol):
    """A sender's own key, used on the sender's side only."""

    def sign(self, command: Command) -> str:
        """Return the DSSE envelope of a command."""

    def nonce(self) -> str:
        """Return text nobody has used before."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the desk needs."""

    mirror: Mirror
    inbox: Inbox
    queries: Queries
    latches: Latches
    clock: Clock


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission. `repeated`: the same head had been submitted before, under the same change."""

    change: ChangeId
    proposal: Proposal
    repeated: bool
    stored: bool
    standing: str = ""
    """Where one that had been submitted before stands."""


async def submit(  # noqa: PLR0913  (each is one flag of the command)
    parts: Parts,
    pen: Pen,
    *,
    source: str | Path,
    author: str,
    intent: str,
    base: str,
    head: str = "",
    patch: bytes | None = None,
    dry_run: bool = False,
) -> Submitted:
    """Bring the objects in, sign the proposal with the author's key and file it durably.

    Raises: InputError, AuthError or HaltedError with one reason; then nothing was stored.
    """
    identity = await known(parts, author)
    text = checked_text(intent, "the intent", MAX_INTENT)
    if parts.latches.board().killed(component="", flag=""):
        raise HaltedError(
            "a kill of everything is in force", code="halted.all", fix="two people lift it: `evoguard lift`"
        )
    if reason := await parts.queries.held(author):
        raise InputError(
            f"{author} is held: {reason}", code="author.held", fix="two people lift the kill, or release the author"
        )
    door = Parts(parts.mirror.trial(), parts.inbox, parts.queries, parts.latches, parts.clock) if dry_run else parts
    brought = await _bring(door, source, base=base, head=head, patch=patch)
    proposal = Proposal(
        brought.repo, brought.base, brought.head, brought.tree, text, Author(identity.name, identity.kind)
    )
    change = change_id(proposal.repo, proposal.base, proposal.head, author)
    if (row := await parts.queries.change(change)) is not None:
        return Submitted(change, proposal, repeated=True, stored=True, standing=row.status)
    if dry_run:
        return Submitted(change, proposal, repeated=False, stored=False)
    await parts.mirror.pin(proposal.repo, change, proposal.base, proposal.head)
    now = parts.clock.now_ms() // 1000
    command = Command("submit", digest_of(proposal.as_json()), author, pen.nonce(), now + SUBMIT_LIFE_S, text)
    body = json.dumps({"proposal": proposal.as_json(), "envelope": pen.sign(command)}, sort_keys=True)
    try:
        await parts.inbox.put(change, "submit", body, key=f"submit/{change}")
    except InputError as err:
        if err.code != "inbox.repeated":
            raise
        return Submitted(change, proposal, repeated=True, stored=True)
    return Submitted(change, proposal, repeated=False, stored=True)


async def vote(  # noqa: PLR0913  (what is signed, named)
    parts: Parts, pen: Pen, *, change: str, digest: str, person: str, verdict: str, reason: str
) -> int:
    """Sign a vote on one exact digest and file it. Raises: InputError when the change waits for nothing."""
    row = await waiting(parts, change)
    identity = await known(parts, person)
    asked = await _asked(parts, change)
    if identity.kind == "agent" and not seats_in(asked):
        raise AuthError(f"{person} is an agent; the rules give agents no seat, only people approve",
                        code="approval.agent", fix="ask a person; or see `seats` in policies/README.md")  # fmt: skip
    if identity.kind == "agent" and await parts.queries.held(person):
        raise AuthError(f"{person} is held; its review counts for nothing", code="author.held",
                        fix="two people lift the kill that holds it")  # fmt: skip
    if person == row.author:
        raise AuthError(f"{person} is the author; nobody approves their own change", code="approval.self")
    if verdict == "approve" and person in set_apart(asked):
        raise AuthError(f"{person} put their name to {row.author}; another person approves its changes",
                        code="approval.apart", fix="ask somebody else: `evoguard person list`")  # fmt: skip
    if verdict not in ("approve", "reject"):
        raise InputError("a vote is approve or reject", code="approval.verdict")
    now = parts.clock.now_ms() // 1000
    command = Command(
        verdict, digest, person, pen.nonce(), now + VOTE_LIFE_S, checked_text(reason, "the reason", 500, empty=True)
    )
    return await file_vote(
        parts, change=change, person=person, verdict=verdict, envelope=pen.sign(command), nonce=command.nonce
    )


async def file_vote(parts: Parts, *, change: str, person: str, verdict: str, envelope: str, nonce: str) -> int:
    """File a vote that was signed elsewhere. The same nonce again is refused unless it is the very same message."""
    body = json.dumps({"by": person, "envelope": envelope}, sort_keys=True)
    kind: MessageKind = "approve" if verdict == "approve" else "reject"
    return await parts.inbox.put(change, kind, body, key=f"vote/{nonce}")


async def withdraw(parts: Parts, *, change: str, author: str, envelope: str) -> int:
    """File the author's signed wish to end their change; a running rollout is reverted. Raises: InputError, AuthError.

    The flow proves the signature again; this only spares the sender a wait.
    """
    row = await opened(parts, change)
    if row.author != author:
        raise AuthError("only its author may withdraw a change", code="withdraw.author")
    body = json.dumps({"by": author, "envelope": envelope}, sort_keys=True)
    return await parts.inbox.put(change, "withdraw", body, key=f"withdraw/{change}/{digest_of(body.encode())}")


async def asked_digest(parts: Parts, change: str) -> str:
    """Return the digest that people are asked to approve now."""
    await waiting(parts, change)
    return str((await _asked(parts, change))["digest"])


async def _asked(parts: Parts, change: str) -> Mapping[str, Json]:
    return newest_request(await parts.queries.events(f"change/{change}"))


async def waiting(parts: Parts, change: str) -> ChangeRow:
    """Return a change that waits for approval. Raises: InputError when it does not."""
    row = await opened(parts, change)
    if row.status != "waiting for approval":
        raise InputError(f"{change} is {row.status}, it waits for no approval", code="approval.not_waiting",
                         fix=f"see `evoguard show {change}`")  # fmt: skip
    return row


async def opened(parts: Parts, change: str) -> ChangeRow:
    """Return a change that has not ended. Raises: InputError."""
    row = await parts.queries.change(change) if is_change_id(change) else None
    if row is None:
        raise InputError("there is no such change", code="change.unknown", fix="see `evoguard list`")
    if row.outcome:
        raise InputError(f"{change} has ended: {row.outcome}", code="change.ended")
    return row


async def known(parts: Parts, name: str) -> Identity:
    """Return a registered identity. Raises: AuthError for an unknown or revoked one."""
    identity = await parts.queries.identity(name) if is_name(name) else None
    if identity is None:
        raise AuthError(f"{name[:60]!r} is not registered here", code="auth.unknown",
                        fix="a person adds it: `evoguard person add` or `evoguard agent add`")  # fmt: skip
    return identity


def checked_text(text: str, what: str, limit: int, *, empty: bool = False) -> str:
    """Return text that people may be shown. Raises: InputError for empty, long, control or bidi characters."""
    clean = text.strip()
    if (not clean and not empty) or len(clean) > limit:
        raise InputError(f"{what} is 1 to {limit} characters", code="text.length")
    if any(
        (ord(c) < 32 and c not in "\n\t")
        or 0x7F <= ord(c) < 0xA0
        or 0xD800 <= ord(c) < 0xE000
        or 0x202A <= ord(c) <= 0x202E
        or 0x2066 <= ord(c) <= 0x2069
        for c in clean
    ):
        raise InputError(f"{what} holds control or direction characters", code="text.control")
    return clean


def person_or_agent(kind: ActorKind) -> str:
    """Return the event type that registers this kind."""
    return "agent.added" if kind == "agent" else "person.added"


async def _bring(parts: Parts, source: str | Path, *, base: str, head: str, patch: bytes | None) -> Brought:
    if (patch is None) == (not head):
        raise InputError("pass either --head or --patch", code="submit.head_or_patch")
    if patch is not None:
        return await parts.mirror.from_patch(source, base=base, patch=patch)
    return await parts.mirror.fetch(source, head=head, base=base)
