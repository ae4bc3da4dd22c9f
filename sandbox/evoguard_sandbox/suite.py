"""The first door: a suite on two trees becomes evidence.

The base's tests run on the candidate twice, each time with the other half of them made false, and once more in a
sandbox apart from the code; the candidate's own new tests and the held-out ones run by themselves; and a canary
shows that the room can tell a good test from a bad one. Source: docs/adr/0005-the-verdict.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace

from evoguard_sandbox.installing.locks import lock_changed
from evoguard_sandbox.judging import changes, early, held_out, shadows
from evoguard_sandbox.judging.asks import split_ask
from evoguard_sandbox.judging.early import Early
from evoguard_sandbox.judging.evidence import Base, Evidence
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.flaky import mutate, only_false
from evoguard_sandbox.judging.measure import MORE_QUESTIONS, MOST_QUESTIONS, Trusted, measure
from evoguard_sandbox.judging.runs import Ask, Runs, drawn_seed
from evoguard_sandbox.judging.together import Together
from evoguard_sandbox.judging.verdict import assurance, counts, judge, verdict
from evoguard_sandbox.rooms.pool import Pool
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.trees import Entry, Tree, TreeError, matcher, overlay, read_tree
from evoguard_sandbox.types import Behaviour, Finding, Limits, Outcome, Suite, SuiteReport, Usage

RANK: tuple[Outcome, ...] = ("void", "crashed", "memory", "pids", "output", "wall", "finished")
GUEST_ONLY = "no cgroup held this run: the guest alone bounded memory and tasks (`evoguard doctor` says why)"
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
    try:
        laid = lay(runs, candidate)
        seen = await _raced(runs, laid, lambda: evidence_of(runs, candidate, held, laid))
        if isinstance(seen, Early):
            return _early_report(seen, laid, room, runs.attempts)
        return report(seen, room, runs.attempts)
    finally:
        if pool is not None:
            pool.want(runs.needed())  # and the next verdict on this repository finds them ready


@dataclass(frozen=True, slots=True)
class Laid:
    """The candidate's code with the base's tests over it, as each run of them has it."""

    tree: Tree
    kept: frozenset[str]
    fresh: Tree
    """The candidate's own new tests."""
    readable: frozenset[str]
    aside: tuple[str, ...]
    """Files of its code that are called like tests: laid out, not collected."""
    told: tuple[Finding, ...]


def lay(runs: Runs, candidate: Tree) -> Laid:
    """Lay the base's tests over the candidate's code, and say what it did to them."""
    trusted = trust(runs)
    tree, kept = overlay(runs.base, candidate, trusted)
    extra = changes.sources(runs.base, candidate, trusted)
    roots = changes.python_paths(runs.base, runs.config)
    layers = (runs.room.layer, *runs.suite.layer_dirs)
    shadowed = shadows.findings(runs.base, candidate, trusted, extra=extra, roots=roots, layer_dirs=layers)
    told = (*shadowed, *changes.findings(runs.base, candidate, trusted))
    fresh = changes.new_tests(runs.base, candidate, trusted)
    return Laid({**tree, **extra}, kept, fresh, changes.readable(runs.base, trusted), tuple(sorted(extra)), told)


def trust(runs: Runs) -> Trusted:
    """Return the test for what is taken from the base alone."""
    touches = matcher(runs.suite.test_paths)
    return lambda path: touches(path) or changes.is_config(path)


async def _raced(runs: Runs, laid: Laid, whole: Callable[[], Coroutine[None, None, Evidence]]) -> Early | Evidence:
    """Return a first answer from the tests that the change reaches, if one is wanted and there, else all evidence."""
    ask = Ask(laid.tree, laid.kept, ignored=laid.aside)
    picked = await asyncio.to_thread(early.pick, runs, ask) if runs.suite.early else ()
    if not picked:
        return await whole()
    runs.known = asyncio.get_running_loop().create_future()
    return await early.race(early.answer(runs, replace(ask, targets=picked), runs.known), whole())


async def evidence_of(runs: Runs, candidate: Tree, held: Tree, laid: Laid | None = None) -> Evidence:
    """Return what all sandboxes of one suite showed."""
    laid = laid or lay(runs, candidate)
    targets = changes.runnable(laid.fresh)
    with_fresh = {**laid.tree, **laid.fresh}
    canary = Ask({"test_canary.py": Entry("file", CANARY)}, frozenset({"test_canary.py"}))
    async with Together() as sooner, Together() as later:
        # What needs nothing of the base starts with it.
        seen = sooner.start(runs.canary(canary))
        new = sooner.start(_maybe(runs.on(Ask(with_fresh, laid.kept, targets)) if targets else None))
        base = await measure(runs, trust(runs), held)
        apart = split_ask(laid.tree, laid.kept, base.packages, laid.readable)
        split = later.start(_maybe(runs.on(_bounded(apart, base)) if base.split else None))
        asks = await asyncio.to_thread(_halves, laid, base)
        first = later.start(runs.on(asks[0]))
        second = later.start(_maybe(runs.on(asks[1]) if any(base.halves) else None))
        third = later.start(_maybe(runs.on(replace(asks[0], tree=laid.tree)) if base.disturbed else None))
        own = later.start(_maybe(_with_own_layers(runs, laid, base)))
    # Alone and last: what runs beside it is told in full, and could listen.
    hidden = await held_out.on_candidate(runs, laid.tree, replace(apart, kinds=base.kinds), held, base.held)
    again = None
    if hidden is not None and base.held.lost(hidden):
        of_base = split_ask(runs.base, laid.kept, base.packages, laid.readable)
        again = await held_out.on_base(runs, of_base, held)
    notes = tuple(f.msg for f in lock_changed(runs.base, candidate, runs.suite.lock))
    most = runs.limits.tests
    both = (first.result(), second.result() or first.result())
    found = Evidence(
        base, both, seen.result(), new.result(), split.result(), hidden, again, laid.told, most, notes,
        unmutated=third.result(), own_layers=own.result(),
    )  # fmt: skip
    found = await _accused(runs, found, asks)
    if found.unmutated is None and found.moved:
        # In file order and with nothing false; what is red so as well is the candidate's.
        found = replace(found, unmutated=await runs.on(replace(asks[0], tree=laid.tree, shuffled=False)))
        found = await _accused(runs, found, asks)  # what passes now may have passed as well when it was false
    return found


def _halves(laid: Laid, base: Base) -> tuple[Ask, Ask]:
    """Return the runs of the base's tests on the candidate, each with the other half of them made false."""
    first, second = (
        Ask(mutate(laid.tree, half), laid.kept, shuffled=base.shuffled, seed=drawn_seed(), ignored=laid.aside)
        for half in base.halves
    )
    return first, second


def _bounded(apart: Ask, base: Base) -> Ask:
    """Return the split run without the tests that are left beside the code, and with a bound for the others."""
    most = MORE_QUESTIONS * MOST_QUESTIONS
    return replace(apart, questions=most, without=sorted(base.beside), kinds=base.kinds)


async def _accused(runs: Runs, found: Evidence, asks: tuple[Ask, Ask]) -> Evidence:
    """Run the very same false tests on the base where something is unclear: only what fails there accuses anyone.

    In the same order: a test that fails on the base in it says nothing of the candidate.

    Where they disturb others the suspects are false alone: a test may fail on the base for another's sake.
    """
    shuffled, disturbing = found.base.shuffled, bool(found.base.disturbed)
    # What is refused for another reason is refused in any order.
    ordered = {finding.code for finding in judge(found)} - {"tests.mutant_passed"} == {"tests.failed"}
    red = found.red if ordered else (frozenset[str](), frozenset[str]())
    unclear = [suspects | reds for suspects, reds in zip(found.suspects, red, strict=True)]

    def on_base(n: int, ids: frozenset[str], *, alone: bool) -> Awaitable[RunFacts] | None:
        if not ids or (found.alone if alone else found.again)[n] is not None:
            return None
        false = {path: asks[n].tree[path] for path in found.base.halves[n]}
        if alone:
            false = only_false(runs.base, false, found.base.halves[n], ids)
        return runs.on(Ask({**runs.base, **false}, asks[n].kept, shuffled=shuffled, seed=asks[n].seed))

    async with Together() as group:
        again = [
            group.start(_maybe(on_base(n, ids, alone=False)))
            for n, ids in enumerate(found.doubtful if disturbing else unclear)
        ]
        alone = [
            group.start(_maybe(on_base(n, ids if disturbing else frozenset(), alone=True)))
            for n, ids in enumerate(found.suspects)
        ]
    return replace(
        found,
        again=(again[0].result() or found.again[0], again[1].result() or found.again[1]),
        alone=(alone[0].result() or found.alone[0], alone[1].result() or found.alone[1]),
    )


def _with_own_layers(runs: Runs, laid: Laid, base: Base) -> Awaitable[RunFacts] | None:
    """Return the run of all tests with the dependencies of the candidate's own lock, when it names others."""
    layers = runs.suite.candidate_layer_dirs
    if layers is None:
        return None
    files = {test.id.partition("::")[0] for test in base.plain.tests} & laid.kept
    targets = sorted(files | set(changes.runnable(laid.fresh)))
    return runs.on(Ask({**laid.tree, **laid.fresh}, laid.kept, targets, layer_dirs=layers)) if targets else None


async def _maybe(run: Awaitable[RunFacts] | None) -> RunFacts | None:
    return await run if run is not None else None


def report(evidence: Evidence, room: Room, attempts: int) -> SuiteReport:
    """Turn evidence into a report; it passes only when no rule has anything to say."""
    findings = judge(evidence)
    runs = [evidence.base.plain, evidence.canary, *(run for _, run in evidence.runs)]
    candidate, tests = evidence.told[0], tuple(evidence.plain.values())
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
        split=len(evidence.apart),
        unproven=evidence.unproven,
        notes=(*evidence.notes, *([GUEST_ONLY] if candidate.limits_mode == "guest-only" else [])),
        unstable=tuple(sorted(evidence.base.unstable)),
        isolation=room.isolation if candidate.kernel else "",
        usage=_used([evidence.canary, *(run for _, run in evidence.runs)]),
    )


def _early_report(told: Early, laid: Laid, room: Room, attempts: int) -> SuiteReport:
    """Turn a first answer into a report; it is always a no."""
    run = told.run
    return SuiteReport(
        passed=False,
        outcome=run.outcome,
        findings=(*told.findings, *laid.told[: early.MOST_NAMED]),
        tests=run.tests,
        new_tests=(),
        expected=tuple(t.id for t in told.base.plain.tests if t.id not in told.base.unstable),
        counts=counts(run.tests),
        behaviour=run.behaviour,
        runsc=room.runsc_version,
        kernel=run.kernel,
        limits_mode=run.limits_mode,
        wall_ms=run.wall_ms,
        attempts=attempts,
        output=run.output,
        verdict="fail",
        early=True,
        notes=(f"answered early from {told.tests} of {told.of} tests; nothing else was looked at",),
        unstable=tuple(sorted(told.base.unstable)),
        isolation=room.isolation if run.kernel else "",
        usage=run.usage,
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


def _used(runs: list[RunFacts]) -> Usage:
    """Return the highest of all runs on the candidate and of the canary, and the sum of their processor time."""
    each = [run.usage for run in {id(run): run for run in runs}.values()]
    return Usage(
        max(used.memory_bytes for used in each),
        sum(used.cpu_ms for used in each),
        max(used.tasks for used in each),
    )


def _refused(room: Room, finding: Finding) -> SuiteReport:
    nothing = Behaviour("not recorded", "nothing was run")
    return SuiteReport(False, "void", (finding,), (), (), (), {}, nothing, room.runsc_version, "", "", 0, 0, "")
