"""The tests that no agent can read: run on the base and on a candidate, apart from the code as far as they can be.

Those beside it run once more, made false: what passes then as well was not looked at.
One bit leaves: they pass as on the base, or not. Source: docs/adr/0005-the-verdict.md
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import replace

from evoguard_sandbox.judging.asks import held_ask
from evoguard_sandbox.judging.changes import runnable
from evoguard_sandbox.judging.evidence import Held, function_of, green, passed, told_well
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.flaky import mutate
from evoguard_sandbox.judging.mutants import Site, sites
from evoguard_sandbox.judging.runs import Ask, Runs, drawn_seed
from evoguard_sandbox.trees import Tree

LEAST_S, MARGIN = 0.25, 1.5
SEEN_BY_FORM = frozenset({"wrapped", "list", "tuple", "set", "dict", "words", "uncalled", "unawaited", "called"})
"""What these are replaced by does not stand in tests otherwise, so a reader could tell; taken where nothing else is."""


async def on_base(runs: Runs, apart: Ask, held: Tree) -> Held:
    """Run them on the base: apart from the code, and beside it as well where not all of them pass so."""
    if not held:
        return Held()
    split = apart.packages and runs.room.backend.pairs
    first = await runs.on(held_ask(runs.base, apart, held)) if split else None
    if first is not None and (first.outcome == "void" or green(first)):
        return Held(first)
    beside = await runs.on(held_ask(runs.base, apart, held, beside=True))
    use = first is not None and told_well(first) and bool(passed(first))
    texts, draws = false_texts(held, beside), drawn_seed()
    false = await runs.on(_false_ask(runs.base, apart, {**held, **texts}, draws)) if texts else None
    return Held(first if use else None, beside, false, texts, draws)


def false_texts(held: Tree, beside: RunFacts) -> Tree:
    """Return the held-out files with one assertion of each test that passes made false.

    Nobody knows these tests, so code that answers for them, by what is written in them or without looking, cannot
    tell the false ones.
    """
    if not told_well(beside):
        return {}
    names, picked = {function_of(name) for name in passed(beside)}, {}
    for path in runnable(held):
        by_test: dict[str, list[Site]] = {}
        for site in sites(path, held[path].data) if held[path].kind != "link" else ():
            if function_of(site.test) in names:
                by_test.setdefault(site.test, []).append(site)
        if by_test:
            picked[path] = [_chosen(choices) for choices in by_test.values()]
    false = mutate(held, picked, alike=True)
    return {path: false[path] for path in picked}


def _chosen(choices: list[Site]) -> Site:
    return secrets.choice([site for site in choices if site.kind not in SEEN_BY_FORM] or choices)


def _false_ask(tree: Tree, apart: Ask, false: Tree, draws: int) -> Ask:
    return replace(held_ask(tree, apart, false, beside=True), seed=draws)


async def on_candidate(runs: Runs, tree: Tree, apart: Ask, held: Tree, base: Held) -> Held | None:
    """Run them as they ran on the base; None when there are none.

    What the run takes is the candidate's to choose, and it has seen what the tests ask: the answer comes after the
    time of the base's run and half of it, or twice that, or four times, so that the clock says next to nothing.
    """
    if not held:
        return None
    return await _rounded(_as_on_base(runs, tree, apart, held, base), max(LEAST_S, MARGIN * base.wall_ms / 1000))


async def _as_on_base(runs: Runs, tree: Tree, apart: Ask, held: Tree, base: Held) -> Held:
    first = await runs.on(held_ask(tree, apart, held)) if base.apart is not None else None
    beside = (
        await runs.on(held_ask(tree, apart, held, beside=True)) if base.beside is not None or first is None else None
    )
    false = None
    if base.biting:  # the very same false tests
        false = await runs.on(_false_ask(tree, apart, {**held, **base.texts}, base.draws))
    return Held(first, beside, false)


async def _rounded(run: Awaitable[Held], step_s: float) -> Held:
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await run
    while loop.time() - began > step_s:
        step_s *= 2
    await asyncio.sleep(step_s - (loop.time() - began))
    return found
