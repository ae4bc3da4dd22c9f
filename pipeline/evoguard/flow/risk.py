"""What the impact step measures beside the diff: the floor of the risk, line by line, over the author's whole day.

Parts of a change that are sent one by one count together: each later part is measured with the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evoguard.domain import globs
from evoguard.domain.canonical import Json
from evoguard.domain.change import Diff, Proposal
from evoguard.domain.component import ComponentFile
from evoguard.domain.reach import Reach, is_test
from evoguard.domain.risk import MOST_VALUE, Features, Risk, Weights, floor_of, folders, weights_from
from evoguard.errors import UnavailableError
from evoguard.flow.facts import load, rows
from evoguard.flow.state import FlowState, proposal_of
from evoguard.ports import Ports

DAY_MS, MOST_A_DAY = 24 * 3_600_000, 100
SEASONED = 5
"""So many merges make an author no newcomer."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is added up of one change, or of an author's day."""

    paths: frozenset[str]
    lines: int
    weakened: frozenset[str]
    """Test files that were removed, or lost a line."""
    unknown: int = 0

    def with_(self, other: Day) -> Day:
        """Return both together."""
        return Day(
            self.paths | other.paths, self.lines + other.lines, self.weakened | other.weakened,
            self.unknown + other.unknown,
        )  # fmt: skip


async def weigh(state: FlowState, diff: Diff, *, reach: Reach, rules: ComponentFile, ports: Ports) -> Risk:
    """Return the risk of a change, by the weights of the rules in force.

    Raises: UnavailableError when the rules in force hold no weights that can be read; as the ports.
    """
    data, proposal = ports.policies.data, proposal_of(state)
    try:
        weights = weights_from(data)
    except ValueError as err:
        raise UnavailableError("policies", str(err), fix="put rules in force that hold `risk`") from err
    own = _of_diff(diff, reach)
    day, too_many = await _day(state["change"], proposal, rules.covering(diff.touched()).name, ports)
    guarded = (*_known(data), *rules.guard)
    features = await _features(own.with_(day), proposal, weights, diff, guarded=guarded, ports=ports)
    if too_many:
        most = MOST_VALUE
        features = replace(features, lines=most, day_lines=most, files=most, folders=most)
    return floor_of(features, weights)


async def _features(
    day: Day, proposal: Proposal, weights: Weights, diff: Diff, *, guarded: Sequence[str], ports: Ports
) -> Features:
    author = proposal.author
    past = await ports.impact.past(
        proposal.repo, proposal.base, day.paths, now_s=ports.clock.now_ms() // 1000,
        authors=await ports.authors.releases(proposal.repo),
    )  # fmt: skip
    merges = await ports.authors.merges(author.id, proposal.repo)
    points, place = weights.place(day.paths)
    return Features(
        lines=day.lines, folders=folders(sorted(day.paths)), files=len(day.paths), fixes=past.fixes,
        young=int(past.young), authors=past.authors, newcomer=_newcomer(author.kind, merges),
        weakened_tests=len(day.weakened), unknown=day.unknown + (not past.known),
        unreadable=diff.omitted + sum(f.binary and f.status != "deleted" for f in diff.files),
        day_lines=day.lines, place=points, place_class=place,
        guard_paths=len(globs.touched(guarded, diff.touched())),
    )  # fmt: skip


def _newcomer(kind: str, merges: int) -> int:
    if kind == "agent" or merges == 0:
        return 2
    return 1 if merges < SEASONED else 0


def _of_diff(diff: Diff, reach: Reach) -> Day:
    weakened = frozenset(f.path for f in diff.files if is_test(f.path) and (f.deleted or f.status == "deleted"))
    return Day(frozenset(diff.touched()), diff.added + diff.deleted, weakened, len(reach.unknown))


async def _day(change: str, proposal: Proposal, component: str, ports: Ports) -> tuple[Day, bool]:
    """Return what the same author's other changes of 24 hours add up to, and whether they are too many to add up."""
    since = ports.clock.now_ms() - DAY_MS
    rows = await ports.authors.recent(proposal.author.id, proposal.repo, since)
    gone = {change, *(await ports.lanes.earlier(change, component) if component else ())}  # this one replaces them
    others = [impact for name, impact in rows if name not in gone]
    found = Day(frozenset(), 0, frozenset())
    for impact in others[:MOST_A_DAY]:
        found = found.with_(_of_facts(await load(ports, impact)))
    return found, len(others) > MOST_A_DAY


def _of_facts(facts: Mapping[str, Json]) -> Day:
    files, totals, reach = rows(facts.get("files")), facts.get("totals"), facts.get("reach")
    counts = reach.get("counts") if isinstance(reach, Mapping) else None
    unknown = counts.get("unknown") if isinstance(counts, Mapping) else 1
    lines = [totals.get(name) for name in ("added", "deleted")] if isinstance(totals, Mapping) else []
    weakened = {str(row["path"]) for row in files if is_test(str(row["path"])) and row["deleted"]}
    return Day(
        frozenset(str(row["path"]) for row in files), sum(n for n in lines if isinstance(n, int)), frozenset(weakened),
        unknown if isinstance(unknown, int) else 1,
    )  # fmt: skip


def _known(data: Mapping[str, Json]) -> tuple[str, ...]:
    guard = data.get("guard")
    listed = guard.get("globs") if isinstance(guard, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise UnavailableError("policies", "the rules in force name no guard paths")
    return tuple(str(glob) for glob in listed)
