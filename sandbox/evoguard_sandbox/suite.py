"""The first door: a suite on two trees becomes evidence.

The base's tests run on the candidate twice, each time with the other half of them made false, and once more in a
sandbox apart from the code; the candidate's own new tests and the held-out ones run by themselves; and a canary
shows that the room can tell a good test from a bad one. Source: docs/adr/0005-the-verdict.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from evoguard_sandbox import changes
from evoguard_sandbox.evidence import Base, Evidence
from evoguard_sandbox.facts import RunFacts
from evoguard_sandbox.layer_locks import lock_changed
from evoguard_sandbox.measure import held_ask, measure, mutate, split_ask
from evoguard_sandbox.pool import Pool
from evoguard_sandbox.room import Room
from evoguard_sandbox.runs import Ask, Runs
from evoguard_sandbox.trees import Entry, Tree, TreeError, matcher, overlay, read_tree
from evoguard_sandbox.types import Behaviour, Finding, Limits, Outcome, Suite, SuiteReport
from evoguard_sandbox.verdict import assurance, counts, judge, verdict

RANK: tuple[Outcome, ...] = ("void", "crashed", "memory", "pids", "output", "wall", "finished")
CANARY = b"def test_good():\n    assert 1 + 1 == 2\n\ndef test_bad():\n    assert 1 + 1 == 3\n"


async def run(suite: Suite, *, limits: Limits, room: Room, pool: Pool | None = None) -> SuiteReport:
    """Judge a candidate by its base's tests; return what was seen, and why not if not.

    Red tests, forgeries, hostile trees and a room that failed are all reports that do not pass.
    Raises: SandboxError when a dependency layer is not there.
    """
    try:
        base, candidate, held = (
            read_tree(files, limits) for files in (suite.base_files, suite.candidate_files, suite.held_out)
        )
    except TreeError as err:
        return _refused(room, err.finding)
    runs = Runs(suite, base, limits, room, pool)
    if pool is not None:
        pool.want(runs.needed())  # while the first runs go, the others start
    evidence = await evidence_of(runs, candidate, held)
    if pool is not None:
        pool.want(runs.needed())  # and the next verdict on this repository finds them ready
    return report(evidence, room, runs.attempts)


async def evidence_of(runs: Runs, candidate: Tree, held: Tree) -> Evidence:
    """Return what all sandboxes of one suite showed."""
    touches = matcher(runs.suite.test_paths)

    def trusted(path: str) -> bool:
        return touches(path) or changes.is_config(path)

    tree, kept = overlay(runs.base, candidate, trusted)
    fresh = changes.new_tests(runs.base, candidate, trusted)
    targets = changes.runnable(fresh)
    canary = Ask({"test_canary.py": Entry("file", CANARY)}, frozenset({"test_canary.py"}))
    # What needs nothing of the base starts with it.
    early = asyncio.gather(
        runs.canary(canary),
        _maybe(runs.on(Ask({**tree, **fresh}, kept, targets)) if targets else None),
    )
    try:
        base = await measure(runs, trusted, held)
        halves, split = await _on_candidate(runs, base, tree, kept)
    except BaseException:
        early.cancel()
        await asyncio.gather(early, return_exceptions=True)
        raise
    seen, new = await early
    # Alone and last: what runs beside it is told in full, and could listen.
    apart = base.packages if base.held_apart else ()
    hidden = await runs.on(held_ask(tree, kept, held, apart)) if held else None
    told = changes.findings(runs.base, candidate, trusted)
    notes = tuple(f.msg for f in lock_changed(runs.base, candidate, runs.suite.lock))
    return Evidence(base, halves, seen, new, split, hidden, told, runs.limits.tests, notes)


async def _on_candidate(
    runs: Runs, base: Base, tree: Tree, kept: frozenset[str]
) -> tuple[tuple[RunFacts, RunFacts], RunFacts | None]:
    """Run the base's tests on the candidate: both mutated halves, and apart from the code where the base could."""
    if not any(base.halves):
        one = await runs.on(Ask(tree, kept, shuffled=base.shuffled))
        first = second = one
        split = await _maybe(runs.on(split_ask(tree, kept, base.packages)) if base.split else None)
        return (first, second), split
    asks = [Ask(mutate(tree, half), kept, shuffled=base.shuffled) for half in base.halves]
    first, second, apart = await asyncio.gather(
        runs.on(asks[0]),
        runs.on(asks[1]),
        _maybe(runs.on(split_ask(tree, kept, base.packages)) if base.split else None),
    )
    return (first, second), apart


async def _maybe(run: Awaitable[RunFacts] | None) -> RunFacts | None:
    return await run if run is not None else None


def report(evidence: Evidence, room: Room, attempts: int) -> SuiteReport:
    """Turn evidence into a report; it passes only when no rule has anything to say."""
    findings = judge(evidence)
    runs = [evidence.base.plain, evidence.canary, *(run for _, run in evidence.runs)]
    candidate, tests = evidence.halves[0], tuple(evidence.plain.values())
    return SuiteReport(
        passed=not findings,
        outcome=min((run.outcome for run in runs), key=RANK.index),
        findings=findings,
        tests=tests,
        new_tests=evidence.new.tests if evidence.new is not None else (),
        expected=evidence.expected,
        counts=counts(tests),
        behaviour=_merged([run.behaviour for _, run in evidence.runs]),
        runsc=room.runsc_version,
        kernel=candidate.kernel,
        limits_mode=candidate.limits_mode,
        wall_ms=max(run.wall_ms for run in runs),
        attempts=attempts,
        output=candidate.output,
        verdict=verdict(findings),
        assurance=assurance(evidence),
        split=len(evidence.base.split) if evidence.split is not None else 0,
        unproven=evidence.base.unproven,
        notes=evidence.notes,
    )


def _merged(records: list[Behaviour]) -> Behaviour:
    worst = min(records, key=lambda b: ("not recorded", "incomplete", "recorded").index(b.status))
    return replace(
        worst,
        connects=tuple(dict.fromkeys(c for b in records for c in b.connects)),
        programs=tuple(dict.fromkeys(p for b in records for p in b.programs)),
        clones=sum(b.clones for b in records),
        dropped=sum(b.dropped for b in records),
    )


def _refused(room: Room, finding: Finding) -> SuiteReport:
    nothing = Behaviour("not recorded", "nothing was run")
    return SuiteReport(False, "void", (finding,), (), (), (), {}, nothing, room.runsc_version, "", "", 0, 0, "")
