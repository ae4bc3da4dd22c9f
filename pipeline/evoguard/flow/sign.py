"""STEP. Ask the policies once more with everything in hand, then bind it all into one attestation."""

from __future__ import annotations

from evoguard.domain.attestation import vsa_statement
from evoguard.domain.canonical import Digest, as_digest
from evoguard.domain.events import Event
from evoguard.domain.verdict import Finding, findings_json
from evoguard.flow.approve import votes_in
from evoguard.flow.judge import what_people_approve
from evoguard.flow.question import ask
from evoguard.flow.refusal import refusal
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.ports import Ports


async def sign(state: FlowState, ports: Ports) -> StepResult:
    """Sign only what `admit` allows and what people approved; anything else is a refusal."""
    votes = votes_in(await ports.queries.events(f"change/{state['change']}"))
    decision, stored = await ask("admit", state, ports, approvals=votes)
    doubts = list(decision.deny)
    same = what_people_approve(state, decision=as_digest(state["decision"]), bundle=ports.policies.digest)
    if same != state["approval"]:
        doubts.append(Finding("approval.void", "what was approved is no longer what would be signed"))
    if decision.quorum > state["quorum"]:  # a repository's own rules may ask for more people than they did at review
        doubts.append(Finding("approval.quorum", f"{state['quorum']} people were asked for, now {decision.quorum} are"))
    admitted = Event(
        "change.admitted", {"allow": decision.allow, "decision": stored, "deny": findings_json(doubts[:50])}
    )
    if not decision.allow or doubts:
        return StepResult(await refusal("sign", doubts, ports), (admitted,))
    attestation = await ports.effects.once(f"attest/{state['change']}", lambda: attest(state, ports, "PASSED", stored))
    return StepResult(
        {"attestation": attestation, "refused": False, "decided_at": ports.clock.now_ms() // 1000},
        (admitted, Event("change.attested", {"attestation": attestation, "result": "PASSED"})),
    )


async def attest(state: FlowState, ports: Ports, result: str, admit: Digest | None = None) -> str:
    """Sign a verification summary, good or bad, store it, and return its digest."""
    proposal = proposal_of(state)
    inputs = {
        name: as_digest(state[name])
        for name in ("evidence", "scan", "inspection", "regression", "decision", "approvals", "refusal")
        if state.get(name)
    }
    if admit is not None:
        inputs["admit"] = admit
    # a decision that the summary rests on was made under the bundle of then, whatever is in force now
    bundle = as_digest(state["bundle"]) if "decision" in inputs else ports.policies.digest
    statement = vsa_statement(
        proposal=proposal,
        branch=state.get("branch", ""),
        policy=bundle,
        inputs=inputs,
        passed=result == "PASSED",
        verifier=ports.verifier,
        at_s=ports.clock.now_ms() // 1000,
    )
    return await ports.artifacts.put(await ports.signer.attest(statement))
