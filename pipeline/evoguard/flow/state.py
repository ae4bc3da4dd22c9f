"""What a checkpoint holds: names and answers, as strings, numbers and booleans only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypedDict

from langgraph.channels import EphemeralValue

from evoguard.domain.change import ActorKind, Author, CommitId, Proposal, TreeId
from evoguard.domain.events import Event, encode

GRAPH_VERSION = 1
"""A change finishes on the version it began with; another version is refused, never guessed."""


UNREADABLE = "unreadable-latch"
"""What kills when no latch says so: a file in the kill folder that cannot be read."""


class FlowState(TypedDict, total=False):
    """The bookmark of one change. Everything larger lives in the artifact store, by digest."""

    change: str
    graph_version: int
    repo: str
    base: str
    head: str
    tree: str
    intent: str
    author: str
    author_kind: str
    epoch: int
    """The newest kill when the change was filed; any later one that covers it ends it, lifted or not."""
    refused: bool
    refusal: str
    """Digest of the findings that refused the change."""
    at_step: str
    """Which step refused."""
    killed: str
    """Id of the kill that covers the change."""
    component: str
    flag: str
    branch: str
    plan: str
    """Digest of the component as the base commit describes it."""
    impact: str
    """Digest of the diff's facts."""
    first: bool
    """No known-good is there yet: the base that the author named would become it."""
    passed: bool
    evidence: str
    scan: str
    """Digest of what the scanner said."""
    inspection: str
    """Digest of what the change brings with it."""
    regression: str
    """Digest of what base and candidate answered to the declared requests."""
    allow: bool
    quorum: int
    decision: str
    bundle: str
    """Digest of the policy bundle that reviewed."""
    approval: str
    """Digest that people approve."""
    approved: bool
    rejected: bool
    withdrawn: bool
    approvals: str
    attestation: str
    decided_at: int
    """When the change was admitted (unix s). The commit carries it: publishing again gives the same commit."""
    commit: str
    way_back: str
    """Digest of the release's revert bundle: nothing is widened without it."""
    versions: str
    """The versions that the rollout shows, as text; empty when it shows commits."""
    conflict: str
    """Why people must revert by hand; empty while nobody must."""
    queued: bool
    percent: int
    held: str
    """Why the rollout was not widened at the last look that wanted to; said once."""
    completed: bool
    aborted: bool
    outcome: str
    events: Annotated[str, EphemeralValue(str)]
    """The step's events as JSON text; the saver commits them with the checkpoint and drops them from it."""


Update: TypeAlias = "dict[str, Any]"  # LangGraph's own type for what a node returns


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step found out (`facts`, scalars) and what happened (`events`)."""

    facts: Mapping[str, str | int | bool]
    events: tuple[Event, ...] = ()

    def as_update(self) -> Update:
        """Return the LangGraph update."""
        return {**self.facts, **({"events": encode(self.events)} if self.events else {})}


def proposal_of(state: FlowState) -> Proposal:
    """Return the proposal that the state names."""
    kind: ActorKind = "agent" if state["author_kind"] == "agent" else "person"
    return Proposal(
        repo=state["repo"],
        base=CommitId(state["base"]),
        head=CommitId(state["head"]),
        tree=TreeId(state["tree"]),
        intent=state["intent"],
        author=Author(state["author"], kind),
    )
