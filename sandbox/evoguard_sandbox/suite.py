"""The first door: a suite on two trees becomes evidence. Three sandboxes: base on base, base's tests on the candidate,
and the candidate's own new tests, which can only add failures.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import astuple, replace

from evoguard_sandbox import changes, spec
from evoguard_sandbox.box import Order, run_box
from evoguard_sandbox.facts import RunFacts, read
from evoguard_sandbox.room import Room
from evoguard_sandbox.trees import Tree, TreeError, matcher, overlay, read_tree, wire
from evoguard_sandbox.types import Behaviour, Finding, Limits, Outcome, Suite, SuiteReport
from evoguard_sandbox.verdict import Evidence, counts, judge

MOST_ATTEMPTS = 2
RANK: tuple[Outcome, ...] = ("void", "crashed", "memory", "pids", "output", "wall", "finished")
EMPTY_CONFIG = "/dev/null"


async def run(suite: Suite, *, limits: Limits, room: Room) -> SuiteReport:
    """Run the base's tests on the base and on the candidate, and the candidate's new tests apart; return what was seen.

    Red tests, forgeries, hostile trees and a room that failed are all reports that do not pass.
    Raises: SandboxError when a dependency layer is not there.
    """
    try:
        base, candidate = (read_tree(files, limits) for files in (suite.base_files, suite.candidate_files))
    except TreeError as err:
        return _refused(room, err.finding)
    evidence, attempts = await evidence_of(suite, base, candidate, limits=limits, room=room)
    return report(evidence, room, attempts)


async def evidence_of(suite: Suite, base: Tree, candidate: Tree, *, limits: Limits, room: Room) -> tuple[Evidence, int]:
    """Return what all sandboxes of one suite showed, and in how many attempts."""
    touches = matcher(suite.test_paths)

    def trusted(path: str) -> bool:
        return touches(path) or changes.is_config(path)

    runs = _Runs(suite, changes.config_of(base), base, limits, room)
    tree, kept = overlay(base, candidate, trusted)
    fresh = changes.new_tests(base, candidate, trusted)
    targets = changes.runnable(fresh)
    on_base, on_candidate, on_new = await asyncio.gather(
        runs.on_base(frozenset(p for p in base if trusted(p))),
        runs.on(tree, kept),
        runs.on({**tree, **fresh}, kept, targets) if targets else _nothing(),
    )
    told = changes.findings(base, candidate, trusted)
    return Evidence(on_base, on_candidate, on_new, told, limits.tests), runs.attempts


async def _nothing() -> None:
    return None


class _Runs:
    def __init__(self, suite: Suite, config: str, base: Tree, limits: Limits, room: Room) -> None:
        self.suite, self.config, self.base, self.limits, self.room = suite, config, base, limits, room
        self.own = changes.own_names(base)
        self.layers = [spec.LAYER, *(f"{spec.DEPS}/{n}" for n in range(len(suite.layer_dirs)))]
        self.attempts = 1

    async def on_base(self, kept: frozenset[str]) -> RunFacts:
        """Run the base on itself, once for the same inputs in the life of this room."""
        key = self._key(kept)
        known = self.room.known_bases.get(key)
        if isinstance(known, RunFacts):
            return known
        facts = await self.on(self.base, kept)
        if facts.outcome == "finished" and not facts.forged:
            if len(self.room.known_bases) >= 32:
                self.room.known_bases.pop(next(iter(self.room.known_bases)))
            self.room.known_bases[key] = facts
        return facts

    def _key(self, kept: frozenset[str]) -> str:
        digest = hashlib.sha256()
        room = self.room
        setting = [astuple(self.limits), sorted(kept), self.suite.plugins, room.runsc_version, str(room.layer)]
        digest.update(json.dumps([setting, [str(p) for p in self.suite.layer_dirs]], default=str).encode())
        for path, entry in sorted(self.base.items()):
            digest.update(json.dumps([path, entry.kind, len(entry.data)]).encode() + entry.data)
        return digest.hexdigest()

    async def on(self, tree: Tree, kept: frozenset[str], targets: Sequence[str] = ()) -> RunFacts:
        """Run pytest on one tree in a fresh sandbox; a room that failed is tried once more, and that is told."""
        rows, contents = wire(tree, kept)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            self.attempts = max(self.attempts, attempt)
            token = secrets.token_hex(16)
            stdin = {"token": token, "layers": self.layers, "args": self._args(targets), "tests": self.limits.tests,
                     "own": self.own}  # fmt: skip
            argv = [self.room.python.guest_path, "-I", "-S", "-B", f"{spec.GUEST}/runner.py"]
            env = dict(line.split("=", 1) for line in spec.env(self.layers))
            order = Order("suite", argv, env, json.dumps(stdin), rows, contents)
            facts = read(await run_box(self.room, order, self.limits, self.suite.layer_dirs), token)
            if facts.outcome != "void":
                break
        return facts

    def _args(self, targets: Sequence[str]) -> list[str]:
        config = f"{spec.TREE}/{self.config}" if self.config else EMPTY_CONFIG
        held = self.base[self.config].data if self.config else b""
        # By default pytest puts a test's folder first on sys.path, with every module that lies beside it.
        appended = [] if re.search(rb"import[-_]mode", held) else ["--import-mode=append"]
        plugins = [part for name in self.suite.plugins for part in ("-p", name)]
        fixed = ["-q", "--color=no", "-p", "no:cacheprovider", "-p", "no:junitxml", "-p", "no:faulthandler"]
        where = ["-c", config, f"--rootdir={spec.TREE}", f"--confcutdir={spec.TREE}"]
        return [*fixed, *plugins, *where, *appended, *(f"{spec.TREE}/{path}" for path in targets)]


def report(evidence: Evidence, room: Room, attempts: int) -> SuiteReport:
    """Turn evidence into a report; it passes only when no rule has anything to say."""
    findings = judge(evidence)
    runs = [evidence.base, *(run for _, run in evidence.runs)]
    candidate = evidence.candidate
    return SuiteReport(
        passed=not findings,
        outcome=min((run.outcome for run in runs), key=RANK.index),
        findings=findings,
        tests=candidate.tests,
        new_tests=evidence.new.tests if evidence.new is not None else (),
        expected=evidence.expected,
        counts=counts(candidate),
        behaviour=_merged([run.behaviour for _, run in evidence.runs]),
        runsc=room.runsc_version,
        kernel=candidate.kernel,
        limits_mode=candidate.limits_mode,
        wall_ms=max(run.wall_ms for run in runs),
        attempts=attempts,
        output=candidate.output,
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
