"""PART of check. Look at what the change brings with it: dependencies, bills of material, advisories, weaker tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from evoguard.domain.canonical import Digest, Json, canonical
from evoguard.domain.change import Proposal
from evoguard.domain.events import Event
from evoguard.ports import Ports
from evoguard.ports.forge import Blob
from evoguard.supply import inspection, sbom
from evoguard.supply.vulnerable import vulnerable


async def inspect(
    proposal: Proposal, files: Json, base: Mapping[str, Blob], candidate: Mapping[str, Blob], ports: Ports
) -> tuple[Digest, Event]:
    """Store what was seen, both bills of material and their difference; what follows is the policies' word."""
    rows = [row for row in files if isinstance(row, Mapping)] if isinstance(files, list) else []
    commits = {"repo": proposal.repo, "base": proposal.base, "head": proposal.head}
    found = await asyncio.to_thread(inspection.inspect, base, candidate, rows, commits)
    advice = await ports.advisories.of(found.asked())
    fits, more = vulnerable(found, advice.rows)
    bills: dict[str, Json] = {"base": "", "head": "", "difference": ""}
    if found.base is not None and found.head is not None:
        made = {"base": found.base, "head": found.head, "difference": sbom.difference(found.base, found.head)}
        bills = {name: await ports.artifacts.put(canonical(bill)) for name, bill in made.items()}
    told = found.as_json()
    doc: dict[str, Json] = {
        **told, "omitted": int(str(told["omitted"])) + more, "vulnerable": fits, "advisories": advice.as_json(),
        "sbom": bills,
    }  # fmt: skip
    stored = await ports.artifacts.put(canonical(doc))
    return stored, Event(
        "candidate.inspected",
        {"inspection": stored, "status": found.status, "dependencies": len(found.brought), "faults": len(found.faults),
         "vulnerable": len(fits), "weakened": len(found.weakened), "blobs": len(found.blobs),
         "capabilities": len(found.capabilities),
         "advisories": advice.status, "database": advice.digest, "sbom_head": bills["head"],
         "sbom_base": bills["base"], "sbom_difference": bills["difference"]},
        reason=found.why,
    )  # fmt: skip
