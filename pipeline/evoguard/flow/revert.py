"""STEP. Take it back: flag off, git back to known-good, author held. Only ever goes down, so it asks nobody."""

from __future__ import annotations

from evoguard.domain.canonical import Json
from evoguard.domain.events import Event
from evoguard.flow.state import UNREADABLE, FlowState, StepResult
from evoguard.flow.watch import turn_off
from evoguard.ports import Ports


async def revert(state: FlowState, ports: Ports) -> StepResult:
    """Return to known-good after an abort or a kill; every part may be repeated."""
    killed = state.get("killed", "")
    if state.get("flag") and state.get("commit"):
        await turn_off(state, ports)
    events: list[Event] = []
    reason = await _reason(state, ports)
    if state.get("commit"):
        commit = await ports.effects.once(f"revert/{state['change']}", lambda: _revert(state, ports, reason))
        if commit == state["commit"]:
            return _too_late(state, reason, killed)
        events.append(Event("release.reverted", {"commit": commit, "branch": state["branch"]}, reason=reason))
    if author := state.get("author"):
        # a hold needs an id that two people can lift; an unreadable latch has none
        own = not killed or killed == UNREADABLE
        held: dict[str, Json] = {"author": author, "kill": f"abort-{state['change']}" if own else killed}
        events.append(Event("author.held", held, reason=reason))
    end = "killed" if killed else "reverted"
    messages = [m for m in await ports.inbox.pending(state["change"]) if m.kind == "kill"]
    cause = f"inbox/{messages[0].id}" if messages else ""
    events.append(Event(f"change.{end}", {"kill": killed}, reason=reason, causation=cause))
    return StepResult({"outcome": end}, tuple(events))


def _too_late(state: FlowState, reason: str, killed: str) -> StepResult:
    """Say what is true: it became known-good, then the kill turned its flag off; users meet the release before it."""
    held = Event("author.held", {"author": state["author"], "kill": killed}, reason=reason)
    text = f"promoted in git just before: {reason}"
    done = Event("change.known_good", {"commit": state["commit"], "percent": 100, "kill": killed}, reason=text)
    return StepResult({"outcome": "known-good"}, (held, done))


async def _revert(state: FlowState, ports: Ports, reason: str) -> str:
    """Return the commit that took it back, or its own when git had made it known-good before the kill came."""
    where = (state["repo"], state["component"], state["branch"])
    if commit := await ports.forge.revert(*where, reason=reason):
        return commit
    # nothing to go back from: it is known-good, or the kill command or an earlier life of this step took it back
    refs = await ports.forge.refs(*where)
    return state["commit"] if refs.known_good == state["commit"] else refs.tip


async def _reason(state: FlowState, ports: Ports) -> str:
    if killed := state.get("killed"):
        latch = next((x for x in ports.latches.board().latches if x.id == killed), None)
        return f"killed by {latch.by}: {latch.reason}" if latch else "killed: a latch could not be read"
    stored = await ports.queries.events(f"change/{state['change']}")
    return next((i.event.reason for i in reversed(stored) if i.event.type == "rollout.aborted"), "rollout aborted")
