"""STEP. Put change and evidence before the policies; a denial is an answer."""

from __future__ import annotations

from evoguard.domain.approval import request
from evoguard.domain.canonical import Digest, as_digest
from evoguard.domain.change import approval_digest
from evoguard.domain.events import Event
from evoguard.domain.headline import headline
from evoguard.domain.verdict import findings_json
from evoguard.flow.question import apart, ask, seats
from evoguard.flow.refusal import refusal
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.ports import Ports

FIRST_QUORUM = 2


async def judge(state: FlowState, ports: Ports) -> StepResult:
    """Ask `review`; when it allows, name the digest that people are asked to approve."""
    decision, stored = await ask("review", state, ports)
    # a base that an agent named brings its own rules and tests: with no release before it, two people must vouch for it
    quorum = max(decision.quorum, FIRST_QUORUM if state.get("first") and state["author_kind"] == "agent" else 1)
    judged = Event(
        "change.judged",
        {"allow": decision.allow, "quorum": quorum, "decision": stored, "bundle": ports.policies.digest,
         "deny": findings_json(decision.deny[:50]), "notes": findings_json(decision.notes[:50])},
        reason=headline([finding.as_json() for finding in decision.deny]),
    )  # fmt: skip
    facts: dict[str, str | int | bool] = {
        "allow": decision.allow,
        "quorum": quorum,
        "decision": stored,
        "bundle": ports.policies.digest,
    }
    if not decision.allow:
        facts |= await refusal("judge", decision.deny, ports)
        return StepResult(facts, (judged,))
    asked = what_people_approve(state, decision=stored, bundle=ports.policies.digest)
    behind = await apart(proposal_of(state).author, ports)
    requested = request(asked, quorum, behind, await seats(state, ports))
    return StepResult({**facts, "approval": asked}, (judged, requested))


def what_people_approve(state: FlowState, *, decision: Digest, bundle: Digest) -> Digest:
    """Return the digest over head, base, evidence, bundle, decision and rollout plan."""
    return approval_digest(
        proposal=proposal_of(state),
        evidence=as_digest(state["evidence"]),
        bundle=bundle,
        component=as_digest(state["plan"]),
        decision=decision,
    )
