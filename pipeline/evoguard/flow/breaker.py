"""How far the author of a rollout is trusted just now, by the log and the holds that people lift."""

from __future__ import annotations

from evoguard.domain.breaker import Standing, standing
from evoguard.flow.state import FlowState
from evoguard.ports import Ports


async def standing_of(state: FlowState, ports: Ports) -> Standing:
    """Return the author's standing."""
    author = state["author"]
    held = bool(await ports.queries.held(author))
    return standing(held=held, clean=await ports.authors.clean_since_hold(author))


async def held_by_author(state: FlowState, ports: Ports) -> str:
    """Return why nothing of this author is opened or widened, or an empty text; what is open may still go back."""
    reason = await ports.queries.held(state["author"])
    return f"{state['author']} is held: {reason[:300]}" if reason else ""
