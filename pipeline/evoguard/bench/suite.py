"""What a whole verdict costs on a small package of 300 tests that compute, beside the plain suite without a sandbox.

Needs gVisor. Warm: the base was measured before and sandboxes stand ready. Cold: neither. The time of each kind of run
is told, too: they overlap, so their sum is more than the whole. Each figure names the runsc binary.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from evoguard.adapters import tool_cache
from evoguard.bench import Figure
from evoguard.bench.sandbox import settled
from evoguard.errors import UnavailableError
from evoguard_sandbox import Limits, Pool, Room, SandboxError, Suite, SuiteReport, run, sweep
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.runs import Ask, Runs
from evoguard_sandbox.suite import evidence_of
from evoguard_sandbox.trees import read_tree

FILES, TESTS_A_FILE, WORK = 30, 10, 40_000
BAR_TIMES_NATIVE, BAR_MORE_S, BAR_CPU = 3.0, 0.5, 1.9
LIMITS = Limits(wall_s=120)
Tree = dict[str, tuple[int, bytes]]
MODULE = '''"""Numbers, one after the other."""


def walk(start: int, steps: int) -> int:
    """Return where a walk ends."""
    at = start
    for step in range(steps):
        at = (at * {factor} + step) % 1_000_003
    return at
'''


def walk(start: int, steps: int, factor: int) -> int:
    """Return what the generated module `walk` returns: the tests' expected values come from here, not from a run."""
    at = start
    for step in range(steps):
        at = (at * factor + step) % 1_000_003
    return at


def package(files: int = FILES, tests: int = TESTS_A_FILE, work: int = WORK) -> Tree:
    """Return a package and its tests, the same bytes each time."""
    tree = {"src/stroll/__init__.py": '"""A small package."""\n'}
    for n in range(files):
        factor = 7 * n + 3
        tree[f"src/stroll/way_{n}.py"] = MODULE.format(factor=factor)
        cases = [
            f"def test_walk_{k}():\n    assert walk({k}, {work + k}) == {walk(k, work + k, factor)}\n"
            for k in range(tests)
        ]
        tree[f"tests/test_way_{n}.py"] = f"from stroll.way_{n} import walk\n\n\n" + "\n\n".join(cases)
    return {path: (0o100644, text.encode()) for path, text in tree.items()}


def held_out(tests: int = TESTS_A_FILE, work: int = WORK) -> Tree:
    """Return tests of the same package with inputs that are in none of its own."""
    cases = [
        f"def test_far_{k}():\n    assert walk({1000 + k}, {work}) == {walk(1000 + k, work, 3)}\n" for k in range(tests)
    ]
    text = "from stroll.way_0 import walk\n\n\n" + "\n\n".join(cases)
    return {"tests/test_held_out.py": (0o100644, text.encode())}


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds of wall and of processor time."""

    wall_s: float
    cpu_s: float = 0.0


def measure(*, quick: bool = False) -> list[Figure]:
    """Judge the package cold, then warm; `quick`: fewer tests, one round.

    Raises: ConfigError without gVisor or the runner layer; UnavailableError when no isolated run takes place.
    """
    try:
        return asyncio.run(_measure(files=4 if quick else FILES, rounds=1 if quick else 3))
    except SandboxError as err:
        raise UnavailableError("sandbox", err.message, fix=err.fix) from err


async def _measure(*, files: int, rounds: int) -> list[Figure]:
    base, held = package(files), held_out()
    with tempfile.TemporaryDirectory(prefix="eg-bench-") as made:
        room = Room.open(Path(made) / "room", tool_cache.runsc_path(), tool_cache.layer_dir())
        pool = Pool(room, most=16)
        try:
            cold, warm, native = [], [], []
            for n in range(rounds):
                native.append(plain(base, room, Path(made)).wall_s)
                room.known_bases.clear()
                fresh = Pool(room, most=16)
                cold.append(await verdict_s(Suite(base, changed(base, n), held_out=held), room, fresh))
                await fresh.close()
                # The first one fills the pool and learns the base; only the one after it is warm.
                await verdict_s(Suite(base, changed(base, n), held_out=held), room, pool)
                await settled(pool)
                warm.append(await verdict_s(Suite(base, changed(base, n + rounds), held_out=held), room, pool))
                await settled(pool)
            layers = await _layers(Suite(base, changed(base, 99), held_out=held), room, pool)
            ratio = await _cpu_ratio(base, room, Path(made))
            return figures(files, (cold, warm, native), layers, ratio, room.runsc_version)
        finally:
            await pool.close()
            sweep(room)
            room.close()


def changed(base: Tree, n: int) -> Tree:
    """Return a candidate: one honest change, another one for each number."""
    path = "src/stroll/way_0.py"
    return {**base, path: (0o100644, base[path][1] + f"\n\nNUMBER = {n}\n".encode())}


async def verdict_s(suite: Suite, room: Room, pool: Pool) -> float:
    """Return how long one verdict took. Raises: SandboxError when it was not the pass that it must be."""
    began = time.perf_counter()
    report = await run(suite, limits=LIMITS, room=room, pool=pool)
    took = time.perf_counter() - began
    passed(report)
    return took


def passed(report: SuiteReport) -> None:
    """Raise SandboxError unless the package passed with all that judges it: a verdict that stops early is quick."""
    if not report.passed or report.assurance != "held-out":
        told = "; ".join(f"{one.code} {one.msg}" for one in report.findings[:3]) or report.assurance
        raise SandboxError("bench.run", f"the package did not pass as it must: {told}", "")


def plain(tree: Tree, room: Room, folder: Path) -> Seen:
    """Run the plain suite without a sandbox, by the same interpreter and the same pytest.

    Raises: SandboxError when it is not green.
    """
    with tempfile.TemporaryDirectory(dir=folder) as made:
        for path, (_, data) in tree.items():
            file = Path(made, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        python = room.python.prefix / "bin" / room.python.name
        env = {"PYTHONPATH": f"{room.layer}:{made}/src", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1",
               "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip
        before, began = os.times(), time.perf_counter()
        done = subprocess.run([python, "-S", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=made, env=env,
                              capture_output=True, check=False, timeout=300)  # fmt: skip
        wall_s, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SandboxError("bench.run", f"the plain suite ended with {done.returncode}", "")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Seen(wall_s, cpu_s)


class TimedRuns(Runs):
    """Runs that remember how long each kind took."""

    def __init__(self, suite: Suite, room: Room, pool: Pool) -> None:
        super().__init__(suite, read_tree(suite.base_files, LIMITS), LIMITS, room, pool)
        self.began = time.perf_counter()
        self.spans: list[tuple[str, float, float]] = []

    async def on(self, ask: Ask) -> RunFacts:
        """Run as `Runs.on` does."""
        held = bool(self.suite.held_out.keys() & set(ask.targets))
        kind = "the held-out tests" if held else "the tests apart from the code" if ask.packages else "a mutated half"
        return await self._timed(kind, super().on(ask))

    async def canary(self, ask: Ask) -> RunFacts:
        """Run as `Runs.canary` does."""
        return await self._timed("the canary", super().canary(ask))

    async def _timed(self, kind: str, work: Awaitable[RunFacts]) -> RunFacts:
        began = time.perf_counter() - self.began
        facts = await work
        self.spans.append((kind, began, time.perf_counter() - self.began))
        return facts


async def _layers(suite: Suite, room: Room, pool: Pool) -> list[tuple[str, float, float]]:
    """Return what was run for one warm verdict: its kind, from when to when in seconds."""
    runs = TimedRuns(suite, room, pool)
    pool.want(runs.needed())
    candidate, held = read_tree(suite.candidate_files, LIMITS), read_tree(suite.held_out, LIMITS)
    await evidence_of(runs, candidate, held)
    await settled(pool)
    return [*runs.spans, ("the whole", 0.0, max(end for _, _, end in runs.spans))]


async def _cpu_ratio(base: Tree, room: Room, folder: Path) -> float | None:
    """Return the processor time of one run of the suite in a sandbox by that without one, the start taken off both.

    None where nobody counts a sandbox's processor time.
    """
    small = package(1, 1, 1)
    inside = []
    for tree in (base, small):
        runs = Runs(Suite(tree, tree), read_tree(tree, LIMITS), LIMITS, room, None)
        facts = await runs.on(Ask(runs.base, frozenset(runs.base)))
        if facts.ended_early or facts.end_status != 0:
            raise SandboxError("bench.run", f"the suite ended as {facts.outcome}: {facts.why}", "")
        inside.append(facts.usage.cpu_ms / 1000)
    if not all(inside):
        return None
    outside = [plain(tree, room, folder).cpu_s for tree in (base, small)]
    return (inside[0] - inside[1]) / (outside[0] - outside[1])


def figures(
    files: int,
    times: tuple[list[float], list[float], list[float]],
    layers: list[tuple[str, float, float]],
    ratio: float | None,
    runsc: str,
) -> list[Figure]:
    """Return medians in seconds; the bar of a verdict follows from the plain suite of the same call."""
    cold, warm, native = (median(part) for part in times)
    bar, note = BAR_TIMES_NATIVE * native + BAR_MORE_S, f"runsc {runsc}; {files * TESTS_A_FILE} tests"
    found = [
        Figure("full verdict, warm", warm, "s", bar, native, note=f"{note}; bar: 3 x native + 0.5 s"),
        Figure("full verdict, cold: base not known, none ready", cold, "s", bar, native, note=note),
        Figure("plain suite, no sandbox", native, "s"),
    ]
    if ratio is None:
        found.append(Figure("processor time to native: not measured", 0, "x", note="no cgroup counts it here"))
    elif native < 1:
        found.append(Figure("processor time to native", ratio, "x", note="a suite of less than 1 s: no bar"))
    else:
        found.append(Figure("processor time to native, start taken off", ratio, "x", BAR_CPU, note=note))
    return [*found, *(Figure(f"  {kind}", end - began, "s", note=f"from {began:.2f} to {end:.2f} s")
                      for kind, began, end in sorted(layers, key=lambda row: row[1]))]  # fmt: skip
