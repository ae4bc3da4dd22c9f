"""STEP. A completed rollout becomes what everybody can be returned to."""

from __future__ import annotations

from evoguard.domain.change import CommitId
from evoguard.domain.events import Event
from evoguard.flow import versions
from evoguard.flow.release import publication_of
from evoguard.flow.state import FlowState, StepResult
from evoguard.flow.watch import flag_state
from evoguard.ports import Ports


async def known_good(state: FlowState, ports: Ports) -> StepResult:
    """Move the known-good ref, then take the lease off the flag: an outage must not revert a finished release."""
    change = state["change"]

    async def promote() -> str:
        what = publication_of(state, epoch=ports.latches.board().epoch)
        await ports.forge.promote(what, CommitId(state["commit"]))
        return state["commit"]

    async def settle() -> str:
        # The pin before the write: a kill that comes between the two fences the write, and the way back pins again.
        await versions.settle(state, ports)
        await ports.flags.write(await flag_state(state, ports, percent=100, lease=False))
        return "100"

    await ports.effects.once(f"promote/{change}", promote)
    await ports.effects.once(f"flag/{change}/settled", settle)
    await ports.ways_back.close(state.get("way_back", ""))
    done = Event(
        "change.known_good", {"commit": state["commit"], "percent": 100}, reason="every stage passed on evidence"
    )
    return StepResult({"outcome": "known-good"}, (done,))
