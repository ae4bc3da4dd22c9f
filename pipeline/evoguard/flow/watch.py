"""STEP. Widen on evidence, abort on evidence; silent data holds; the lease keeps the flag alive."""

from __future__ import annotations

from langgraph.types import interrupt

from evoguard.domain.breaker import cautious
from evoguard.domain.canonical import Json, canonical
from evoguard.domain.events import Event
from evoguard.domain.flag import FlagState
from evoguard.domain.fold import StageEntry, Tally
from evoguard.domain.plan import plan_from
from evoguard.domain.rollout import Judgement, Plan, judge_tally
from evoguard.errors import FencedError, InputError, UnavailableError
from evoguard.flow.approve import late, withdrawal
from evoguard.flow.breaker import held_by_author, standing_of
from evoguard.flow.clocks import held_by_clocks, newly_held
from evoguard.flow.facts import load
from evoguard.flow.state import FlowState, StepResult
from evoguard.ports import Ports


async def watch(state: FlowState, ports: Ports) -> StepResult:  # noqa: PLR0911  (one return a verdict reads best)
    """Judge the rollout once on what was counted; wait when there is nothing to do."""
    plan = await plan_of(state, ports)
    messages = await ports.inbox.pending(state["change"])
    if wish := await withdrawal(messages, state, ports):
        body: dict[str, Json] = {"code": "rollout.withdrawn", "by": state["author"]}
        why = "withdrawn by its author"
        event = Event("rollout.aborted", body, actor=state["author"], causation=f"inbox/{wish.id}", reason=why)
        await turn_off(state, ports)
        return _aborted(event)
    if ignored := late(messages):
        return StepResult({"completed": False}, ignored)
    if state["percent"] == 0:
        await ports.kill_path.prove()  # nothing that could not be taken back at once is let out
        if held := await held_by_author(state, ports):
            return newly_held(state, "author.held", held) or _wait("author.held", ports)
        opened = Event("rollout.opened", {"percent": plan.stages[0], "breaker": await standing_of(state, ports)})
        return await _enter(state, ports, plan.stages[0], opened)
    entries = await _entries(state, ports)
    now = ports.clock.now_ms()
    tally = await ports.kpis.tally(plan, entries, now_ms=now)
    verdict = judge_tally(plan, tally)
    if verdict.action == "abort":
        await turn_off(state, ports)  # first: after a day its evidence takes seconds to write
        return _aborted(await _event("rollout.aborted", verdict, tally, state, ports))
    if verdict.action == "complete":
        return StepResult({"completed": True}, (await _event("rollout.completed", verdict, tally, state, ports),))
    code, held = await _held(state, ports) if verdict.action == "widen" else ("", "")
    if verdict.action == "widen" and not held:
        event = await _event("rollout.widened", verdict, tally, state, ports, percent=verdict.next_percent)
        return await _enter(state, ports, verdict.next_percent, event)
    if lost := await _renew(state, ports, tally):
        return StepResult({"aborted": True}, (lost,))
    return newly_held(state, code, held) or _wait(verdict.code, ports)


async def _held(state: FlowState, ports: Ports) -> tuple[str, str]:
    """Return the code and the reason why nothing is widened that the evidence would let widen, or empty texts."""
    if held := await held_by_author(state, ports):
        return "author.held", held
    held = await held_by_clocks(ports)
    return ("rollout.clocks", held) if held else ("", "")


def _wait(why: str, ports: Ports) -> StepResult:
    interrupt({"waiting": why, "wake_at": ports.clock.now_ms() + int(ports.pace.tick_s * 1000)})
    return StepResult({"completed": False})


async def plan_of(state: FlowState, ports: Ports) -> Plan:
    """Return the rollout plan that was approved: the component at the base commit, at the pace of the settings.

    An author who was held before takes smaller steps until some releases came out well.
    """
    component = (await load(ports, state["impact"]))["component"]
    assert isinstance(component, dict)  # noqa: S101  (our own document, proved by digest)
    pace = ports.pace
    plan = plan_from(
        component, dwell_s=pace.dwell_s, disaster_exposures=pace.disaster_exposures,
        evidence_from_percent=pace.evidence_from_percent, silent_s=pace.silent_s, change=state["change"],
    )  # fmt: skip
    return plan if await standing_of(state, ports) == "closed" else cautious(plan)


async def flag_state(state: FlowState, ports: Ports, *, percent: int, lease: bool) -> FlagState:
    """Return what the flag server must serve for this rollout, under the epoch of now."""
    refs = await ports.forge.refs(state["repo"], state["component"], state["branch"])
    now_s = ports.clock.wall_ms() // 1000  # SDKs compare the lease with their own clocks
    return FlagState(
        flag=state["flag"],
        component=state["component"],
        change=state["change"],
        enabled=True,
        percent=percent,
        known_good=refs.known_good if refs.known_good != state["commit"] else refs.previous,
        candidate=state["commit"],
        lease_until=now_s + ports.pace.lease_s if lease else 0,
        epoch=ports.latches.board().epoch,
        versions=state.get("versions", ""),
    )


async def turn_off(state: FlowState, ports: Ports) -> UnavailableError | None:
    """Turn the flag off unless it shows another change: an earlier release, or whoever it belongs to, stays on.

    Returns why it may still be on, where nobody answers: the lease runs out then, and what else goes back goes on.
    """
    try:
        stored = await ports.flags.read(state["flag"])
        if stored is None or stored.change == state["change"]:
            await ports.flags.off(state["flag"])
    except UnavailableError as err:
        return err
    return None


async def _enter(state: FlowState, ports: Ports, percent: int, event: Event) -> StepResult:
    """Enter a stage; a flag that cannot be this rollout's ends it, for it would never open."""
    await ports.ways_back.prove(state.get("way_back", ""), change=state["change"], commit=state["commit"])

    async def write() -> str:
        await ports.flags.write(await flag_state(state, ports, percent=percent, lease=True))
        return str(percent)

    try:
        await ports.effects.once(f"flag/{state['change']}/{percent}", write)
    except InputError as err:
        aborted = Event("rollout.aborted", {"code": err.code}, reason=err.message)
        return StepResult({"aborted": True}, (aborted,))  # the flag is another's: it is not ours to turn off
    return StepResult({"percent": percent, "completed": False}, (event,))


def _aborted(event: Event) -> StepResult:
    """Return the end of a rollout whose flag was turned off; `revert` does so again, and does not end before it is."""
    return StepResult({"aborted": True}, (event,))


async def _renew(state: FlowState, ports: Ports, tally: Tally) -> Event | None:
    """Keep the lease while data lives; without data it runs out, and every SDK goes to known-good by itself.

    Returns the end of a rollout whose flag shows another change: asking again would change nothing.
    Raises: FencedError while the flag is off, which is a kill's work that the next look sees.
    """
    alive = max(tally.newest_at, tally.entries[-1].entered_at)
    if tally.now_ms - alive > ports.pace.lease_s * 1000:
        return None
    stored = await ports.flags.read(state["flag"])
    if stored is None or stored.change != state["change"]:
        text = f"the flag {state['flag']} shows {stored.change if stored else 'nothing'} instead of this rollout"
        return Event("rollout.aborted", {"code": "flag.lost"}, reason=text)
    if not stored.enabled:
        raise FencedError("the flag was turned off", code="fenced.flag")
    left_ms = stored.lease_until * 1000 - ports.clock.wall_ms()
    # a third is used up, or it was written by a clock that was ahead
    if not ports.pace.lease_s * 667 <= left_ms <= ports.pace.lease_s * 1667:
        await ports.flags.write(await flag_state(state, ports, percent=state["percent"], lease=True))
    return None


async def _entries(state: FlowState, ports: Ports) -> tuple[StageEntry, ...]:
    stored = await ports.queries.events(f"change/{state['change']}")
    return tuple(
        StageEntry(int(str(item.event.body["percent"])), item.at)
        for item in stored
        if item.event.type in ("rollout.opened", "rollout.widened")
    )


async def _event(kind: str, verdict: Judgement, tally: Tally, state: FlowState, ports: Ports, **more: Json) -> Event:
    """Return the event with the figures, and the batches that they came from by digest."""
    batches = (await ports.kpis.batches(state["change"]))[: tally.taken]
    evidence = await ports.artifacts.put(canonical([b.as_json() for b in batches]))
    body: dict[str, Json] = {"code": verdict.code, "figures": dict(verdict.figures), "kpi_evidence": evidence, **more}
    return Event(kind, body, reason=verdict.reason)
