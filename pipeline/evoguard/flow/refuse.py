"""STEP. A refusal is recorded and signed like a yes."""

from __future__ import annotations

import json

from evoguard.domain.canonical import Json, as_digest
from evoguard.domain.events import Event
from evoguard.domain.headline import headline
from evoguard.flow.sign import attest
from evoguard.flow.state import FlowState, StepResult
from evoguard.ports import Ports


async def refuse(state: FlowState, ports: Ports) -> StepResult:
    """Close the change with its findings and a FAILED attestation."""
    findings: list[dict[str, Json]] = []
    if digest := state.get("refusal"):
        findings = json.loads(await ports.artifacts.get(as_digest(digest)))
    step = state.get("at_step", "")
    first = headline(findings) or "nothing proved that the gate may open"
    attestation = await ports.effects.once(f"attest/{state['change']}/FAILED", lambda: attest(state, ports, "FAILED"))
    refused = Event(
        "change.refused",
        {"step": step, "findings": findings[:50], "attestation": attestation},
        reason=f"refused at {step}: {first}"[:500],
    )
    return StepResult({"outcome": "refused", "refused": True}, (refused,))
