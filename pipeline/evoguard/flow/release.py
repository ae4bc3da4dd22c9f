"""STEP. Verify as a stranger would, then publish exactly the tested tree."""

from __future__ import annotations

from langgraph.types import interrupt

from evoguard.domain.attestation import check_vsa
from evoguard.domain.canonical import Digest, Json, as_digest
from evoguard.domain.component import FILE_NAME
from evoguard.domain.events import Event
from evoguard.domain.flag import FlagState
from evoguard.domain.verdict import Finding
from evoguard.errors import FencedError, InputError
from evoguard.flow import versions
from evoguard.flow.approve import ended, late
from evoguard.flow.impact import claimed_by_another
from evoguard.flow.refusal import refusal
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.ports import Ports
from evoguard.ports.forge import Publication

QUEUE_TICK_MS = 500


async def release(state: FlowState, ports: Ports) -> StepResult:
    """Publish when it is this change's turn on its component; before that, wait visibly."""
    messages = await ports.inbox.pending(state["change"])
    if left := await ended(messages, state, ports):
        return StepResult({"withdrawn": True, "outcome": left.type.removeprefix("change.")}, (left,))
    if ignored := late(messages):
        return StepResult({"queued": state.get("queued", False)}, ignored)
    if await ports.lanes.turn(state["repo"], state["component"]) != state["change"]:
        if state.get("queued"):
            interrupt({"waiting": "turn", "wake_at": ports.clock.now_ms() + QUEUE_TICK_MS})
        queued = Event("rollout.queued", reason="another rollout of this component is open")
        return StepResult({"queued": True}, (queued,))
    doubts = await _doubts(state, ports) or await _claim(state, ports)
    if doubts:
        return StepResult(await refusal("release", doubts, ports))
    # The epoch that this decision was made under: a kill from here on makes the publication impossible.
    what = publication_of(state, epoch=ports.latches.board().epoch)
    try:
        commit = await ports.effects.once(f"publish/{state['change']}", lambda: ports.forge.publish(what))
    except FencedError as err:
        if err.code != "fenced.base_moved":
            raise
        moved = Finding("release.base_moved", "the release branch moved since the approval", path=state["branch"])
        return StepResult(await refusal("release", [moved], ports))
    refs = await ports.forge.refs(state["repo"], state["component"], state["branch"])
    way_back = await ports.effects.once(
        f"way_back/{state['change']}", lambda: _kept(state, ports, what, commit, refs.known_good)
    )
    shown = await ports.effects.once(
        f"versions/{state['change']}", lambda: versions.kept({**state, "commit": commit}, refs.known_good, ports)
    )
    body: dict[str, Json] = {"commit": commit, "known_good": refs.known_good, "branch": state["branch"]}
    published = Event("release.published", {**body, "way_back": way_back, **versions.shown(shown)})
    return StepResult(
        {"commit": commit, "way_back": way_back, "versions": shown, "percent": 0, "refused": False}, (published,)
    )


async def _kept(state: FlowState, ports: Ports, what: Publication, commit: str, known_good: str) -> str:
    """Make what takes the release back before anybody meets it, and return its digest."""
    off = FlagState(
        flag=state["flag"], component=what.component, change=what.change, enabled=False, percent=0,
        known_good=known_good, candidate=commit, lease_until=0, epoch=what.epoch,
    )  # fmt: skip
    named = ("evidence", "decision", "attestation", "bundle", "plan")
    digests = {"tree": state["tree"], **{name: str(state.get(name, "")) for name in named}}
    return await ports.ways_back.keep(what, commit, off=off, digests=digests)


def publication_of(state: FlowState, *, epoch: int) -> Publication:
    """Return the publication that the state describes."""
    proposal = proposal_of(state)
    return Publication(
        repo=proposal.repo,
        component=state["component"],
        branch=state["branch"],
        change=state["change"],
        base=proposal.base,
        head=proposal.head,
        tree=proposal.tree,
        message=proposal.intent,
        at=state["decided_at"],
        epoch=epoch,
    )


async def _claim(state: FlowState, ports: Ports) -> list[Finding]:
    """Take the flag before anything is published: of two repositories with one flag, only one gets past this line.

    First the claim, then the question who released before: who publishes after that question has no claim.
    """
    try:
        await ports.flags.claim(state["flag"], state["change"])
    except InputError as err:
        return [Finding(err.code, err.message, FILE_NAME, state["flag"])]
    claimed = await claimed_by_another(state["flag"], state["repo"], state["component"], ports)
    return [claimed] if claimed else []


async def _doubts(state: FlowState, ports: Ports) -> list[Finding]:
    """What a stranger with the public key alone would object to."""
    statement = await ports.signer.verify(await ports.artifacts.get(as_digest(state["attestation"])))
    return check_vsa(
        statement, tree=state["tree"], policy=Digest(state["bundle"]), verifier=ports.verifier,
        now_s=ports.clock.now_ms() // 1000,
    )  # fmt: skip
