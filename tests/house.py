"""The whole guard over fakes, with the real graph, saver, inbox, effects and signatures on a real SQLite file."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner, new_nonce, sign_command
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.authors import SqliteAuthors
from evoguard.adapters.sqlite.effects import SqliteEffects
from evoguard.adapters.sqlite.inbox import SqliteInbox
from evoguard.adapters.sqlite.prior import SqlitePrior
from evoguard.adapters.sqlite.queries import SqliteLanes, SqliteQueries, SqliteWaker
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.adapters.sqlite.saver import FencedSqliteSaver
from evoguard.adapters.version_store import FileVersions
from evoguard.domain.canonical import Json, digest_of
from evoguard.domain.change import Author, CommitId, Proposal, TreeId, change_id
from evoguard.domain.events import Event
from evoguard.domain.identity import Command
from evoguard.domain.kpi import BadEvent, KpiBatch
from evoguard.errors import InputError
from evoguard.flow.graph import build
from evoguard.flow.runs import Advance, advance
from evoguard.ports import Pace, Ports
from fake_policies import FakePolicies
from fakes import (
    FakeArtifacts,
    FakeClients,
    FakeClock,
    FakeFlags,
    FakeForge,
    FakeImpact,
    FakeKillPath,
    FakeKpis,
    FakeLatches,
    FakeSandbox,
    FakeScanner,
    FakeSources,
    FakeWaysBack,
)

BASE, HEAD, TREE = "a" * 40, "b" * 40, "c" * 40
COMPONENT = b"""version = 1
[component.scoring]
paths = ["lending/scoring.py", "tests/test_scoring.py"]
flag = "lending-scoring"
[component.scoring.kpi.errors]
margin_percent = 200
"""


@dataclass
class House:
    """One installation in a folder; `again()` is the same installation after a crash."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    latches: FakeLatches = field(default_factory=FakeLatches)
    sources: FakeSources = field(default_factory=lambda: FakeSources(COMPONENT))
    impact: FakeImpact = field(default_factory=FakeImpact)
    sandbox: FakeSandbox = field(default_factory=FakeSandbox)
    scanner: FakeScanner = field(default_factory=FakeScanner)
    policies: FakePolicies = field(default_factory=FakePolicies)
    kill_path: FakeKillPath = field(default_factory=FakeKillPath)
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    forge: FakeForge = field(default_factory=FakeForge)
    pens: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ways_back = FakeWaysBack(self.forge)
        self.clients = FakeClients()
        self.forge.tip = self.forge.tip or BASE  # an earlier release; a first one needs two people
        self.forge.known_good = self.forge.known_good or BASE
        self.flags = FakeFlags(self.latches)
        self.kpis = FakeKpis(self.clock)
        fresh = not (self.folder / "evoguard.db").exists()
        if fresh:
            keys.generate(self.folder / "service.key")
        self.public = keys.public_pem(keys.load_private(self.folder / "service.key").public_key())
        self._open()
        if fresh:
            for name in ("alice", "bob"):
                self.add(name, "person")
            self.add("coder", "agent")

    def _open(self) -> None:
        self.con = db.connect(self.folder / "evoguard.db", create=True)
        self.queries = SqliteQueries(self.con)
        self.inbox = SqliteInbox(self.con, self.clock)
        self.effects = SqliteEffects(self.con, self.clock)
        self.registry = SqliteRegistry(self.con, self.clock)
        self.waker = SqliteWaker(self.con)
        saver = FencedSqliteSaver(self.con, self.clock)
        saver.setup()
        self.saver = saver
        self.app = build(saver)
        self.ports = Ports(
            authors=SqliteAuthors(self.con), prior=SqlitePrior(self.con), impact=self.impact,
            artifacts=self.artifacts, clock=self.clock, effects=self.effects, flags=self.flags, forge=self.forge,
            sources=self.sources, inbox=self.inbox, kill_path=self.kill_path, kpis=self.kpis,
            lanes=SqliteLanes(self.con), latches=self.latches,
            policies=self.policies, queries=self.queries, sandbox=self.sandbox, scanner=self.scanner,
            signer=LocalSigner(self.folder / "service.key", self.public), pace=Pace(dwell_s=1),
            verifier="evoguard:test", ways_back=self.ways_back, clients=self.clients,
            versions=FileVersions(self.folder / "versions"),
        )  # fmt: skip

    def close(self) -> None:
        self.con.close()

    def again(self) -> None:
        """Forget everything in memory, as a crash does."""
        self.con.close()
        self._open()

    def add(self, name: str, kind: str, **more: Json) -> None:
        keys.generate(self.folder / f"{name}.key")
        self.pens[name] = keys.load_private(self.folder / f"{name}.key")
        pem = keys.public_pem(self.pens[name].public_key()).decode()
        self.registry.append("registry", Event(f"{kind}.added", {"name": name, "public_pem": pem, **more}))

    def signed(self, purpose: str, subject: str, by: str, *, key: str = "", life_s: int = 3600, nonce: str = "") -> str:
        expires = self.clock.now_ms() // 1000 + life_s
        return sign_command(Command(purpose, subject, by, nonce or new_nonce(), expires), self.pens[key or by])

    async def submit(self, *, author: str = "coder", kind: str = "agent", head: str = HEAD, key: str = "") -> str:
        proposal = Proposal(
            "lending", CommitId(BASE), CommitId(head), TreeId(TREE), "a better rule", Author(author, kind)
        )  # type: ignore[arg-type]
        change = change_id("lending", BASE, head, author)
        envelope = self.signed("submit", digest_of(proposal.as_json()), author, key=key)
        body = json.dumps({"proposal": proposal.as_json(), "envelope": envelope})
        with suppress(InputError):  # the same head again is the same change, as at the front desk
            await self.inbox.put(change, "submit", body, key=f"submit/{change}")
        return change

    async def vote(
        self, change: str, by: str, *, verdict: str = "approve", digest: str = "", key: str = "", life_s: int = 3600
    ) -> None:
        envelope = self.signed(verdict, digest or await self.asked(change), by, key=key, life_s=life_s)
        body = json.dumps({"by": by, "envelope": envelope})
        await self.inbox.put(change, verdict, body, key=f"vote/{new_nonce()}")  # type: ignore[arg-type]

    async def asked(self, change: str) -> str:
        events = await self.queries.events(f"change/{change}")
        return str([e.event.body["digest"] for e in events if e.event.type == "approval.requested"][-1])

    async def drive(self, change: str) -> Advance:
        return await advance(self.app, self.ports, change)

    async def story(self, change: str) -> list[str]:
        return [e.event.type for e in await self.queries.events(f"change/{change}")]

    async def status(self, change: str) -> str:
        row = await self.queries.change(change)
        return row.status if row else "none"

    def traffic(
        self, change: str, *, units: int, percent: int, bad_candidate: int = 0, bad_known_good: int = 0
    ) -> None:
        """Post one batch that a router counted: so many new units, so many of them bad."""
        self.clock.wait(1)
        n = len(self.kpis.kept)
        candidate = units * percent // 100
        bad = [BadEvent(f"c{n}-{i}", "candidate", "errors") for i in range(bad_candidate)]
        bad += [BadEvent(f"k{n}-{i}", "known_good", "errors") for i in range(bad_known_good)]
        self.kpis.kept.append(
            KpiBatch(
                f"batch-{n}", change, "scoring", self.clock.now_ms(), units - candidate, candidate, tuple(bad), "edge"
            )
        )

    async def to_watch(self) -> str:
        """Carry a change to its first stage."""
        change = await self.submit()
        await self.drive(change)
        await self.vote(change, "alice")
        await self.drive(change)
        return change

    async def promote(self, change: str) -> Advance:
        """Send healthy traffic until the rollout ends."""
        done = Advance()
        for _ in range(60):
            state = self.flags.states["lending-scoring"]
            healthy = {
                "bad_candidate": state.percent * 500 // 2000,
                "bad_known_good": (100 - state.percent) * 500 // 2000,
            }
            self.traffic(change, units=500, percent=state.percent, **healthy)
            self.clock.wait(2)
            done = await self.drive(change)
            if done.outcome:
                return done
        return done


async def voted(house: House, change: str, *names: str, verdict: str = "approve") -> str:
    """Have these people or agents vote in turn; return where the change stands then."""
    for name in names:
        await house.vote(change, name, verdict=verdict)
        await house.drive(change)
    return await house.status(change)


async def lacking(house: House, change: str) -> list[str]:
    """Return the codes that a change was told it lacks while it waits."""
    events = await house.queries.events(f"change/{change}")
    told = [e.event.body["deny"] for e in events if e.event.type == "approval.incomplete"]
    return [finding["code"] for deny in told for finding in deny]
