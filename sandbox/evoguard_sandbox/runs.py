"""Orders for test runners: a tree and what is trusted of it become one run's facts, in one sandbox or in two."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from evoguard_sandbox import changes, spec
from evoguard_sandbox.backend import Make, Mode
from evoguard_sandbox.box import Order
from evoguard_sandbox.facts import RunFacts, read
from evoguard_sandbox.pool import Makes, Pool
from evoguard_sandbox.room import Room
from evoguard_sandbox.trees import Tree, wire
from evoguard_sandbox.types import Limits, Suite

MOST_ATTEMPTS = 2
EMPTY_CONFIG = "/dev/null"
HARVEST = ["-q", "--color=no", "-p", "no:cacheprovider", "-p", "no:junitxml", "-p", "no:faulthandler", "--maxfail=0"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One run: a tree, the paths in it that only root may write, what to point pytest at, and how to shuffle."""

    tree: Tree
    kept: frozenset[str]
    targets: Sequence[str] = ()
    shuffled: bool = False
    packages: Sequence[str] = ()
    """For a split run: the top-level names that live in the other process."""
    far: Tree = field(default_factory=dict)


class Runs:
    """Everything that one suite's runs share."""

    def __init__(self, suite: Suite, base: Tree, limits: Limits, room: Room, pool: Pool | None) -> None:
        self.suite, self.base, self.limits, self.room = suite, base, limits, room
        self.pool = pool if pool is not None else Pool(room, most=0)
        self.config, self.own = changes.config_of(base), changes.own_names(base)
        self.attempts = 1
        self.slots = asyncio.Semaphore(max(1, len(os.sched_getaffinity(0))))

    def make(self, mode: Mode = "suite") -> Make:
        """Return the make of a sandbox for this suite."""
        return Make(mode, self.limits, self.suite.layer_dirs)

    async def on(self, ask: Ask) -> RunFacts:
        """Run pytest on one tree in a fresh sandbox; a room that failed is tried once more, and that is told."""
        async with self.slots:
            for attempt in range(1, MOST_ATTEMPTS + 1):
                self.attempts = max(self.attempts, attempt)
                facts = await (self._split(ask) if ask.packages else self._plain(ask))
                if facts.outcome != "void":
                    break
        return facts

    def needed(self) -> dict[Makes, int]:
        """Return what one verdict takes: canary, new tests, held-out tests, two halves, and one pair."""
        wanted: dict[Makes, int] = {(self.make(),): 4 + bool(self.suite.held_out)}
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
        (box,) = await self.pool.take(self.make())
        return read(await box.obey(self._order(ask, token)), token)

    async def _split(self, ask: Ask) -> RunFacts:
        """Run the tests in one sandbox against code in another; what counts is what the tests' side says."""
        token = secrets.token_hex(16)
        near, far = await self.pool.take(self.make("near"), self.make("far"))
        if not (near.ready and far.ready):
            await asyncio.gather(near.discard(), far.discard())
            return RunFacts(why=near.seen.why or far.seen.why)
        rows, contents = wire(ask.far, frozenset())
        told = {"path": [spec.TREE, f"{spec.TREE}/src"], "packages": list(ask.packages)}
        serving = asyncio.create_task(far.obey(Order(json.dumps(told) + "\n", rows, contents)))
        try:
            facts = read(await near.obey(self._order(ask, token)), token)
            await asyncio.wait({serving}, timeout=1)  # the wires are closed with the tests' side
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        seen = far.seen.behaviour
        return replace(facts, behaviour=replace(facts.behaviour, connects=(*facts.behaviour.connects, *seen.connects)))

    def _order(self, ask: Ask, token: str) -> Order:
        rows, contents = wire(ask.tree, ask.kept)
        told = {
            "token": token,
            # A module that cannot be collected apart from the code must not stop the others.
            "args": [*self._args(ask.targets), *(["--continue-on-collection-errors"] if ask.packages else [])],
            "tests": self.limits.tests,
            "own": [] if ask.packages else self.own,
            "seed": secrets.randbelow(1 << 32) if ask.shuffled else None,
            "split": list(ask.packages),
        }
        return Order(json.dumps(told), rows, contents)

    def _args(self, targets: Sequence[str]) -> list[str]:
        config = f"{spec.TREE}/{self.config}" if self.config else EMPTY_CONFIG
        held = self.base[self.config].data if self.config else b""
        # By default pytest puts a test's folder first on sys.path, with every module that lies beside it.
        appended = [] if re.search(rb"import[-_]mode", held) else ["--import-mode=append"]
        plugins = [part for name in self.suite.plugins for part in ("-p", name)]
        where = ["-c", config, f"--rootdir={spec.TREE}", f"--confcutdir={spec.TREE}"]
        return [*HARVEST, *plugins, *where, *appended, *(f"{spec.TREE}/{path}" for path in targets)]
