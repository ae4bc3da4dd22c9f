"""Orders for test runners: a tree and what is trusted of it become one run's facts, in one sandbox or in two."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evoguard_sandbox.judging import changes, shadows
from evoguard_sandbox.judging.evidence import Base
from evoguard_sandbox.judging.facts import RunFacts, read
from evoguard_sandbox.rooms import spec
from evoguard_sandbox.rooms.backend import Make, Mode
from evoguard_sandbox.rooms.box import Order
from evoguard_sandbox.rooms.pool import Makes, Pool
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.trees import Tree, wire
from evoguard_sandbox.types import Limits, SandboxError, Suite

MOST_ATTEMPTS = 2
PATIENCE, LEAST_S = 10, 60.0
"""How many times the base's own time a run may take, and what any may: a busy machine makes no red test."""
APART_S, IN_TIME = 120.0, 0.5
"""How long the base runs apart from the code, and in which part of it a test must end that is to run so at all."""
APART_LEAST_S = PATIENCE * IN_TIME * APART_S
"""What a candidate's run apart from the code may take at least: it is far slower than one beside it."""
MORE_RUNS = 1
"""Runs at a time beyond one for each core: two halves and a pair of about one length would leave a core idle."""
EMPTY_CONFIG = "/dev/null"
HARVEST = [
    "-q",
    "--color=no",
    "--tb=no",
    "-rN",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:junitxml",
    "-p",
    "no:faulthandler",
    "--maxfail=0",
]
APART = ["--continue-on-collection-errors", "--assert=plain"]
"""A module that cannot be collected apart from the code must not stop the others. Of an assertion that fails the place
is told: taking each one apart beforehand is half of what a small test costs, and the runs beside the code do it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One run: a tree, the paths in it that only root may write, what to point pytest at, and how to shuffle."""

    tree: Tree
    kept: frozenset[str]
    targets: Sequence[str] = ()
    shuffled: bool = False
    seed: int | None = None
    """The order of the shuffled tests, and what tests draw; None for one that is drawn for this run."""
    packages: Sequence[str] = ()
    """For a split run: the top-level names that live in the other process."""
    questions: int = 0
    """In a split run: how many a test may ask the other process; 0 for any number."""
    kinds: Mapping[str, int] | None = None
    """In a split run: what kind of answer each use of the code gets at most; None for any, as on the base."""
    without: Sequence[str] = ()
    """The ids of tests that are not run."""
    far: Tree = field(default_factory=dict)
    ignored: Sequence[str] = ()
    """Files that are not to be collected, whatever they are called."""
    layer_dirs: tuple[Path, ...] | None = None
    """Dependencies in place of the suite's own."""
    wall_s: float | None = None
    """How long it may take; None: as the base's own time allows."""
    at_once: bool = False
    """Whether it does not wait for a place behind what the suite has already asked for."""


def drawn_seed() -> int:
    """Return a seed that nobody can foresee."""
    return secrets.randbelow(1 << 32)


class Runs:
    """Everything that one suite's runs share."""

    def __init__(self, suite: Suite, base: Tree, limits: Limits, room: Room, pool: Pool | None) -> None:
        self.suite, self.base, self.limits, self.room = suite, base, limits, room
        self.pool = pool if pool is not None else Pool(room, most=0)
        self.config = changes.config_of(base)
        self.own = changes.own_names(
            base, shadows.layer_names((*suite.layer_dirs, *(suite.candidate_layer_dirs or ())))
        )
        self.attempts = 1
        self.patience_s: float | None = None
        """How long a run may take now that the base's own time is known; None: as long as the limits say."""
        self.known: asyncio.Future[Base] | None = None
        """Where `measure` tells, to whom it may concern, what the base shows as soon as its plain run is there."""
        self.slots = asyncio.Semaphore(len(os.sched_getaffinity(0)) + MORE_RUNS)

    def make(self, mode: Mode = "suite", layer_dirs: tuple[Path, ...] | None = None) -> Make:
        """Return the make of a sandbox for this suite, or for it with other dependencies."""
        return Make(mode, self.limits, self.suite.layer_dirs if layer_dirs is None else layer_dirs)

    def tell(self, base: Base) -> None:
        """Tell what is known of the base, to whoever waits for it; from now on its time is the measure."""
        self.patience_s = max(LEAST_S, PATIENCE * base.plain.wall_ms / 1000)
        if self.known is not None and not self.known.done():
            self.known.set_result(base)

    async def on(self, ask: Ask) -> RunFacts:
        """Run pytest on one tree in a fresh sandbox; a room that failed is tried once more, and that is told."""
        async with contextlib.nullcontext() if ask.at_once else self.slots:
            for attempt in range(1, MOST_ATTEMPTS + 1):
                self.attempts = max(self.attempts, attempt)
                facts = await (self._split(ask) if ask.packages else self._plain(ask))
                if facts.outcome != "void":
                    break
        return facts

    def needed(self) -> dict[Makes, int]:
        """Return what one verdict takes: canary, new tests, early and held-out tests, two halves, and one pair."""
        wanted: dict[Makes, int] = {(self.make(),): 4 + bool(self.suite.held_out) + self.suite.early}
        if self.room.backend.pairs:
            wanted[self.make("near"), self.make("far")] = 1
        return wanted

    async def canary(self, ask: Ask) -> RunFacts:
        """Run the room's own canary, in the same kind of sandbox and under none of the base's configuration."""
        apart = Runs(Suite({}, {}, layer_dirs=self.suite.layer_dirs), {}, self.limits, self.room, self.pool)
        apart.slots = self.slots
        facts = await apart.on(ask)
        self.attempts = max(self.attempts, apart.attempts)
        return facts

    async def _plain(self, ask: Ask) -> RunFacts:
        token = secrets.token_hex(16)
        (box,) = await self.pool.take(self.make(layer_dirs=ask.layer_dirs))
        return read(await box.obey(self._order(ask, token)), token)

    async def _split(self, ask: Ask) -> RunFacts:
        """Run the tests in one sandbox against code in another; what counts is what the tests' side says."""
        token = secrets.token_hex(16)
        near, far = await self.pool.take(self.make("near"), self.make("far"))
        if not (near.ready and far.ready):
            await asyncio.gather(near.discard(), far.discard())
            return RunFacts(why=near.seen.why or far.seen.why)
        rows, contents = wire(ask.far, ask.kept)
        # Not the runner's own layer: the code's side has no test runner to look for.
        path = [spec.TREE, f"{spec.TREE}/src", *spec.layers(far.make)[1:]]
        told = {"path": path, "packages": list(ask.packages)}
        serving = asyncio.create_task(far.obey(Order(json.dumps(told) + "\n", rows, contents)))
        try:
            facts = read(await near.obey(self._order(ask, token)), token)
            await asyncio.wait({serving}, timeout=1)  # the wires are closed with the tests' side
        finally:
            serving.cancel()
            (served,) = await asyncio.gather(serving, return_exceptions=True)
            await far.discard()  # one that was ended before it began to serve has not ended its sandbox
        lost = str(served) if isinstance(served, SandboxError) else ""
        if why := near.seen.cut or far.seen.cut or lost:
            return RunFacts(why=why)  # the room failed between the two, which tells nothing of the code
        seen = far.seen.behaviour
        return replace(facts, behaviour=replace(facts.behaviour, connects=(*facts.behaviour.connects, *seen.connects)))

    def _order(self, ask: Ask, token: str) -> Order:
        rows, contents = wire(ask.tree, ask.kept)
        seed = drawn_seed() if ask.seed is None else ask.seed
        told = {
            "token": token,
            "args": [*self._args(ask), *(APART if ask.packages else [])],
            "tests": self.limits.tests,
            "own": [] if ask.packages else self.own,
            "seed": seed if ask.shuffled else None,
            "draws": seed,
            "split": list(ask.packages),
            "questions": ask.questions,
            "kinds": None if ask.kinds is None else dict(ask.kinds),
            "without": list(ask.without),
            "only": [f"{spec.TREE}/{path}" for path in ask.targets] if any("[" in path for path in ask.targets) else [],
            "plugins": list(self.suite.plugins),
        }
        return Order(json.dumps(told), rows, contents, wall_s=self._patience(ask))

    def _patience(self, ask: Ask) -> float | None:
        if ask.wall_s is not None or self.patience_s is None:
            return ask.wall_s
        return max(self.patience_s, APART_LEAST_S) if ask.packages else self.patience_s

    def _args(self, ask: Ask) -> list[str]:
        config = f"{spec.TREE}/{self.config}" if self.config else EMPTY_CONFIG
        held = self.base[self.config].data if self.config else b""
        # By default pytest puts a test's folder first on sys.path, with every module that lies beside it.
        appended = [] if re.search(rb"import[-_]mode", held) else ["--import-mode=append"]
        plugins = [part for name in self.suite.plugins for part in ("-p", name)]
        where = ["-c", config, f"--rootdir={spec.TREE}", f"--confcutdir={spec.TREE}"]
        aside = [f"--ignore={spec.TREE}/{path}" for path in ask.ignored]
        targets = dict.fromkeys(f"{spec.TREE}/{_named(path)}" for path in ask.targets)
        return [*HARVEST, *plugins, *where, *appended, *aside, *targets]


def _named(path: str) -> str:
    """Return a path that pytest takes: a bracket begins parameters there, so it gets a folder; `only` says the rest."""
    while "[" in path:
        path = path.rpartition("/")[0]
    return path
