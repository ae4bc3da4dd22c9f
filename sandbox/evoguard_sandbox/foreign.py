"""Tests of other languages: one command on base and candidate, judged by its own report, its end and its inventory.

The test process reports on itself: code under test that knows the format can write the report. What it cannot do is
reach the base's tests (laid over its own, owned by root in the guest), leave a report behind for a run that made none,
or lose a test that the base has. So the assurance is never more than "visible-only", and the report says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evoguard_sandbox.judging import changes
from evoguard_sandbox.judging import verdict as rules
from evoguard_sandbox.judging.evidence import RED, Base, Evidence
from evoguard_sandbox.judging.facts import RunFacts, shown_lines
from evoguard_sandbox.reports.found import Reader, ReportError, TooManyError
from evoguard_sandbox.reports.go import read_go
from evoguard_sandbox.reports.junit import read_junit
from evoguard_sandbox.reports.tap import read_tap
from evoguard_sandbox.rooms import spec
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.box import Order, Seen
from evoguard_sandbox.rooms.pool import Pool, run_box
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.suite import RANK
from evoguard_sandbox.trees import Tree, TreeError, folders, matcher, overlay, read_tree, wire
from evoguard_sandbox.types import Behaviour, Files, Finding, Limits, SuiteReport

Format = Literal["junit", "tap", "go"]
READERS: Mapping[Format, Reader] = {"junit": read_junit, "tap": read_tap, "go": read_go}
WEAKER = "weaker: the test process reports on itself"
TEST_PATHS = (
    "test/**", "tests/**", "**/__tests__/**", "*.test.js", "*.test.mjs", "*.test.cjs", "*.test.ts", "*.spec.js",
    "*.spec.ts", "*_test.go", "**/testdata/**", "package.json", "jest.config.*", "vitest.config.*", ".mocharc.*",
)  # fmt: skip
LIMITS = Limits(wall_s=300, cpu_s=1200, address_bytes=1 << 40, tmp_bytes=512 << 20)
"""Node and Go reserve far more addresses than they use, and Go compiles its library first; memory is held as ever."""
MOST_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class ForeignSuite:
    """A test command on two trees. `report_path`: where in the tree it writes its report; empty means on stdout.

    `test_paths` say which files are tests or their configuration: of those only the base's copy is used. The guest
    sees the room's image, with the programs that `Room.open` was given, and, as /opt/deps/0 and so on, `layer_dirs`.
    `env` is added to the guest's environment.
    """

    base_files: Files | bytes
    candidate_files: Files | bytes
    argv: tuple[str, ...]
    report: Format
    report_path: str = ""
    test_paths: tuple[str, ...] = TEST_PATHS
    layer_dirs: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class _Runs:
    def __init__(self, suite: ForeignSuite, limits: Limits, room: Room, pool: Pool | None) -> None:
        self.suite, self.limits, self.room, self.pool = suite, limits, room, pool
        self.attempts = 1

    async def on(self, tree: Tree, kept: frozenset[str]) -> RunFacts:
        """Run the command on one tree in a fresh sandbox; a room that failed is tried once more, and that is told."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            self.attempts = max(self.attempts, attempt)
            seen = await run_box(self.room, self._order(tree, kept), self._make(), self.pool)
            if seen.outcome != "void":
                break
        return await asyncio.to_thread(_facts, seen, self.suite, self.limits)

    def _make(self) -> Make:
        return Make("job", self.limits, self.suite.layer_dirs)

    def _order(self, tree: Tree, kept: frozenset[str]) -> Order:
        suite = self.suite
        rows, contents = wire(without(tree, suite.report_path), kept)
        env = dict(line.split("=", 1) for line in spec.env(spec.layers(self._make())))
        argv = [self.room.python.guest_path if suite.argv[0] == "python" else suite.argv[0], *suite.argv[1:]]
        take = [suite.report_path] if suite.report_path else []
        return Order("", rows, contents, argv, take, {**env, **suite.env})


def without(tree: Tree, report: str) -> Tree:
    """Return the tree with nothing where the report is to be: one that lies there already is none of this run."""
    if not report:
        return tree
    above = {report, *folders(report)}
    return {path: entry for path, entry in tree.items() if path not in above and not path.startswith(report + "/")}


def _facts(seen: Seen, suite: ForeignSuite, limits: Limits) -> RunFacts:
    """Return what one run showed. A report that cannot be believed leaves no claim of a proper end."""
    facts = RunFacts(
        outcome=seen.outcome,
        why=seen.why,
        exit_status=seen.exit_status,
        forged=seen.garbage,
        behaviour=seen.behaviour,
        kernel=seen.kernel,
        limits_mode=seen.limits_mode,
        wall_ms=seen.wall_ms,
        output=shown_lines(bytes(seen.out[-2048:] if suite.report_path else b"") + bytes(seen.err[-2048:])),
    )
    if seen.outcome != "finished":
        return facts
    try:
        tests = READERS[suite.report](_report_bytes(seen, suite.report_path), limits.tests)
    except TooManyError as err:
        return replace(facts, found=limits.tests + 1, broke=str(err))
    except ReportError as err:
        return replace(facts, broke=f"its {suite.report} report cannot be read: {err}")
    # A command that fails has shown a failed test; one that fails without has not come to its own end.
    told = seen.exit_status == 0 or any(test.outcome in RED for test in tests)
    return replace(facts, found=len(tests), tests=tests, end_status=seen.exit_status if told else None)


def _report_bytes(seen: Seen, path: str) -> bytes:
    if not path:
        return bytes(seen.out)
    found = [data for name, _, data in seen.artefacts if name == path]
    if len(found) != 1 or len(seen.artefacts) != 1:
        raise ReportError(f"it is not there{': ' + seen.omitted if seen.omitted else ''}")
    return bytes(found[0])


def ended_early(e: Evidence) -> Iterable[Finding]:
    """The command came to its own end, with a whole report; status 0 without one looks like success and is none."""
    for what, run in rules.once(e, lambda run: run.ended_early):
        how = run.broke or "it failed, and no test did"
        text = f"the test command ended with status {run.exit_status}, but {how} ({what})"
        yield Finding("tests.ended_early", text, term=str(run.exit_status))


ON_BASE: tuple[rules.Rule, ...] = (rules.room, rules.base_green)
RULES: tuple[rules.Rule, ...] = (
    rules.room,
    rules.base_green,
    rules.changed,
    rules.frames,
    ended_early,
    rules.none_ran,
    rules.inventory,
    rules.failed,
    rules.skips,
    rules.network,
)


async def run_foreign(
    suite: ForeignSuite, *, limits: Limits = LIMITS, room: Room, pool: Pool | None = None
) -> SuiteReport:
    """Judge a candidate by its base's tests in another language; return what was seen, and why not if not.

    The candidate's own new tests run once more with all others, and can only add failures.
    Raises: SandboxError when a layer is not there.
    """
    try:
        base, candidate = (read_tree(files, limits) for files in (suite.base_files, suite.candidate_files))
    except TreeError as err:
        nothing = RunFacts()
        return _report(Evidence(Base(nothing), (nothing, nothing), nothing), (err.finding,), room, 0)
    touches, runs = matcher(suite.test_paths), _Runs(suite, limits, room, pool)

    def trusted(path: str) -> bool:
        return touches(path) or changes.is_config(path)

    measured = Base(await runs.on(base, frozenset(path for path in base if trusted(path))))
    idle = RunFacts("finished")
    alone = Evidence(measured, (idle, idle), measured.plain, most_tests=limits.tests)
    if findings := rules.judge(alone, ON_BASE):
        return _report(alone, findings, room, runs.attempts)
    evidence = await _on_candidate(runs, measured, (base, candidate), trusted)
    return _report(evidence, rules.judge(evidence, RULES), room, runs.attempts)


async def _on_candidate(runs: _Runs, base: Base, trees: tuple[Tree, Tree], trusted: Callable[[str], bool]) -> Evidence:
    tree, kept = overlay(*trees, trusted)
    fresh = changes.new_tests(*trees, trusted)
    seen = await runs.on(tree, kept)
    new = await runs.on({**tree, **fresh}, kept) if fresh else None
    told = changes.findings(*trees, trusted)
    return Evidence(base, (seen, seen), base.plain, new, changes=told, most_tests=runs.limits.tests)


def _report(e: Evidence, findings: tuple[Finding, ...], room: Room, attempts: int) -> SuiteReport:
    """Return the report; it passes only when no rule has anything to say."""
    seen, known = e.halves[0], set(e.expected)
    runs = [e.base.plain, seen, *([e.new] if e.new is not None else [])]
    return SuiteReport(
        passed=not findings,
        outcome=min((run.outcome for run in runs), key=RANK.index),
        findings=findings,
        tests=seen.tests,
        new_tests=tuple(test for test in e.new.tests if test.id not in known) if e.new is not None else (),
        expected=e.expected,
        counts=rules.counts(seen.tests),
        behaviour=_shown(runs[1:]),
        runsc=room.runsc_version,
        kernel=runs[0].kernel,
        limits_mode=runs[0].limits_mode,
        wall_ms=max(run.wall_ms for run in runs),
        attempts=attempts,
        output=seen.output or e.base.plain.output,
        verdict=rules.verdict(findings),
        assurance="visible-only",
        unproven=len(e.expected),
        notes=(WEAKER,),
    )


def _shown(runs: Iterable[RunFacts]) -> Behaviour:
    """Return the record of the runs that held the candidate; one record that is missing makes the whole so."""
    held = [run.behaviour for run in runs]
    order = ("not recorded", "incomplete", "recorded")
    worst = min(held, key=lambda b: order.index(b.status))
    return replace(
        worst,
        connects=tuple(dict.fromkeys(c for b in held for c in b.connects)),
        programs=tuple(dict.fromkeys(p for b in held for p in b.programs)),
        clones=sum(b.clones for b in held),
        dropped=sum(b.dropped for b in held),
    )
