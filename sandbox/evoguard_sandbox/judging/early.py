"""A first answer: the tests which a change reaches, run before everything else. Red is an answer, green is none.

It says only what the full rules would say as well: a test that passes on the base fails. It never passes, it says
nothing of forgeries, and a room that failed or a limit that was reached is not an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evoguard_sandbox.judging import impact
from evoguard_sandbox.judging.evidence import RED, Base, green, passed, whole
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.types import Finding, TestResult

MOST_NAMED = 20
Full = TypeVar("Full")


@dataclass(frozen=True, slots=True)
class Early:
    """What is red, in which run, and from how many of the base's tests that is known."""

    base: Base
    run: RunFacts
    findings: tuple[Finding, ...]
    tests: int
    of: int


def pick(runs: Runs, ask: Ask) -> Sequence[str]:
    """Return the test files that are worth a run of their own: fewer than half of them reach the change."""
    picked = impact.reached(runs.base, ask.tree, ask.kept) or ()
    return picked if 2 * len(picked) < len(impact.test_files(runs.base, ask.kept)) else ()


async def answer(runs: Runs, ask: Ask, known: asyncio.Future[Base]) -> Early | None:
    """Run the targets of `ask` on the candidate, twice when red; return what is red in both, or None.

    The same run on the base must be green: a test may need what another one leaves behind.
    """
    run = await runs.on(replace(ask, at_once=True))
    if not _red_and_whole(run):
        return None
    again = await runs.on(replace(ask, at_once=True))
    if not _red_and_whole(again):
        return None
    base = await known
    ids = [t.id for t in base.plain.tests if _file(t.id) in ask.targets]
    if not green(base.plain, base.unstable) or 2 * len(ids) >= len(base.plain.tests):
        return None
    on_base = await runs.on(replace(ask, tree=runs.base, ignored=(), at_once=True))
    if not whole(on_base):
        return None
    found = tuple(_red(run, again, base.passing & passed(on_base)))
    return Early(base, run, found, len(ids), len(base.plain.tests)) if found else None


def _red_and_whole(run: RunFacts) -> bool:
    """Tell whether a run came to its own end with something red in it."""
    return whole(replace(run, uncollected=())) and (bool(run.uncollected) or any(t.outcome in RED for t in run.tests))


def _red(run: RunFacts, again: RunFacts, passing: frozenset[str]) -> list[Finding]:
    """Return a finding for each test that fails both times, and for each file that cannot be collected now."""
    twice = passing & {t.id for t in again.tests if t.outcome in RED}
    red: list[TestResult] = [t for t in run.tests if t.outcome in RED and t.id in twice]
    files = {_file(name) for name in passing} & {path for path, _ in again.uncollected}
    told = [(t.id, t.outcome, t.why) for t in red]
    told += [(path, "could not be collected", why) for path, why in run.uncollected if path in files]
    return [
        Finding("tests.failed", f"{name}: {how}" + (f": {why}" if why else ""), _file(name), name)
        for name, how, why in told[:MOST_NAMED]
    ]


def _file(test_id: str) -> str:
    return test_id.partition("::")[0]


async def race(quick: Coroutine[None, None, Early | None], full: Coroutine[None, None, Full]) -> Early | Full:
    """Return the early answer when there is one before the full one, else the full one; nothing is left running.

    Raises: what the full one raises.
    """
    first, second = asyncio.create_task(quick), asyncio.create_task(full)
    try:
        await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        if not second.done() and first.exception() is None and (found := first.result()) is not None:
            return found
        return await second
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
