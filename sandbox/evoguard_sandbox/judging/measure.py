"""What the base shows of itself before a candidate is judged: its inventory, what bites, what can run split.

All of it is measured here; nothing is taken from a file that an agent can write.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import astuple, replace

from evoguard_sandbox.judging import changes, flaky, held_out, shadows
from evoguard_sandbox.judging.asks import split_ask
from evoguard_sandbox.judging.evidence import Base, Picked, function_of, green, passed, told_well
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.mutants import Site, sites
from evoguard_sandbox.judging.runs import APART_S, IN_TIME, Ask, Runs
from evoguard_sandbox.judging.together import Together
from evoguard_sandbox.trees import Tree

MOST_BASES = 32
MOST_QUESTIONS, MORE_QUESTIONS = 5_000, 4
"""A test of the base that asks more than this of the code's process is left beside the code: such a test alone takes
seconds. On a candidate the others may ask so many times as many.
"""
TOO_MANY = "more questions than a test may ask"
"""What `guest/split_link.py` says then."""
LONG_MS, LONGER = 5_000, 10
"""A test that takes so long apart from the code, and so many times what it takes beside it, waits for something."""
Trusted = Callable[[str], bool]


async def measure(runs: Runs, trusted: Trusted, held: Tree) -> Base:
    """Run the base on itself: plain, in two mutated halves, and split; once for the same inputs in a room's life.

    A run in which the room failed is the answer then, and nothing is kept: it would pass for "cannot run so".
    """
    kept = frozenset(path for path in runs.base if trusted(path))
    key = _key(runs, kept, held)
    known = runs.room.known_bases.get(key)
    if isinstance(known, Base):
        runs.tell(known)
        return known
    first = await flaky.plain(runs, kept)
    runs.tell(first)
    if not green(first.plain, first.unstable):
        return first
    packages = changes.packages(runs.base, trusted, _not_source(runs))
    apart = split_ask(runs.base, kept, packages, changes.readable(runs.base, trusted))
    async with Together() as group:
        one = group.start(flaky.steady(runs, kept, first, _halves(runs.base, kept, first)))
        two = group.start(_apart(runs, replace(apart, questions=MOST_QUESTIONS, wall_s=APART_S)))
    # Alone, as they run on a candidate: the time that they take is what an answer about them waits for.
    hidden = await held_out.on_base(runs, apart, held)
    mutants, split = one.result(), two.result()
    ran = (mutants.plain, split, *hidden.runs)
    lost = next((run for run in ran if run is not None and run.outcome == "void"), None)
    if lost is not None:
        return Base(lost)
    timely = _apart_in_time(first.plain, split, min(APART_S, runs.limits.wall_s))
    found = replace(
        mutants,
        beside=frozenset(test.id for test in first.plain.tests) - timely,
        split=passed(split) & mutants.passing & timely if split is not None else frozenset(),
        packages=packages,
        untrusted=frozenset(t.id for t in first.plain.tests if t.id.partition("::")[0] not in kept),
        held=hidden,
        kinds=_kinds(split, hidden.apart),
    )
    if len(runs.room.known_bases) >= MOST_BASES:
        runs.room.known_bases.pop(next(iter(runs.room.known_bases)))
    runs.room.known_bases[key] = found
    return found


def _kinds(*apart: RunFacts | None) -> dict[str, int]:
    """Return the highest kind of answer that each use of the code got in any of the runs."""
    found: dict[str, int] = {}
    for run in apart:
        for key, level in run.kinds.items() if run is not None else ():
            found[key] = max(level, found.get(key, level))
    return found


def _apart_in_time(plain: RunFacts, split: RunFacts | None, wall_s: float) -> frozenset[str]:
    """Return the ids that are worth a run apart from the code.

    Not those that ask it too much, that wait too long, or to which the run does not come in good time.
    """
    if split is None or not (told_well(split) or (split.outcome == "wall" and not (split.forged or split.patched))):
        return frozenset()
    beside, left_ms, found = {test.id: test.duration_ms for test in plain.tests}, IN_TIME * wall_s * 1000, set()
    for test in split.tests:
        long = test.duration_ms >= max(LONG_MS, LONGER * beside.get(test.id, 0))
        if long or TOO_MANY in test.why:
            continue
        left_ms -= test.duration_ms
        if left_ms < 0:
            break
        found.add(test.id)
    return frozenset(found)


def _not_source(runs: Runs) -> frozenset[str]:
    """Return the names which in a split run are never the candidate's: tests, and what a dependency brings.

    What the project itself is is its own all the same, as in a plain run.
    """
    layers = shadows.layer_names(runs.suite.layer_dirs) | {*changes.RUNNER}
    return shadows.test_folders(runs.suite.test_paths) | (layers - {*runs.own})


async def _apart(runs: Runs, ask: Ask) -> RunFacts | None:
    """Run apart from the code; None when there is nothing to run so, or no way to."""
    if not ask.packages or not runs.room.backend.pairs:
        return None
    return await runs.on(ask)


def _halves(base: Tree, kept: frozenset[str], first: Base) -> tuple[Picked, Picked]:
    """Pick one assertion of each passing test at random, and deal the tests into two halves, those of a name to one."""
    draw = secrets.SystemRandom()
    dealt: tuple[dict[str, list[Site]], dict[str, list[Site]]] = ({}, {})
    half_of = {name: draw.choice(dealt) for name in sorted({function_of(test) for test in first.passing})}
    for path in sorted(kept):
        if not path.endswith(".py") or base[path].kind == "link":
            continue
        by_test: dict[str, list[Site]] = {}
        for site in sites(path, base[path].data):
            if function_of(site.test) in half_of:
                by_test.setdefault(site.test, []).append(site)
        for name, choices in by_test.items():
            half_of[function_of(name)].setdefault(path, []).append(draw.choice(choices))
    return dealt


def _key(runs: Runs, kept: frozenset[str], held: Tree) -> str:
    digest = hashlib.sha256()
    room = runs.room
    setting = [astuple(runs.limits), sorted(kept), runs.suite.plugins, room.runsc_version, room.image]
    digest.update(json.dumps([setting, [str(p) for p in runs.suite.layer_dirs]], default=str).encode())
    for path, entry in [*sorted(runs.base.items()), *sorted(held.items())]:
        digest.update(json.dumps([path, entry.kind, len(entry.data)]).encode() + entry.data)
    return digest.hexdigest()
