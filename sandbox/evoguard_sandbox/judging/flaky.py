"""Which of the base's tests come out the same each time, and in which order and with which mutants they do.

Only runs of the base count: a candidate cannot make a test unsteady. An unsteady test judges nothing; too many of them,
and the suite proves nothing (`evidence.allowed`).
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace

from evoguard_sandbox.judging.evidence import (
    RED,
    Base,
    Picked,
    allowed,
    failed,
    function_of,
    functions,
    passed,
    told_well,
    whole,
)
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.mutants import mutated
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.judging.together import Together
from evoguard_sandbox.trees import Tree

NONE: Picked = {}


async def plain(runs: Runs, kept: frozenset[str]) -> Base:
    """Run the base's tests on the base. A few red ones get a second run: what is green there is unsteady, not red."""
    first = await runs.on(Ask(runs.base, kept))
    red = failed(first)
    if not red or not whole(first) or len(red) > allowed(len(first.tests)):
        return Base(first)
    second = await runs.on(Ask(runs.base, kept))
    if second.outcome == "void":
        return Base(second)
    return Base(first, unstable=differing(first, second, NONE)) if whole(second) else Base(first)


async def steady(runs: Runs, kept: frozenset[str], first: Base, halves: tuple[Picked, Picked]) -> Base:
    """Find the order in which the base is steady with its mutants: first shuffled, then as the files have it.

    A test that is unsteady in file order and without mutants is so by itself, and the first way in which no other is
    counts. Else the mutants disturb others (a false test stops where it would have put something right): such a test
    is not unsteady, and what it is worth is told by a run without mutants.
    """
    tried: list[Base] = []
    for shuffled, picked in ((True, halves), (False, halves), (False, (NONE, NONE))):
        async with Together() as group:
            asks = [Ask(mutate(runs.base, half), kept, shuffled=shuffled) for half in picked]
            tasks = [group.start(runs.on(ask)) for ask in asks]
        both = [task.result() for task in tasks]
        if lost := [run for run in both if run.outcome == "void"]:
            return Base(lost[0])
        pairs = list(zip(both, picked, strict=True))
        unstable = first.unstable.union(*(differing(first.plain, run, half) for run, half in pairs))
        one, two = (_bites(first.plain, run, half) for run, half in pairs)
        well = all(told_well(run) for run in both)
        way = Base(first.plain, picked, (one, two), shuffled) if well else Base(first.plain)
        tried.append(replace(way, unstable=unstable))
        if unstable == first.unstable:
            break
    last = tried[-1]
    if len(tried) == 1:
        return without(last, last.unstable)
    if last.unstable == first.unstable:
        # It may have been luck that this way was steady.
        return await _once_more(runs, kept, _accusing(tried))
    others = (way for way in tried if any(way.halves) and way.unstable <= last.unstable)
    return without(next(others, None) or _accusing(tried), last.unstable)


def _accusing(tried: Sequence[Base]) -> Base:
    """Return the last way that had mutants: they accuse, and where they disturb others they tell nothing of those."""
    last = tried[-1]
    way = next((way for way in reversed(tried) if any(way.halves)), last)
    return replace(without(way, last.unstable), disturbed=way.unstable - last.unstable)


async def _once_more(runs: Runs, kept: frozenset[str], way: Base) -> Base:
    run = await runs.on(Ask(runs.base, kept))
    if run.outcome == "void":
        return Base(run)
    return without(way, way.unstable | differing(way.plain, run, NONE))


def without(way: Base, unstable: frozenset[str]) -> Base:
    """Return the same measurement in which some tests judge nothing."""
    one, two = (half - unstable for half in way.biting)
    return replace(way, biting=(one, two), unstable=unstable)


def differing(plain: RunFacts, run: RunFacts, half: Picked) -> frozenset[str]:
    """Return the ids outside the mutated half that did not come out as in the plain run."""
    was, now, touched = plain.outcome_of(), run.outcome_of(), functions(half)
    return frozenset(
        name for name in was.keys() | now.keys() if function_of(name) not in touched and was.get(name) != now.get(name)
    )


def mutate(tree: Tree, picked: Picked, *, alike: bool = False) -> Tree:
    """Return the tree with the picked assertions made false, by values drawn afresh (`mutants.mutated`)."""
    draw = random.Random(secrets.token_bytes(16))  # noqa: S311 (seeded from the system's own randomness)
    changed = {
        path: replace(tree[path], data=mutated(tree[path].data, chosen, draw, alike=alike))
        for path, chosen in picked.items()
    }
    return {**tree, **changed}


def only_false(tree: Tree, false: Tree, picked: Picked, ids: Collection[str]) -> Tree:
    """Return the false files with nothing false in them but these tests, byte for byte as they were made so."""
    wanted, found = {function_of(name) for name in ids}, {}
    for path, chosen in picked.items():
        lines, others = (files[path].data.splitlines(keepends=True) for files in (tree, false))
        for site in chosen:
            if function_of(site.test) in wanted:
                rows = slice(site.start[0] - 1, site.end[0])
                lines[rows] = others[rows]
        found[path] = replace(tree[path], data=b"".join(lines))
    return found


def _bites(plain: RunFacts, run: RunFacts, half: Picked) -> frozenset[str]:
    touched, was = functions(half), passed(plain)
    return frozenset(t.id for t in run.tests if t.outcome in RED and t.id in was and function_of(t.id) in touched)
