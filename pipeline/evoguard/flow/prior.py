"""What the policies are told of other changes: what was taken back here, and what is open on the same files."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Json
from evoguard.flow.facts import load, rows
from evoguard.flow.state import FlowState
from evoguard.ports import Ports

YEAR_MS = 366 * 86_400_000
MOST_REVERTED = MOST_OPEN = 100
MOST_PATHS = 20
"""Enough to be looked at; the rules ask whether there is any."""


async def prior_of(state: FlowState, impact: Mapping[str, Json], ports: Ports) -> dict[str, Json]:
    """Return the reverts of this component in a year, and the open changes that share a file.

    Those that this one replaces are left out; `omitted` counts open ones that were not looked at. Raises: as the ports.
    """
    repo, change, component = state["repo"], state["change"], state["component"]
    since = ports.clock.now_ms() - YEAR_MS
    taken = await ports.prior.reverted(repo, component, since, MOST_REVERTED)
    replaced = frozenset(await ports.lanes.earlier(change, component)) if component else frozenset()
    others = [one for one in await ports.prior.open(repo, change) if one.change not in replaced]
    own, shared = _paths(impact), list[Json]()
    for other in others[:MOST_OPEN]:
        if both := own & _paths(await load(ports, other.impact)):
            shared.append({"change": other.change, "author": other.author, "paths": [*sorted(both)[:MOST_PATHS]]})
    return {
        "reverted": [{"change": name, "at": at // 1000} for name, at in taken],
        "open": shared,
        "omitted": max(0, len(others) - MOST_OPEN),
    }


def _paths(impact: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(str(row[name]) for row in rows(impact["files"]) for name in ("path", "old_path") if row.get(name))
