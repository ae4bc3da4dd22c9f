"""Real packages' own tests in the sandbox room: the same outcomes, honest changes not refused, at what price?

Needs gVisor, pip and the index that pip is configured for (once; afterwards the tool cache). Baseline: the same pytest
in a process of this machine. The table goes to stderr; a suite that is not green and steady there is named, not judged.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from evoguard.adapters import tool_cache
from evoguard.bench import Figure
from evoguard.bench.real import RealSuite, layers, listing, native
from evoguard.bench.real.edits import KINDS, honest
from evoguard.bench.real.sdists import tree_of
from evoguard.errors import UnavailableError
from evoguard_sandbox import Limits, Pool, Room, SandboxError, Suite, SuiteReport, run, sweep
from evoguard_sandbox.judging import changes
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.trees import Tree, matcher, read_tree
from evoguard_sandbox.types import DEFAULT_TEST_PATHS, Files

LIMITS = Limits(wall_s=600, cpu_s=1_200)
"""As the guard's own."""
ROUNDS, TIMES, LONG_S = 5, 3, 6.0
LEAST_SUITES, LEAST_SPLIT_PERCENT, MOST_CPU, MEDIAN_CPU, COUNTED_S = 20, 60.0, 1.9, 1.6, 1.0
"""The bars on processor time hold for suites that take this long without a sandbox: shorter ones are all start."""
FLOOR, FLOOR_TEST = "test_of_the_floor.py", b"def test_floor():\n    assert 1 + 1 == 2\n"
"""The one test whose run, in the same tree, is what is called start: interpreter, pytest, laying the tree out."""
HEAD = (
    f"{'suite':<26}{'tests':>6} {'same':<5}{'pass':>5}{'split %':>8}{'unproven %':>11}  "
    f"{'assurance':<13}{'native s':>9}{'sandbox s':>10}{'cpu x':>7}"
)


@dataclass(frozen=True, slots=True)
class Took:
    """What runs of one tree took, the lowest of each: seconds by the clock and of processor time, start and all."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one suite. `left_out` says why it was not judged; `ratio` is None where nobody counted."""

    suite: RealSuite
    tests: int = 0
    left_out: str = ""
    differences: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    rounds: int = 0
    split: int = 0
    unproven: int = 0
    assurance: str = ""
    native: Took = field(default_factory=lambda: Took(0, 0))
    sandbox: Took = field(default_factory=lambda: Took(0, 0))
    ratio: float | None = None

    @property
    def split_percent(self) -> float:
        """Return the share of tests that also ran apart from the code."""
        return 100 * self.split / max(1, self.tests)

    def line(self) -> str:
        """Return the line of the table, and below it what is not as it should be."""
        if self.left_out:
            return f"{self.suite.title:<26} left out: {self.left_out}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        told = [
            f"{self.suite.title:<26}{self.tests:>6} {'no' if self.differences else 'yes':<5}"
            f"{self.rounds - len(self.refusals):>3}/{self.rounds}{self.split_percent:>8.0f}"
            f"{100 * self.unproven / max(1, self.tests):>11.0f}  {self.assurance:<13}"
            f"{self.native.wall_s:>9.2f}{self.sandbox.wall_s:>10.2f}{ratio:>7}"
        ]
        told += [f"    differs: {text}" for text in self.differences[:5]]
        told += [f"    refused: {text}" for text in self.refusals]
        return "\n".join(told)


def measure(*, quick: bool = False) -> list[Figure]:
    """Run every listed suite; `quick` takes three small ones and one honest change of each.

    Raises: ConfigError without gVisor or the runner layer; UnavailableError when no isolated run takes place.
    """
    told = listing()
    chosen = [suite for suite in told.suites if not quick or suite.name in told.quick]
    sys.stderr.write(HEAD + "\n")
    try:
        rows = asyncio.run(look_at(chosen, rounds=1 if quick else ROUNDS, times=1 if quick else TIMES, show=True))
    except SandboxError as err:
        raise UnavailableError("sandbox", err.message, fix=err.fix) from err
    return figures(rows, quick=quick, excluded=told.excluded)


async def look_at(chosen: Sequence[RealSuite], *, rounds: int, times: int, show: bool = False) -> list[Row]:
    """Look at each suite in turn, in one room. Raises: SandboxError when nothing can be run."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="evoguard-suites-") as made:
        room = Room.open(Path(made), tool_cache.runsc_path(), tool_cache.layer_dir())
        try:
            for suite in chosen:
                rows.append(await look(suite, room, rounds=rounds, times=times))
                if show:
                    sys.stderr.write(rows[-1].line() + "\n")
        finally:
            sweep(room)
            room.close()
    return rows


class Bench:
    """One suite, ready to be run with and without the sandbox."""

    def __init__(self, room: Room, files: Files, layer_dirs: tuple[Path, ...], plugins: tuple[str, ...] = ()) -> None:
        self.room, self.files, self.layer_dirs, self.plugins = room, files, layer_dirs, plugins
        self.tree: Tree = read_tree(files, LIMITS)
        touches = matcher(DEFAULT_TEST_PATHS)
        self.trusted: Callable[[str], bool] = lambda path: touches(path) or changes.is_config(path)
        self.kept = frozenset(path for path in self.tree if self.trusted(path))

    def without(self, *targets: str) -> native.Native:
        """Run the suite, or the files that are named, in a process of this machine."""
        config = changes.config_of(self.tree)
        held = self.tree[config].data if config else b""
        words = native.arguments(config, self.plugins, own_mode=bool(re.search(rb"import[-_]mode", held)))
        words += [f"{{tree}}/{path}" for path in targets]
        return native.run(self.files, words, (self.room.layer, *self.layer_dirs))

    async def plain(self, *targets: str) -> RunFacts:
        """Run the suite, or the files that are named, once in a sandbox of its own, as it is."""
        suite = Suite(self.files, self.files, layer_dirs=self.layer_dirs, plugins=self.plugins)
        return await Runs(suite, self.tree, LIMITS, self.room, None).on(Ask(self.tree, self.kept, targets))

    async def judged(self, candidate: Files, pool: Pool) -> SuiteReport:
        """Judge a candidate against the suite."""
        suite = Suite(self.files, candidate, layer_dirs=self.layer_dirs, plugins=self.plugins)
        return await run(suite, limits=LIMITS, room=self.room, pool=pool)

    async def floor(self) -> tuple[float, float]:
        """Return the processor time of a start in this tree, without and in the sandbox."""
        files = {**self.files, FLOOR: (0o100644, FLOOR_TEST)}
        bench = Bench(self.room, files, self.layer_dirs, self.plugins)
        alone = [bench.without(FLOOR).cpu_s for _ in range(2)]
        boxed = [(await bench.plain(FLOOR)).usage.cpu_ms / 1000 for _ in range(2)]
        return min(alone), min(boxed)


async def look(suite: RealSuite, room: Room, *, rounds: int, times: int) -> Row:
    """Compare outcomes and, for `times`, time with runs without a sandbox, then judge `rounds` honest changes."""
    bench = Bench(room, tree_of(suite), layers(suite), suite.plugins)
    alone, boxed = [bench.without(), bench.without()], [await bench.plain()]
    for _ in range(1, times if alone[0].wall_s < LONG_S else 1):
        alone.append(bench.without())
        boxed.append(await bench.plain())
    if left_out := unfit(alone):
        return Row(suite, left_out=left_out)
    floor = await bench.floor() if times else None
    pool, refusals, last = Pool(room), [], None
    try:
        for seed in range(rounds):
            last, refusal = await _judge(bench, pool, seed)
            refusals += [refusal] if refusal else []
    finally:
        await pool.close()
    took = Took(min(n.wall_s for n in alone), min(n.cpu_s for n in alone))
    box = Took(min(b.wall_ms for b in boxed) / 1000, min(b.usage.cpu_ms for b in boxed) / 1000)
    return Row(
        suite, len(alone[0].outcomes), "", differences(alone[0], boxed[0]), tuple(refusals), rounds,
        last.split if last else 0, last.unproven if last else 0, last.assurance if last else "",
        took, box, ratio(took, box, floor),
    )  # fmt: skip


def unfit(alone: Sequence[native.Native]) -> str:
    """Return why the suite says nothing on this machine, without a sandbox; empty when it does."""
    for seen in alone:
        if not seen.green:
            bad = [name for name, outcome in seen.outcomes.items() if outcome in ("failed", "error")]
            bad += [name for name in seen.why if name not in seen.outcomes] or [seen.said.strip()[-200:]]
            return f"not green without a sandbox: {', '.join(bad[:3])}"
        if seen.outcomes != alone[0].outcomes:
            return "its outcomes are not the same twice without a sandbox"
    return ""


def differences(alone: native.Native, boxed: RunFacts) -> tuple[str, ...]:
    """Return each test that came out otherwise in the sandbox, and why."""
    seen, why = boxed.outcome_of(), {test.id: test.why for test in boxed.tests}
    told = [f"{path}: could not be collected: {text}" for path, text in boxed.uncollected]
    if boxed.outcome != "finished" or boxed.ended_early:
        told.append(f"the run ended otherwise: {boxed.outcome} {boxed.why} {boxed.broke}")
    for name in sorted(alone.outcomes.keys() | seen.keys()):
        was, now = alone.outcomes.get(name, "absent"), seen.get(name, "absent")
        if was != now:
            told.append(f"{name}: {was}, in the sandbox {now}: {why.get(name) or alone.why.get(name, '')[-150:]}")
    return tuple(told)


def ratio(alone: Took, boxed: Took, floor: tuple[float, float] | None) -> float | None:
    """Return how much more processor time the sandbox takes, start subtracted; None where nobody counts."""
    if floor is None or not boxed.cpu_s or not floor[1]:
        return None
    return max(0.0, boxed.cpu_s - floor[1]) / max(0.01, alone.cpu_s - floor[0])


async def _judge(bench: Bench, pool: Pool, seed: int) -> tuple[SuiteReport, str]:
    """Judge one honest change; return why it was refused, unless it is not honest: then that is told."""
    packages = changes.packages(bench.tree, bench.trusted)
    edit = honest(bench.files, bench.trusted, packages, kind=KINDS[seed % len(KINDS)], seed=seed)
    report = await bench.judged(edit.files, pool)
    if report.passed:
        return report, ""
    apart = Bench(bench.room, edit.files, bench.layer_dirs, bench.plugins).without()
    green = "green" if apart.green else "RED"
    found = "; ".join(f"{f.code} {f.msg}"[:300] for f in report.findings[:3])
    return report, f"{edit.what} ({green} without a sandbox): {report.verdict}: {found}"


def figures(rows: Sequence[Row], *, quick: bool, excluded: Mapping[str, str]) -> list[Figure]:
    """Return the sums over all suites with their bars, and each suite's ratio."""
    judged = [row for row in rows if not row.left_out]
    counted = [row for row in judged if row.ratio is not None and row.native.wall_s >= COUNTED_S]
    ratios = {row.suite.name: row.ratio for row in counted if row.ratio is not None}
    runs, refused = sum(row.rounds for row in judged), [row for row in judged if row.refusals]
    left = {row.suite.name: row.left_out for row in rows if row.left_out}
    apart = sum(len(row.suite.without) for row in judged)
    same = [row for row in judged if not row.differences]
    worst = max(ratios, key=lambda name: ratios[name]) if ratios else "nobody counted processor time"
    found = [
        Figure("real suites judged", len(judged), f"of {len(rows)}", None if quick else LEAST_SUITES,
               higher_is_better=True, note="; ".join(f"{name}: {why}" for name, why in {**left, **excluded}.items())),
        Figure("suites whose every test comes out the same", len(same), f"of {len(judged)}", len(judged),
               higher_is_better=True, note="; ".join(row.suite.name for row in judged if row.differences)),
        Figure("honest changes refused", sum(len(row.refusals) for row in refused), f"of {runs}", 0,
               note="; ".join(row.suite.name for row in refused)),
        Figure("tests left out by name", apart, f"of {sum(row.tests for row in judged) + apart}", None),
        Figure("tests that ran split, median suite", _median([row.split_percent for row in judged]), "%",
               None if quick else LEAST_SPLIT_PERCENT, higher_is_better=True),
        Figure("tests that no mutant proved, median suite",
               _median([100 * row.unproven / max(1, row.tests) for row in judged]), "%"),
    ]  # fmt: skip
    if counted or not quick:
        bars = (None, None) if quick else (MEDIAN_CPU, MOST_CPU)
        high = max(ratios.values(), default=float("inf"))
        found += [
            Figure(f"processor time, median of {len(counted)} suites of 1 s and more",
                   _median(list(ratios.values()), float("inf")), "x", bars[0], 1.0),
            Figure("processor time, the dearest of them", high, "x", bars[1], 1.0, note=worst),
        ]  # fmt: skip
    told = [(row, row.ratio) for row in judged if row.ratio is not None]
    return [*found, *(Figure(f"processor time, {row.suite.title}", value, "x", None, 1.0,
                             note=f"{row.native.wall_s:.2f} s without, {row.sandbox.wall_s:.2f} s in the sandbox")
                      for row, value in told)]  # fmt: skip


def _median(values: Sequence[float], none: float = 0.0) -> float:
    return median(values) if values else none
