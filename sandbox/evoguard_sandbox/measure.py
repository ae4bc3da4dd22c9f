"""What the base shows of itself before a candidate is judged: its inventory, what bites, what can run split.

All of it is measured here; nothing is taken from a file that an agent can write.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace

from evoguard_sandbox import changes
from evoguard_sandbox.changes import runnable
from evoguard_sandbox.evidence import RED, Base, Picked, function_of, functions, green, passed
from evoguard_sandbox.facts import RunFacts
from evoguard_sandbox.mutants import Site, mutated, sites
from evoguard_sandbox.runs import Ask, Runs
from evoguard_sandbox.trees import Tree, folders

MOST_BASES = 32
Trusted = Callable[[str], bool]


async def measure(runs: Runs, trusted: Trusted, held: Tree) -> Base:
    """Run the base on itself: plain, in two mutated halves, and split; once for the same inputs in a room's life.

    A run in which the room failed is the answer then, and nothing is kept: it would pass for "cannot run so".
    """
    kept = frozenset(path for path in runs.base if trusted(path))
    key = _key(runs, kept, held)
    known = runs.room.known_bases.get(key)
    if isinstance(known, Base):
        return known
    plain = await runs.on(Ask(runs.base, kept))
    if not green(plain):
        return Base(plain)
    packages = changes.packages(runs.base, trusted)
    halves = _halves(runs.base, kept, plain)
    mutants, split, hidden = await asyncio.gather(
        _mutants(runs, kept, plain, halves),
        _apart(runs, split_ask(runs.base, kept, packages)),
        _apart(runs, held_ask(runs.base, kept, held, packages) if held else None),
    )
    lost = next((run for run in (mutants.plain, split, hidden) if run is not None and run.outcome == "void"), None)
    if lost is not None:
        return Base(lost)
    found = replace(
        mutants,
        split=(passed(split) & passed(plain)) if split is not None else frozenset(),
        packages=packages,
        untrusted=frozenset(t.id for t in plain.tests if t.id.partition("::")[0] not in kept),
        held_apart=hidden is not None and green(hidden),
    )
    if len(runs.room.known_bases) >= MOST_BASES:
        runs.room.known_bases.pop(next(iter(runs.room.known_bases)))
    runs.room.known_bases[key] = found
    return found


async def _mutants(runs: Runs, kept: frozenset[str], plain: RunFacts, halves: tuple[Picked, Picked]) -> Base:
    """Find the order and the mutants with which the base is steady: first all, shuffled; then fewer, in file order."""
    for shuffled, picked in ((True, halves), (False, halves), (False, ({}, {}))):
        first, second = await asyncio.gather(
            *(runs.on(Ask(mutate(runs.base, half), kept, shuffled=shuffled)) for half in picked)
        )
        both = (first, second)
        if lost := [run for run in both if run.outcome == "void"]:
            return Base(lost[0])
        unsteady = frozenset[str]().union(
            *(_unsteady(plain, run, half) for run, half in zip(both, picked, strict=True))
        )
        if not unsteady or not any(picked):
            break
    biting = (_bites(plain, first, picked[0]), _bites(plain, second, picked[1]))
    return Base(plain, picked, biting, shuffled, unstable=unsteady)


async def _apart(runs: Runs, ask: Ask | None) -> RunFacts | None:
    """Run apart from the code; None when there is nothing to run so, or no way to."""
    if ask is None or not ask.packages or not runs.room.backend.pairs:
        return None
    return await runs.on(ask)


def held_ask(tree: Tree, kept: frozenset[str], held: Tree, packages: Sequence[str] = ()) -> Ask:
    """Return the run of the held-out tests, beside the code or, with `packages`, apart from it.

    Where a held-out file or one of its folders must stand, nothing of the tree does.
    """
    need = {folder for path in held for folder in folders(path)} | held.keys()
    free = {path: entry for path, entry in tree.items() if path not in need and not held.keys() & set(folders(path))}
    both, trusted = {**free, **held}, kept | held.keys()
    if packages:
        return replace(split_ask(both, trusted, packages), targets=runnable(held))
    return Ask(both, trusted, runnable(held))


def split_ask(tree: Tree, kept: frozenset[str], packages: Sequence[str]) -> Ask:
    """Return the run with the trusted files on one side and all others on the other."""
    near = {path: entry for path, entry in tree.items() if path in kept}
    far = {path: entry for path, entry in tree.items() if path not in kept}
    return Ask(near, kept, packages=packages, far=far)


def mutate(tree: Tree, picked: Picked) -> Tree:
    """Return the tree with the picked assertions made false, by values drawn afresh."""
    draw = random.Random(secrets.token_bytes(16))  # noqa: S311 (seeded from the system's own randomness)
    changed = {
        path: replace(tree[path], data=mutated(tree[path].data, chosen, draw)) for path, chosen in picked.items()
    }
    return {**tree, **changed}


def _halves(base: Tree, kept: frozenset[str], plain: RunFacts) -> tuple[Picked, Picked]:
    """Pick one assertion of each passing test at random, and deal the tests into two halves."""
    draw = secrets.SystemRandom()
    passing = {function_of(name) for name in passed(plain)}
    dealt: tuple[dict[str, list[Site]], dict[str, list[Site]]] = ({}, {})
    for path in sorted(kept):
        if not path.endswith(".py") or base[path].kind == "link":
            continue
        by_test: dict[str, list[Site]] = {}
        for site in sites(path, base[path].data):
            if f"{path}::{site.test}" in passing:
                by_test.setdefault(site.test, []).append(site)
        for choices in by_test.values():
            draw.choice(dealt).setdefault(path, []).append(draw.choice(choices))
    return dealt


def _unsteady(plain: RunFacts, run: RunFacts, half: Picked) -> frozenset[str]:
    """Return the ids outside the mutated half that did not come out as in the plain run."""
    was, now, touched = plain.outcome_of(), run.outcome_of(), functions(half)
    return frozenset(
        name for name in was.keys() | now.keys() if function_of(name) not in touched and was.get(name) != now.get(name)
    )


def _bites(plain: RunFacts, run: RunFacts, half: Picked) -> frozenset[str]:
    touched, was = functions(half), passed(plain)
    return frozenset(t.id for t in run.tests if t.outcome in RED and t.id in was and function_of(t.id) in touched)


def _key(runs: Runs, kept: frozenset[str], held: Tree) -> str:
    digest = hashlib.sha256()
    room = runs.room
    setting = [astuple(runs.limits), sorted(kept), runs.suite.plugins, room.runsc_version, str(room.layer)]
    digest.update(json.dumps([setting, [str(p) for p in runs.suite.layer_dirs]], default=str).encode())
    for path, entry in [*sorted(runs.base.items()), *sorted(held.items())]:
        digest.update(json.dumps([path, entry.kind, len(entry.data)]).encode() + entry.data)
    return digest.hexdigest()
