"""The only door into the flow: `advance` drives a change until it ends or must wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evoguard.errors import IntegrityError
from evoguard.flow.graph import NAMES, App
from evoguard.flow.state import GRAPH_VERSION
from evoguard.ports import Ports

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a change stands after a drive: its outcome, or when to wake it (unix ms; 0 = only by a message)."""

    outcome: str = ""
    wake_at: int = 0
    started: bool = True


async def advance(app: App, ports: Ports, change: str) -> Advance:
    """Drive one change; calling it again at any time, also after a crash at any line, is safe.

    Raises: IntegrityError when the change was begun by another graph; whatever a port raises (the gate stays shut).
    """
    config: RunnableConfig = {"configurable": {"thread_id": change}}
    snapshot = await app.aget_state(config)
    first = snapshot.created_at is None
    if first:
        if not any(m.kind == "submit" for m in await ports.inbox.pending(change)):
            return Advance(started=False)
    else:
        _must_be_ours(snapshot.values, {task.name for task in snapshot.tasks}, change)
    out = await app.ainvoke(
        {"change": change, "graph_version": GRAPH_VERSION} if first else None,
        config,
        context=ports,
        durability="sync",
    )
    waiting = out.get("__interrupt__") or ()
    wake = int(waiting[0].value["wake_at"]) if waiting else 0
    return Advance(outcome=str(out.get("outcome", "")), wake_at=wake)


def _must_be_ours(values: dict[str, object], tasks: set[str], change: str) -> None:
    version = values.get("graph_version", GRAPH_VERSION)
    if version != GRAPH_VERSION or tasks - NAMES - {"__start__"}:
        raise IntegrityError(f"{change} was begun by another version of the flow", code="flow.version",
                             fix="finish it with the version that began it")  # fmt: skip
