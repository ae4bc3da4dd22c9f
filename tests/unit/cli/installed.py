"""A real state folder with people, an agent and changes whose streams are written by the test."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evoguard.adapters import keys
from evoguard.adapters.sqlite import db, event_log
from evoguard.cli import main
from evoguard.domain.approval import request
from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.domain.change import Author, CommitId, Proposal, TreeId, approval_digest
from evoguard.domain.component import Component
from evoguard.domain.events import Event
from evoguard.settings import Settings
from evoguard.wiring.desk import KeyPen, register
from evoguard.wiring.init import init
from evoguard.wiring.state import open_state

BASE, HEAD, TREE = CommitId("a" * 40), CommitId("b" * 40), TreeId("c" * 40)
BUNDLE = digest_of(b"rules")
CHANGE = "ch-0123456789ab"
COMPONENT = Component("scoring", ("lending/**",), "lending-scoring", "release/scoring", kpis={"errors": 200})
FINDING: dict[str, Json] = {"code": "tests.failed", "msg": "one is red", "path": "tests/test_a.py", "term": "test_a"}


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def doc(self) -> dict[str, object]:
        """Return stdout as its one JSON object."""
        return dict(json.loads(self.out))

    @property
    def error(self) -> dict[str, object]:
        """Return the JSON error."""
        return dict(json.loads(self.out)["error"])


@dataclass
class Installed:
    """One installation in a folder."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings.load(self.folder / "state", {"HOME": str(self.folder)})

    def key(self, name: str) -> str:
        """Return the path of a person's or agent's private key."""
        return str(self.folder / f"{name}.key")

    def run(self, *words: str) -> Answer:
        """Run one command on this state."""
        self.capsys.readouterr()
        code = main(["--state", str(self.settings.state), *words])
        said = self.capsys.readouterr()
        return Answer(code, said.out, said.err)

    def json(self, *words: str) -> Answer:
        """Run one command on this state with --json after the verb."""
        return self.run(*words, "--json")

    def append(self, *events: Event, change: str = CHANGE, now_ms: int = 1_800_000_000_000) -> None:
        """Append to a change's stream, as the saver does."""
        con = db.connect(self.settings.database)
        try:
            with db.transaction(con):
                event_log.append(con, f"change/{change}", events, now_ms=now_ms)
        finally:
            con.close()

    def put(self, doc: Json) -> str:
        """Store an artifact."""
        return self.put_raw(canonical(doc))

    def put_raw(self, raw: bytes) -> str:
        """Store an artifact of exact bytes."""
        opened = open_state(self.settings)
        try:
            return asyncio.run(opened.artifacts.put(raw))
        finally:
            opened.close()

    def inbox(self, change: str = CHANGE) -> list[str]:
        """Return the kinds of a change's unread messages."""
        opened = open_state(self.settings)
        try:
            return [message.kind for message in asyncio.run(opened.inbox.pending(change))]
        finally:
            opened.close()

    def submitted(self, change: str = CHANGE, intent: str = "a better rule") -> Proposal:
        """Write the first event of a change."""
        proposal = Proposal("lending", BASE, HEAD, TREE, intent, Author("coder", "agent"))
        self.append(Event("change.submitted", proposal.as_json(), actor="coder", reason=intent), change=change)
        return proposal

    def waiting(self, change: str = CHANGE, seats: int = 0) -> str:
        """Write a change's story up to the question to people; return the digest that is asked for."""
        proposal = self.submitted(change)
        evidence = self.put(an_evidence())
        decision = self.put({"question": {}, "bundle": BUNDLE, "decision": a_decision()})
        impact = self.put({"files": [a_file()], "totals": {"files": 1, "added": 3, "deleted": 1, "omitted": 0},
                           "component": COMPONENT.as_json()})  # fmt: skip
        digest = approval_digest(
            proposal=proposal, evidence=digest_of(canonical(an_evidence())), bundle=BUNDLE,
            component=digest_of(COMPONENT.as_json()),
            decision=digest_of(canonical({"question": {}, "bundle": BUNDLE, "decision": a_decision()})),
        )  # fmt: skip
        self.append(
            Event("change.mapped", {"component": "scoring", "flag": "lending-scoring", "files": 1, "impact": impact}),
            Event("candidate.checked", {"evidence": evidence, "passed": True, "run": 12, "failed": 0, "findings": []}),
            Event("change.judged", {"allow": True, "quorum": 2, "decision": decision, "bundle": BUNDLE, "deny": []}),
            request(digest, 2, (), seats),
            change=change,
        )
        return digest


def an_evidence() -> dict[str, Json]:
    """Return green evidence."""
    return {
        "tree": TREE, "passed": True, "isolation": "gvisor", "behaviour": "recorded", "assurance": "split",
        "verdict": "pass",
        "split": 9, "unproven": 2, "added": 1, "expected": 12, "run": 12, "failed": 0, "findings": [], "wall_ms": 900,
        "tests": [{"id": "tests/test_a.py::test_a", "outcome": "passed", "duration_ms": 1}],
        "record": ["exec /opt/python/bin/python3.11"], "runtime": "runsc",
    }  # fmt: skip


def a_decision() -> dict[str, Json]:
    """Return a yes of the policies."""
    return {"allow": True, "deny": [], "escalate": [], "quorum": 2, "notes": [], "rules_seen": ["approval"]}


def a_file() -> dict[str, Json]:
    """Return one touched file."""
    return {
        "path": "lending/scoring.py", "old_path": "", "status": "modified", "added": 3, "deleted": 1, "binary": False,
        "mode_old": "100644", "mode_new": "100644", "size": 120,
    }  # fmt: skip


def make(folder: Path) -> None:
    """Make the installation that every test gets a copy of: alice, bob, and the agents coder and rival."""
    settings = Settings.load(folder / "state", {"HOME": str(folder)})
    init(settings)
    public = {name: keys.generate(folder / f"{name}.key") for name in ("alice", "bob", "coder", "rival")}
    for name, pem in public.items():
        (folder / f"{name}.pub").write_bytes(pem)
    pen = KeyPen(folder / "alice.key")
    opened = open_state(settings)
    register(opened, "person", "alice", public["alice"])
    register(opened, "person", "bob", public["bob"], by="alice", pen=pen)
    register(opened, "agent", "coder", public["coder"], by="alice", pen=pen)
    register(opened, "agent", "rival", public["rival"], by="alice", pen=pen)
    opened.close()
