"""Whether the lease would end in time everywhere: it is each client's own clock that ends it."""

from __future__ import annotations

from evoguard.domain.clients import clocks_off
from evoguard.domain.events import Event
from evoguard.errors import UnavailableError
from evoguard.flow.state import FlowState, StepResult
from evoguard.ports import Ports


async def held_by_clocks(ports: Ports) -> str:
    """Return why nothing may be widened, or an empty text; no answer holds as well."""
    try:
        names = clocks_off(await ports.clients.roll(), lease_s=ports.pace.lease_s)
    except UnavailableError as err:
        return f"nobody says whose clock is off: {err.message}"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"clocks are off by more than a third of the lease: {', '.join(names[:5])}{more}" if names else ""


def newly_held(state: FlowState, code: str, held: str) -> StepResult | None:
    """Return the event that says so once; None when it is said already or nothing is held."""
    if not held or state.get("held") == held:
        return None
    event = Event("rollout.held", {"code": code, "stage": state["percent"]}, reason=held)
    return StepResult({"held": held}, (event,))
