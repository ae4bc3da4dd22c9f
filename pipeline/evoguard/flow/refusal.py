"""What every step says when its answer is no; the gate behind it then leads to `refuse`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from evoguard.domain.verdict import Finding, findings_json
from evoguard.ports import Ports


async def refusal(step: str, findings: Sequence[Finding], ports: Ports) -> dict[str, str | int | bool]:
    """Store the findings and return the facts that shut the gate: which step refused, and why by digest."""
    digest = await ports.artifacts.put(json.dumps(findings_json(findings), sort_keys=True).encode())
    return {"refused": True, "at_step": step, "refusal": digest}
