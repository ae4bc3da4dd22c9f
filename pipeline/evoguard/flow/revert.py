"""STEP. Take it back: flag off, git back to known-good, author held. Only ever goes down, so it asks nobody."""

from __future__ import annotations

from contextlib import suppress

from langgraph.types import interrupt

from evoguard.domain.canonical import Json
from evoguard.domain.events import Event
from evoguard.domain.way_back import CONFLICT
from evoguard.errors import FencedError, IntegrityError
from evoguard.flow import versions
from evoguard.flow.state import UNREADABLE, FlowState, StepResult
from evoguard.flow.watch import turn_off
from evoguard.ports import Ports
from evoguard.ports.way_back import NoWayBackError

HAND_TICK_MS = 5_000


async def revert(state: FlowState, ports: Ports) -> StepResult:
    """Return to known-good after an abort or a kill; every part may be repeated."""
    killed = state.get("killed", "")
    still_on = await turn_off(state, ports) if state.get("flag") and state.get("commit") else None
    events: list[Event] = [*await versions.go_back(state, ports)]
    reason = await _reason(state, ports)
    if state.get("commit"):
        try:
            commit = await ports.effects.once(f"revert/{state['change']}", lambda: _revert(state, ports, reason))
        except FencedError as err:
            if err.code != CONFLICT:
                raise
            return _by_hand(state, ports, err)
        if still_on is not None:
            raise still_on  # git is back without it; the step is over once the flag is off
        if commit == state["commit"]:
            return _too_late(state, reason, killed)
        events.append(Event("release.reverted", {"commit": commit, "branch": state["branch"]}, reason=reason))
    events += _held(state, reason)
    end = "killed" if killed else "reverted"
    messages = [m for m in await ports.inbox.pending(state["change"]) if m.kind == "kill"]
    cause = f"inbox/{messages[0].id}" if messages else ""
    events.append(Event(f"change.{end}", {"kill": killed}, reason=reason, causation=cause))
    await ports.ways_back.close(state.get("way_back", ""))
    return StepResult({"outcome": end}, tuple(events))


def _held(state: FlowState, reason: str) -> list[Event]:
    if not (author := state.get("author")):
        return []
    # a hold needs an id that two people can lift; an unreadable latch has none
    killed = state.get("killed", "")
    own = not killed or killed == UNREADABLE
    held: dict[str, Json] = {"author": author, "kill": f"abort-{state['change']}" if own else killed}
    return [Event("author.held", held, reason=reason)]


def _by_hand(state: FlowState, ports: Ports, err: FencedError) -> StepResult:
    """Ask people for a revert by hand, once for each tip, then look again and again whether it is there.

    The flag stays off and the change stays open, so that no other change of the component gets its turn.
    """
    if state.get("conflict") == err.message:
        interrupt({"waiting": "revert by hand", "wake_at": ports.clock.now_ms() + HAND_TICK_MS})
    text = f"REVERT BY HAND: {err.message}; {err.fix}"
    body: dict[str, Json] = {"code": err.code, "branch": state["branch"], "release": state["commit"]}
    asked = Event("revert.conflicted", body, reason=text)
    return StepResult({"conflict": err.message}, (*_held(state, text), asked))


def _too_late(state: FlowState, reason: str, killed: str) -> StepResult:
    """Say what is true: it became known-good, then the kill turned its flag off; users meet the release before it."""
    held = Event("author.held", {"author": state["author"], "kill": killed}, reason=reason)
    text = f"promoted in git just before: {reason}"
    done = Event("change.known_good", {"commit": state["commit"], "percent": 100, "kill": killed}, reason=text)
    return StepResult({"outcome": "known-good"}, (held, done))


async def _revert(state: FlowState, ports: Ports, reason: str) -> str:
    """Return the commit that took it back, also from known-good; its own when there is no release before it."""
    with suppress(IntegrityError, NoWayBackError):  # one that was tampered with stops nothing from going back
        tip = await ports.ways_back.take_back(state.get("way_back", ""), change=state["change"], commit=state["commit"])
        if tip != state["commit"]:
            return tip
    where = (state["repo"], state["component"], state["branch"])
    if commit := await ports.forge.revert(*where, reason=reason):
        return commit
    # It is known-good, or the kill command or an earlier life of this step took it back.
    refs = await ports.forge.refs(*where)
    if refs.known_good != state["commit"]:
        return refs.tip
    killed = state["commit"] if state.get("killed") else ""
    return await ports.forge.retreat(*where, killed=killed, reason=reason) or state["commit"]


async def _reason(state: FlowState, ports: Ports) -> str:
    if killed := state.get("killed"):
        latch = next((x for x in ports.latches.board().latches if x.id == killed), None)
        return f"killed by {latch.by}: {latch.reason}" if latch else "killed: a latch could not be read"
    stored = await ports.queries.events(f"change/{state['change']}")
    return next((i.event.reason for i in reversed(stored) if i.event.type == "rollout.aborted"), "rollout aborted")
