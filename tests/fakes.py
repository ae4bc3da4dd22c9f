"""One honest fake a port; each passes the same contract suite as the real part where one exists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evoguard.domain.canonical import Digest, digest_of
from evoguard.domain.change import CommitId, Diff, FileChange
from evoguard.domain.clients import Roll
from evoguard.domain.component import ComponentFile
from evoguard.domain.evidence import Assurance, Evidence, TestResult
from evoguard.domain.flag import FlagState
from evoguard.domain.fold import StageEntry, Tally, tally_of
from evoguard.domain.kpi import KpiBatch
from evoguard.domain.latch import Latch, LatchBoard
from evoguard.domain.reach import Dependant, Reach
from evoguard.domain.rollout import Plan
from evoguard.domain.scan import Hit, Scan, Standing
from evoguard.domain.verdict import Finding
from evoguard.domain.way_back import CONFLICT, WayBack
from evoguard.errors import EvoguardError, FencedError, InputError, IntegrityError, UnavailableError
from evoguard.ports.forge import Blob, Publication, ReleaseRefs
from evoguard.ports.impact import Past
from evoguard.ports.latches import Latches
from evoguard.ports.way_back import NoWayBackError


class FakeClock:
    """A clock that moves when told, and by a millisecond at each look so that order is visible."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms

    def wall_ms(self) -> int:
        return self.ms

    def wait(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class FakeArtifacts:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, raw: bytes) -> Digest:
        digest = Digest(f"sha256:{hashlib.sha256(raw).hexdigest()}")
        self.kept[digest] = raw
        return digest

    async def get(self, digest: Digest) -> bytes:
        raw = self.kept.get(digest)
        if raw is None or f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
            raise IntegrityError("missing or changed", code="artifact.broken")
        return raw


@dataclass
class FakeSources:
    """A repository of one change: `scoring.py` was touched, and the component file is what the test gives."""

    component_file: bytes | None
    touched: tuple[str, ...] = ("lending/scoring.py",)
    secrets: tuple[tuple[str, str, int], ...] = ()

    async def diff(self, repo: str, base: CommitId, head: CommitId) -> Diff:
        files = tuple(FileChange(p, "modified", 3, 1, False, "100644", "100644", 120) for p in self.touched)
        return Diff(files, 3 * len(files), len(files), 0, self.secrets)

    async def file(self, repo: str, commit: CommitId, path: str) -> bytes | None:
        return self.component_file if path == ".evoguard.toml" else None

    async def files(self, repo: str, commit: CommitId) -> Mapping[str, Blob]:
        return {"lending/scoring.py": Blob("100644", b"x = 1\n")}


@dataclass
class FakeSandbox:
    passed: bool = True
    findings: tuple[Finding, ...] = ()
    isolation: str = "gvisor"
    tests: int = 3
    runs: int = 0
    secret_tests: bool = False
    assurance: Assurance = "split"

    def held_out(self, repo: str) -> bool:
        return self.secret_tests

    async def close(self) -> None:
        pass

    async def run(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence:
        self.runs += 1
        results = tuple(TestResult(f"tests/test_scoring.py::test_{n}", "passed", 1) for n in range(self.tests))
        failed = 0 if self.passed else 1
        return Evidence(
            tree,
            self.passed,
            self.isolation,
            "recorded",
            self.tests,
            self.tests,
            failed,
            results,
            self.findings,
            assurance=self.assurance,
        )


@dataclass
class FakeImpact:
    """What a change reaches and what its files went through, as a test says it."""

    dependants: tuple[Dependant, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    seen: Past = field(default_factory=lambda: Past(0, False, 1))
    asked: list[frozenset[str]] = field(default_factory=list)
    owners: tuple[tuple[str, tuple[str, ...]], ...] = ()

    async def reach(self, repo: str, base: CommitId, head: CommitId, *, diff: Diff, rules: ComponentFile) -> Reach:
        return Reach({}, self.dependants, (), (), (), {}, self.unknown, self.owners)

    async def past(
        self, repo: str, base: CommitId, paths: Iterable[str], *, now_s: int, authors: Mapping[str, str]
    ) -> Past:
        self.asked.append(frozenset(paths))
        return self.seen


@dataclass
class FakeScanner:
    """A scanner that finds what a test tells it to find."""

    status: Standing = "complete"
    new: tuple[Hit, ...] = ()
    unread: tuple[str, ...] = ()
    seen: list[Sequence[tuple[str, str]]] = field(default_factory=list)

    async def scan(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]
    ) -> Scan:
        self.seen.append(changed)
        read = len(changed) - len(self.unread)
        return Scan(self.status, "fake 1", digest_of(b"rules"), len(changed), read, self.new, 0, self.unread)


class FakeLatches:
    def __init__(self) -> None:
        self.seen: list[Latch] = []
        self.unreadable: tuple[str, ...] = ()

    def board(self) -> LatchBoard:
        return LatchBoard(tuple(self.seen), self.unreadable)

    def kill(self, *, scope: str = "all", name: str = "", reason: str = "test", by: str = "alice") -> Latch:
        latch = Latch(f"kill-{len(self.seen):08d}", self.board().epoch + 1, scope, name, reason, by, 1)  # type: ignore[arg-type]
        self.seen.append(latch)
        return latch

    def lift(self, latch: Latch) -> None:
        self.seen = [replace(x, lifted=True) if x.id == latch.id else x for x in self.seen]


@dataclass
class FakeKillPath:
    """Armed, unless a test says why not."""

    fault: str = ""

    async def prove(self) -> None:
        if self.fault:
            raise UnavailableError("kill_path", self.fault)


class FakeFlags:
    def __init__(self, latches: Latches) -> None:
        self._latches = latches
        self.states: dict[str, FlagState] = {}
        self.writes: list[FlagState] = []
        self.claims: dict[str, str] = {}
        self.open: set[str] = set()
        """Changes that are not over; a test that needs one says so."""

    async def claim(self, flag: str, change: str) -> None:
        if not flag or "/" in flag or len(change) > 100:
            raise InputError("a flag or change that is no name", code="flag.invalid")
        self._must_be_free(flag, change)
        self.claims[flag] = change

    async def write(self, state: FlagState) -> None:
        _check_flag(state)
        self._must_be_free(state.flag, state.change)
        board, held = self._latches.board(), self.states.get(state.flag)
        where = {"component": state.component, "flag": state.flag}
        if board.killed(**where) or state.epoch < max(board.fence(**where), held.epoch if held else 0):
            raise FencedError("killed", code="fenced.kill")
        if held is not None and held.component != state.component:
            raise InputError("another component owns this flag", code="flag.claimed")
        self.states[state.flag] = state
        self.writes.append(state)

    def _must_be_free(self, flag: str, change: str) -> None:
        held = self.states.get(flag)
        if ({self.claims.get(flag), held.change if held else None} - {change}) & self.open:
            raise InputError("another open change has this flag", code="flag.taken")

    async def off(self, flag: str) -> None:
        if flag in self.states:
            self.states[flag] = replace(self.states[flag], enabled=False, lease_until=0)

    async def read(self, flag: str) -> FlagState | None:
        return self.states.get(flag)


def _check_flag(state: FlagState) -> None:
    numbers = (state.percent, state.lease_until, state.epoch)
    plain = bool(state.flag) and "/" not in state.flag and len(state.change) <= 100 and len(state.candidate) <= 100
    if any(type(n) is not int or n < 0 for n in numbers) or state.percent > 100 or not plain:
        raise InputError("a flag state out of bounds", code="flag.invalid")


class FakeForge:
    """One component's refs in memory, with the same compare-and-swap and fence as the real one."""

    def __init__(self) -> None:
        self.tip = self.known_good = self.previous = self.rollout = ""
        self.epoch = 0
        self.published: list[str] = []
        self.reverted: list[str] = []
        self.on_publish: Callable[[], None] = lambda: None

    async def refs(self, repo: str, component: str, branch: str) -> ReleaseRefs:
        return ReleaseRefs(self.tip, self.known_good, self.previous, self.rollout)

    def raise_epoch(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)

    def _fence(self, what: Publication) -> None:
        if what.epoch != self.epoch:
            raise FencedError("a kill came first", code="fenced.epoch")

    async def publish(self, what: Publication) -> CommitId:
        self.on_publish()
        named = f"{what.change} {what.tree} {what.base} {what.at}".encode()
        commit = CommitId(hashlib.sha1(named, usedforsecurity=False).hexdigest())
        if self.tip == commit:
            return commit
        self._fence(what)
        if self.rollout and self.tip == what.base:
            raise FencedError("another rollout is open", code="fenced.rollout_open")
        if self.tip not in ("", what.base):
            raise FencedError("moved", code="fenced.base_moved")
        self.known_good = self.known_good or what.base
        self.tip = self.rollout = commit
        self.published.append(commit)
        return commit

    async def promote(self, what: Publication, commit: CommitId) -> None:
        if self.known_good == commit:
            return
        self._fence(what)
        if self.rollout != commit:
            raise FencedError("the rollout is not open", code="fenced.rollout_open")
        self.previous, self.known_good, self.rollout = self.known_good, commit, ""

    async def revert(self, repo: str, component: str, branch: str, *, reason: str) -> CommitId | None:
        if self.tip == self.known_good or self.tip in self.reverted:
            return None
        self.tip = CommitId(hashlib.sha1(f"revert {self.tip}".encode(), usedforsecurity=False).hexdigest())
        self.rollout = ""
        self.reverted.append(self.tip)
        return CommitId(self.tip)

    async def retreat(self, repo: str, component: str, branch: str, *, killed: str, reason: str) -> CommitId | None:
        if not killed or self.known_good != killed or not self.previous or self.rollout not in ("", killed):
            return None
        self.tip = CommitId(hashlib.sha1(f"retreat {self.tip}".encode(), usedforsecurity=False).hexdigest())
        self.known_good, self.previous, self.rollout = self.previous, "", ""
        self.reverted.append(self.tip)
        return CommitId(self.tip)


class FakeKpis:
    """Traffic as a test describes it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.kept: list[KpiBatch] = []

    async def batches(self, change: str) -> tuple[KpiBatch, ...]:
        return tuple(b for b in self.kept if b.change == change)

    async def tally(self, plan: Plan, entries: tuple[StageEntry, ...], *, now_ms: int) -> Tally:
        return tally_of(plan.margins, entries, await self.batches(plan.change), now_ms, plan.values)


@dataclass
class FakeClients:
    """Who reads flags, as a test says it."""

    found: Roll = field(default_factory=lambda: Roll(0))
    fault: EvoguardError | None = None

    async def roll(self) -> Roll:
        if self.fault:
            raise self.fault
        return self.found


@dataclass
class FakeWaysBack:
    """Bundles in memory over the fake forge; `moved` is a branch that another hand moved."""

    forge: Any
    kept: dict[str, WayBack] = field(default_factory=dict)
    fault: EvoguardError | None = None
    moved: str = ""

    async def keep(self, what: Publication, commit: str, *, off: FlagState, digests: Mapping[str, str]) -> Digest:
        refs = await self.forge.refs(what.repo, what.component, what.branch)
        bundle = WayBack(what.change, what.repo, what.component, what.branch, commit, refs.known_good, "", "", "", off,
                         dict(digests))  # fmt: skip
        self.kept[bundle.digest] = bundle
        return bundle.digest

    async def prove(self, digest: str, *, change: str, commit: str) -> WayBack:
        if self.fault:
            raise self.fault
        if digest not in self.kept:
            raise NoWayBackError("none")
        if not self.kept[digest].is_of(change=change, commit=commit):
            raise IntegrityError("another release's", code="way_back.other")
        return self.kept[digest]

    async def take_back(self, digest: str, *, change: str, commit: str) -> str:
        found = await self.prove(digest, change=change, commit=commit)
        if self.moved:
            raise FencedError(self.moved, code=CONFLICT, fix="by hand")
        where = (found.repo, found.component, found.branch)
        refs = await self.forge.refs(*where)
        if refs.known_good == commit:
            return commit
        return await self.forge.revert(*where, reason="taken back") or refs.tip

    async def close(self, digest: str) -> None:
        self.kept.pop(digest, None)
