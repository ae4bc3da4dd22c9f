"""The path every change takes: READ THIS FIRST.

intake → impact → check ─→ judge → approve → sign → release → watch ─→ known_good
            any "no" → refuse         an abort or a kill → revert
            other rules while it waits → check again
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from evoguard.domain.latch import LatchBoard
from evoguard.errors import HaltedError
from evoguard.flow import routes
from evoguard.flow.approve import approve
from evoguard.flow.check import check
from evoguard.flow.impact import impact
from evoguard.flow.intake import intake
from evoguard.flow.judge import judge
from evoguard.flow.known_good import known_good
from evoguard.flow.refuse import refuse
from evoguard.flow.release import release
from evoguard.flow.revert import revert
from evoguard.flow.sign import sign
from evoguard.flow.state import UNREADABLE, FlowState, StepResult, Update
from evoguard.flow.watch import watch
from evoguard.ports import Ports

Step: TypeAlias = Callable[[FlowState, Ports], Awaitable[StepResult]]
App: TypeAlias = CompiledStateGraph[FlowState, Ports, FlowState, FlowState]

GUARDED: tuple[tuple[str, Step, Callable[[FlowState], str], tuple[str, ...]], ...] = (
    ("intake", intake, routes.after_intake, ("impact", "refuse", "revert")),
    ("impact", impact, routes.after_impact, ("check", "refuse", "revert")),
    ("check", check, routes.after_check, ("judge", "refuse", "revert")),
    ("judge", judge, routes.after_judge, ("approve", "refuse", "revert")),
    ("approve", approve, routes.after_approve, ("sign", "approve", "check", "revert", routes.END)),
    ("sign", sign, routes.after_sign, ("release", "refuse", "revert")),
    ("release", release, routes.after_release, ("watch", "release", "refuse", "revert", routes.END)),
    ("watch", watch, routes.after_watch, ("known_good", "watch", "revert")),
    ("known_good", known_good, routes.after_known_good, ("revert", routes.END)),
)
"""Step, and the gate behind it with everywhere it may lead."""
CLOSING: tuple[tuple[str, Step], ...] = (("refuse", refuse), ("revert", revert))
NAMES = frozenset(name for name, *_ in GUARDED) | frozenset(name for name, _ in CLOSING)


class NodeCallable(Protocol):
    """The shape of a node that LangGraph hands its run context to."""

    def __call__(self, state: FlowState, *, runtime: Runtime[Ports]) -> Awaitable[Update]:
        """Run the step on the state."""


def build(saver: BaseCheckpointSaver[str]) -> App:
    """Return the compiled graph over a checkpoint saver."""
    graph = StateGraph(FlowState, context_schema=Ports)
    for name, step, gate, targets in GUARDED:
        graph.add_node(name, _guarded(step))
        graph.add_conditional_edges(name, gate, list(targets))
    for name, step in CLOSING:
        graph.add_node(name, _node(step))
    graph.add_edge("refuse", routes.END)
    graph.add_conditional_edges("revert", routes.after_revert, ["revert", routes.END])
    graph.add_edge(START, "intake")
    return graph.compile(checkpointer=saver)


def _node(step: Step) -> NodeCallable:
    async def node(state: FlowState, *, runtime: Runtime[Ports]) -> Update:
        return (await step(state, runtime.context)).as_update()

    return node


def _guarded(step: Step) -> NodeCallable:
    """A kill is looked for before every step, and wins."""

    async def node(state: FlowState, *, runtime: Runtime[Ports]) -> Update:
        board = runtime.context.latches.board()
        killed = kill_over(state, board)
        if killed == UNREADABLE and not state.get("commit"):
            # Nothing of it is out yet: it waits until a person has mended the folder, and loses nothing.
            raise HaltedError("a kill latch cannot be read, so everything is off", fix="see `evoguard doctor`")
        if killed:
            return {"killed": killed}
        seen = replace(runtime.context, latches=AsSeen(board))
        return (await step(state, seen)).as_update()

    return node


@dataclass(frozen=True, slots=True)
class AsSeen:
    """The board that the guard looked at: a step decides under this one epoch, however long it was frozen."""

    seen: LatchBoard

    def board(self) -> LatchBoard:
        """Return that board."""
        return self.seen


def kill_over(state: FlowState, board: LatchBoard) -> str:
    """Return the kill that ends this change, or an empty text.

    A kill that was lifted counts as well when it came after the change was submitted: what was decided before a
    kill stays void (docs/adr/0003-the-kill-needs-nothing.md).
    """
    component, flag = state.get("component", ""), state.get("flag", "")
    if board.killed(component=component, flag=flag):
        first = board.first(component=component, flag=flag)
        return first.id if first else UNREADABLE
    since = state.get("epoch", board.epoch)
    later = (x.id for x in board.latches if x.epoch > since and x.covers(component=component, flag=flag))
    return next(later, "")
