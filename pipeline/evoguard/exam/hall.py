"""Where the attacks are made: a real installation in a folder of its own, never the one that people use.

Real are SQLite, git, signatures, latch files and the compiled rules. What the sandbox and the scanner say is dictated,
for here it is what the attacker brought about; that they say the truth is what `evoguard bench forgeries` examines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evoguard import desk
from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner, new_nonce, sign_command
from evoguard.adapters.sqlite import event_log
from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.canonical import Json, as_digest
from evoguard.domain.change import ActorKind, Author, CommitId, Proposal, TreeId, change_id
from evoguard.domain.events import Event, StoredEvent
from evoguard.domain.identity import Command
from evoguard.exam.seat import Driver, Told
from evoguard.flow.intake import proposal_subject
from evoguard.settings import Settings
from evoguard.wiring.desk import KeyPen, parts, register
from evoguard.wiring.init import init
from evoguard.wiring.kill import run_kill, run_lift
from evoguard.wiring.state import Opened, open_state

PEOPLE = ("alice", "bob", "carol")
COMPONENT = """version = 1
[component.scoring]
paths = ["**"]
flag = "scoring"
{component}
[component.scoring.kpi.errors]
margin_percent = 200
[policy]
{policy}
"""
LINK = b"-> "
FILES = {"scoring.py": "STEP = 3\n", "notes.txt": "notes\n"}
BETTER = {"scoring.py": "STEP = 4\n"}
WHO = "Exam <exam@exam.invalid> 1767225600 +0000"
_ENV = {"PATH": os.defpath, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of an attack, and the code or words of whoever stopped it."""

    through: bool
    said: str


@dataclass
class Hall:
    """One installation with alice, bob and carol, and the agents coder and robot; it is used for one attack."""

    folder: Path
    opened: Opened = field(init=False)
    room: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.settings = Settings.load(self.folder / "state", {"HOME": str(self.folder)})
        if not self.settings.database.exists():
            init(self.settings)
            self._register()
        self.opened = open_state(self.settings)
        self.driver = Driver(self.opened, self.room)

    def _register(self) -> None:
        opened = open_state(self.settings)
        sponsors = {"bob": ("alice",), "carol": ("alice", "bob"), "coder": ("carol",), "robot": ("carol",)}
        for name in (*PEOPLE, "coder", "robot", "mallory"):
            public = keys.generate(self.folder / f"{name}.key")
            if name == "alice":
                register(opened, "person", name, public)
            for by in sponsors.get(name, ()):
                register(opened, "person" if name in PEOPLE else "agent", name, public, by=by, pen=self.pen(by))
        opened.close()

    def close(self) -> None:
        """Let go of the database."""
        self.opened.close()

    def pen(self, name: str) -> KeyPen:
        """Return somebody's key; mallory has one too and is not registered."""
        return KeyPen(self.folder / f"{name}.key")

    @property
    def desk(self) -> desk.Parts:
        """Return the front desk."""
        return parts(self.opened)

    @property
    def signer(self) -> LocalSigner:
        """Return the service's signer."""
        return LocalSigner(self.settings.service_key, self.settings.service_pub.read_bytes())

    @property
    def now_s(self) -> int:
        """Return the time of the log."""
        return self.opened.clock.now_ms() // 1000

    def origin(
        self,
        head: Mapping[str, str] = BETTER,
        *,
        component: str = "",
        policy: str = "",
        config: str = "",
        mode: str = "",
        beside: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Make a submitter's repository: `main` with `beside` on it as well, and `topic` with the files of `head`."""
        where = self.folder / f"origin-{len(list(self.folder.glob('origin-*')))}"
        text = config or COMPONENT.format(component=component, policy=policy)
        base = {".evoguard.toml": text.encode(), **_bytes(FILES), **(beside or {})}
        script = b"".join(
            f"commit refs/heads/{branch}\nmark :{n}\nauthor {WHO}\ncommitter {WHO}\ndata 4\nwork\n{start}".encode()
            + b"".join(_file(path, raw, mode if n == 2 and mode else "100644") for path, raw in files.items()) + b"\n"
            for n, (branch, start, files) in enumerate(
                (("main", "", base), ("topic", "from :1\n", _bytes(head))), start=1
            )
        )  # fmt: skip
        git("init", "-q", "--bare", "-b", "main", str(where))
        git("--git-dir", str(where), "fast-import", "--quiet", stdin=script)
        return where

    async def submit(  # noqa: PLR0913  (an attack names what it changes)
        self,
        head: Mapping[str, str] = BETTER,
        *,
        author: str = "coder",
        origin: Path | None = None,
        component: str = "",
        policy: str = "",
        config: str = "",
        mode: str = "",
    ) -> str:
        """Submit a change at the front desk and return its id."""
        source = origin or self.origin(head, component=component, policy=policy, config=config, mode=mode)
        done = await desk.submit(
            self.desk, self.pen(author), source=source, author=author, base="main", head="topic", intent="a better rate"
        )
        return done.change

    async def smuggled(
        self, *, author: str = "coder", kind: ActorKind = "agent", key: str = "", life_s: int = 3600, other: str = ""
    ) -> str:
        """File a submission past the front desk, as whoever can write the inbox does."""
        brought = await self.desk.mirror.fetch(self.origin(), head="topic", base="main")
        proposal = Proposal(
            brought.repo, CommitId(brought.base), CommitId(brought.head), TreeId(brought.tree), "a better rate",
            Author(author, kind),
        )  # fmt: skip
        change = change_id(proposal.repo, proposal.base, proposal.head, author)
        await self.desk.mirror.pin(proposal.repo, change, proposal.base, proposal.head)
        envelope = self.signed("submit", other or proposal_subject(proposal), author, key=key, life_s=life_s)
        body = json.dumps({"proposal": proposal.as_json(), "envelope": envelope})
        await self.opened.inbox.put(change, "submit", body, key=f"submit/{change}")
        return change

    def signed(self, purpose: str, subject: str, by: str, *, key: str = "", life_s: int = 3600) -> str:
        """Return somebody's signed command."""
        command = Command(purpose, subject, by, new_nonce(), self.now_s + life_s)
        return sign_command(command, keys.load_private(self.folder / f"{key or by}.key"))

    async def drive(self, change: str) -> None:
        """Have the worker's flow go as far as it can; what a port refuses is kept as the reason."""
        await self.driver.drive(change)

    async def vote(self, change: str, *names: str, digest: str = "", life_s: int = 3600, key: str = "") -> None:
        """File votes past the front desk."""
        for name in names:
            envelope = self.signed("approve", digest or await self.asked(change), name, key=key, life_s=life_s)
            body = json.dumps({"by": name, "envelope": envelope})
            await self.opened.inbox.put(change, "approve", body, key=f"vote/{new_nonce()}")

    async def asked(self, change: str) -> str:
        """Return the digest that people were asked about last, or an empty text."""
        asked = [e.event.body["digest"] for e in await self.events(change) if e.event.type == "approval.requested"]
        return str(asked[-1]) if asked else ""

    async def events(self, change: str) -> tuple[StoredEvent, ...]:
        """Return a change's stream."""
        return await self.opened.queries.events(f"change/{change}")

    async def carried(self, change: str, *people: str) -> Seen:
        """Drive, vote and drive: as far as the change gets with these people's votes."""
        await self.drive(change)
        if await self.asked(change):
            await self.vote(change, *(people or PEOPLE))
            await self.drive(change)
        return await self.outcome(change)

    async def outcome(self, change: str) -> Seen:
        """Return whether the change was published, else who stopped it."""
        events = [item.event for item in await self.events(change)]
        types = [event.type for event in events]
        if "release.published" in types:
            return Seen(True, "published")
        if self.driver.refused:
            return Seen(False, self.driver.refused)
        for event in reversed(events):
            found = event.body.get("findings")
            if event.type == "change.refused" and isinstance(found, list):
                codes = sorted({str(f["code"]) for f in found if isinstance(f, Mapping)})
                return Seen(False, ", ".join(codes) or f"refused at {event.body['step']}")
            lacking = event.body.get("deny")
            if event.type == "approval.incomplete" and isinstance(lacking, list):
                codes = sorted({str(f["code"]) for f in lacking if isinstance(f, Mapping)})
                return Seen(False, f"{', '.join(codes)}: waits after {types[-1]}")
            if event.type in ("approval.ignored", "change.killed"):
                return Seen(False, f"{event.type}: {event.reason}")
        return Seen(False, f"waits after {types[-1] if types else 'nothing'}")

    async def record(self, change: str, event: str = "change.judged") -> dict[str, Json]:
        """Return what was stored of a decision: question, answer, rules."""
        digest = next(e.event.body["decision"] for e in await self.events(change) if e.event.type == event)
        found: dict[str, Json] = json.loads(await self.opened.artifacts.get(as_digest(str(digest))))
        return found

    async def kill(self, scope: str = "component", name: str = "scoring") -> str:
        """Kill as `evoguard kill` does and return the kill's id; there is no flag server, so nothing acknowledges."""
        report = await run_kill(self.settings, scope=scope, name=name, reason="exam", by="alice")  # type: ignore[arg-type]
        return report.latch.id

    async def lift(self, kill: str, *names: str) -> None:
        """Lift as `evoguard lift` does."""
        for name in names:
            await run_lift(self.settings, kill_id=kill, person=name, key=self.folder / f"{name}.key")

    def append(self, stream: str, *events: Event, ahead_s: int = 0) -> None:
        """Write into the log past every check; `ahead_s` moves the log's clock, which never goes back."""
        with transaction(self.opened.con) as con:
            event_log.append(con, stream, events, now_ms=self.opened.clock.now_ms() + ahead_s * 1000)

    def later(self, seconds: int) -> None:
        """Let time go by."""
        self.append("registry", Event("registry.initialised"), ahead_s=seconds)


def git(*args: str, stdin: bytes = b"") -> str:
    """Run git in a repository of the exam's own and return what it prints."""
    done = subprocess.run(["git", *args], input=stdin, env=_ENV, check=True, capture_output=True)
    return done.stdout.decode().strip()


def copied(template: Path, folder: Path) -> Hall:
    """Return a hall of its own for one attack."""
    shutil.copytree(template, folder, symlinks=True)
    return Hall(folder)


def _bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def _file(path: str, raw: bytes, mode: str) -> bytes:
    """Return one file of a commit; what begins with LINK is a symbolic link."""
    if raw.startswith(LINK):
        raw, mode = raw.removeprefix(LINK), "120000"
    return b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), path.encode(), len(raw), raw)
