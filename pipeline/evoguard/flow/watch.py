"""STEP. Widen on evidence, abort on evidence; silent data holds; the lease keeps the flag alive."""

from __future__ import annotations

from langgraph.types import interrupt

from evoguard.domain.canonical import Json, canonical
from evoguard.domain.events import Event
from evoguard.domain.flag import FlagState
from evoguard.domain.kpi import KpiBatch
from evoguard.domain.rollout import Judgement, Plan, StageEntry, judge
from evoguard.errors import FencedError, InputError
from evoguard.flow.approve import late, withdrawn
from evoguard.flow.question import load
from evoguard.flow.state import FlowState, StepResult
from evoguard.ports import Ports
from evoguard.ports.inbox import Message


async def watch(state: FlowState, ports: Ports) -> StepResult:  # noqa: PLR0911  (one return a verdict reads best)
    """Judge the rollout once on what was counted; wait when there is nothing to do."""
    plan = await plan_of(state, ports)
    messages = await ports.inbox.pending(state["change"])
    if wish := await _withdrawal(messages, state, ports):
        return await _abort(state, ports, wish)
    if ignored := late(messages):
        return StepResult({"completed": False}, ignored)
    if state["percent"] == 0:
        return await _open(state, ports, plan.stages[0])
    entries = await _entries(state, ports)
    batches = await ports.kpis.batches(state["change"])
    now = ports.clock.now_ms()
    verdict = judge(plan, entries, batches, now)
    if verdict.action == "abort":
        return await _abort(state, ports, await _event("rollout.aborted", verdict, batches, ports))
    if verdict.action == "complete":
        return StepResult({"completed": True}, (await _event("rollout.completed", verdict, batches, ports),))
    if verdict.action == "widen":
        event = await _event("rollout.widened", verdict, batches, ports, percent=verdict.next_percent)
        return await _enter(state, ports, verdict.next_percent, event)
    await _renew(state, ports, entries, batches, now)
    interrupt({"waiting": verdict.code, "wake_at": now + int(ports.pace.tick_s * 1000)})
    return StepResult({"completed": False})


async def plan_of(state: FlowState, ports: Ports) -> Plan:
    """Return the rollout plan that was approved: the component at the base commit, at the pace of the settings."""
    component = (await load(ports, state["impact"]))["component"]
    assert isinstance(component, dict)  # noqa: S101  (our own document, proved by digest)
    return Plan(
        stages=tuple(int(s) for s in component["stages"]),
        margins={str(k): int(v) for k, v in component["kpis"].items()},
        dwell_s=ports.pace.dwell_s,
        disaster_exposures=ports.pace.disaster_exposures,
        evidence_from_percent=ports.pace.evidence_from_percent,
        silent_s=ports.pace.silent_s,
        change=state["change"],
    )


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
    )


async def _open(state: FlowState, ports: Ports, percent: int) -> StepResult:
    """Enter the first stage; a flag that cannot be this rollout's ends it, for it would never open."""
    try:
        return await _enter(state, ports, percent, Event("rollout.opened", {"percent": percent}))
    except InputError as err:
        aborted = Event("rollout.aborted", {"code": err.code}, reason=err.message)
        return StepResult({"aborted": True}, (aborted,))  # the flag is another's: it is not ours to turn off


async def _enter(state: FlowState, ports: Ports, percent: int, event: Event) -> StepResult:
    async def write() -> str:
        await ports.flags.write(await flag_state(state, ports, percent=percent, lease=True))
        return str(percent)

    await ports.effects.once(f"flag/{state['change']}/{percent}", write)
    return StepResult({"percent": percent, "completed": False}, (event,))


async def _abort(state: FlowState, ports: Ports, event: Event) -> StepResult:
    if state["percent"]:  # before that the flag shows an earlier release
        await ports.flags.off(state["flag"])  # at once, and again in `revert`: off twice is off
    return StepResult({"aborted": True}, (event,))


async def _renew(
    state: FlowState, ports: Ports, entries: tuple[StageEntry, ...], batches: tuple[KpiBatch, ...], now: int
) -> None:
    """Keep the lease while data lives; without data it runs out, and every SDK goes to known-good by itself."""
    alive = max((b.at for b in batches), default=entries[-1].entered_at)
    if now - max(alive, entries[-1].entered_at) > ports.pace.lease_s * 1000:
        return
    stored = await ports.flags.read(state["flag"])
    if stored is None or not stored.enabled or stored.change != state["change"]:
        raise FencedError("the flag is no longer this rollout's", code="fenced.flag")
    left_ms = stored.lease_until * 1000 - ports.clock.wall_ms()
    # a third is used up, or it was written by a clock that was ahead
    if not ports.pace.lease_s * 667 <= left_ms <= ports.pace.lease_s * 1667:
        await ports.flags.write(await flag_state(state, ports, percent=state["percent"], lease=True))


async def _entries(state: FlowState, ports: Ports) -> tuple[StageEntry, ...]:
    stored = await ports.queries.events(f"change/{state['change']}")
    return tuple(
        StageEntry(int(str(item.event.body["percent"])), item.at)
        for item in stored
        if item.event.type in ("rollout.opened", "rollout.widened")
    )


async def _event(kind: str, verdict: Judgement, batches: tuple[KpiBatch, ...], ports: Ports, **more: Json) -> Event:
    """Return the event with the figures, and the batches that they came from by digest."""
    evidence = await ports.artifacts.put(canonical([b.as_json() for b in batches]))
    body: dict[str, Json] = {"code": verdict.code, "figures": dict(verdict.figures), "kpi_evidence": evidence, **more}
    return Event(kind, body, reason=verdict.reason)


async def _withdrawal(messages: tuple[Message, ...], state: FlowState, ports: Ports) -> Event | None:
    for message in messages:
        if message.kind == "withdraw" and await withdrawn(message, state, ports):
            return Event(
                "rollout.aborted", {"code": "rollout.withdrawn", "by": state["author"]}, actor=state["author"],
                causation=f"inbox/{message.id}", reason="withdrawn by its author",
            )  # fmt: skip
    return None
