"""STEP. Run the candidate's tests in the sandbox; what was seen becomes an event."""

from __future__ import annotations

from evoguard.domain.canonical import canonical
from evoguard.domain.events import Event
from evoguard.domain.verdict import findings_json
from evoguard.flow.refusal import refusal
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.ports import Ports

SHOWN_FINDINGS = 50


async def check(state: FlowState, ports: Ports) -> StepResult:
    """Run once; red is an answer, no isolated run is an error that leaves the gate shut."""
    proposal = proposal_of(state)
    base = await ports.sources.files(proposal.repo, proposal.base)
    candidate = await ports.sources.files(proposal.repo, proposal.head)
    evidence = await ports.sandbox.run(proposal.tree, base, candidate)
    stored = await ports.artifacts.put(canonical(evidence.as_json()))
    passed = evidence.green and evidence.tree == proposal.tree
    seen = Event(
        "candidate.checked",
        {"evidence": stored, "passed": passed, "expected": evidence.expected, "run": evidence.run,
         "failed": evidence.failed, "isolation": evidence.isolation, "behaviour": evidence.behaviour,
         "findings": findings_json(evidence.findings[:SHOWN_FINDINGS])},
        reason=evidence.findings[0].msg if evidence.findings else "",
    )  # fmt: skip
    facts: dict[str, str | int | bool] = {"passed": passed, "evidence": stored}
    if not passed:
        facts |= await refusal("check", evidence.findings[:SHOWN_FINDINGS], ports)
    return StepResult(facts, (seen,))
