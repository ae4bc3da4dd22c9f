"""STEP. Prove who sent the proposal and file it."""

from __future__ import annotations

import json

from evoguard.domain.canonical import Json, digest_of
from evoguard.domain.change import ActorKind, Author, CommitId, Proposal, TreeId, is_object_id
from evoguard.domain.events import Event
from evoguard.domain.verdict import Finding
from evoguard.errors import AuthError, InputError
from evoguard.flow.refusal import refusal
from evoguard.flow.state import FlowState, StepResult
from evoguard.ports import Ports
from evoguard.ports.inbox import Message


async def intake(state: FlowState, ports: Ports) -> StepResult:
    """File the submission; an unproved, expired or held sender is a refusal with its reason."""
    message = next(m for m in await ports.inbox.pending(state["change"]) if m.kind == "submit")
    proposal = parse_proposal(message.body)
    findings = await _doubts(message, proposal, ports)
    submitted = Event(
        "change.submitted",
        proposal.as_json(),
        actor=proposal.author.id,
        reason=proposal.intent,
        causation=f"inbox/{message.id}",
    )
    facts: dict[str, str | int | bool] = {
        "repo": proposal.repo,
        "base": proposal.base,
        "head": proposal.head,
        "tree": proposal.tree,
        "intent": proposal.intent,
        "author": proposal.author.id,
        "author_kind": proposal.author.kind,
        "epoch": ports.latches.board().epoch,
        "refused": bool(findings),
        "at_step": "intake",
    }
    if findings:
        facts |= await refusal("intake", findings, ports)
    return StepResult(facts, (submitted,))


def parse_proposal(body: str) -> Proposal:
    """Return the proposal in a submit message. Raises: InputError when it is not one."""
    try:
        doc = json.loads(body)["proposal"]
        texts = {k: str(doc[k]) for k in ("repo", "base", "head", "tree", "intent", "author", "author_kind")}
    except (ValueError, KeyError, TypeError) as err:
        raise InputError("the submission is not readable", code="submit.malformed") from err
    if not all(is_object_id(texts[k]) for k in ("base", "head", "tree")) or len(texts["intent"]) > 2000:
        raise InputError("the submission names no full object ids", code="submit.malformed")
    kind: ActorKind = "agent" if texts["author_kind"] == "agent" else "person"
    return Proposal(
        texts["repo"], CommitId(texts["base"]), CommitId(texts["head"]), TreeId(texts["tree"]), texts["intent"],
        Author(texts["author"], kind),
    )  # fmt: skip


def proposal_subject(proposal: Proposal) -> str:
    """Return what the author's signature names: the digest of the whole proposal."""
    doc: Json = proposal.as_json()
    return digest_of(doc)


async def _doubts(message: Message, proposal: Proposal, ports: Ports) -> list[Finding]:
    identity = await ports.queries.identity(proposal.author.id)
    if identity is None or identity.kind != proposal.author.kind:
        return [Finding("author.unknown", "the author is not registered", term=proposal.author.id[:60])]
    try:
        command = await ports.signer.command(str(json.loads(message.body)["envelope"]), identity)
    except (AuthError, InputError, KeyError, ValueError) as err:
        return [Finding("author.unverified", f"the submission's signature does not prove its author: {str(err)[:200]}")]
    if command.purpose != "submit" or command.subject != proposal_subject(proposal):
        return [Finding("author.unverified", "the signature is about another submission")]
    if command.expires * 1000 <= message.at:
        return [Finding("author.expired", "the submission's signature had expired when it arrived")]
    if reason := await ports.queries.held(proposal.author.id):
        return [Finding("author.held", f"the author is held: {reason[:200]}", term=proposal.author.id)]
    return []
