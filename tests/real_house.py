"""A real installation in a folder: real git, gVisor, policies, keys and SQLite; the test writes the traffic."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evoguard import desk
from evoguard.adapters import keys
from evoguard.settings import Settings
from evoguard.wiring import flow
from evoguard.wiring.desk import KeyPen, parts, register
from evoguard.wiring.init import init
from evoguard.wiring.state import Opened, open_state

LENDING = Path(__file__).resolve().parents[1] / "examples" / "lending"
PACE = "[pace]\nlease_s = 20\ndwell_s = 0\ndisaster_exposures = 300\nsilent_s = 60\n"


@dataclass
class RealHouse:
    """What a test needs of a real installation."""

    folder: Path
    settings: Settings
    opened: Opened
    origin: Path
    pens: dict[str, KeyPen] = field(default_factory=dict)
    flags: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, folder: Path) -> RealHouse:
        """Initialise the guard and the lending service's history."""
        sys.path.insert(0, str(LENDING))
        from history import make_history

        settings = Settings.load(folder / "state", {"HOME": str(folder)})
        init(settings)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        (settings.state / "settings.toml").write_text(f"flags_port = {port}\n{PACE}")
        settings = Settings.load(folder / "state", {"HOME": str(folder)})
        make_history(folder / "lending.git")
        house = cls(folder, settings, open_state(settings), folder / "lending.git")
        house.serve_flags()
        house.person("alice")
        house.person("bob")
        house.person("carol")  # adds the agents: whoever does so approves none of their changes
        return house

    def serve_flags(self) -> None:
        """Start the flag server: no rollout begins without one. It ends with the house."""
        command = [sys.executable, "-m", "evoguard", "--state", str(self.settings.state), "flags", "serve"]
        self.flags = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.settings.flags_port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError("the flag server did not start")

    def person(self, name: str) -> None:
        """Register a person: the first alone, the second by the first, any other by both."""
        public = keys.generate(self.folder / f"{name}.key")
        self.pens[name] = KeyPen(self.folder / f"{name}.key")
        for by in {"alice": ("",), "bob": ("alice",)}.get(name, ("alice", "bob")):
            register(self.opened, "person", name, public, by=by, pen=self.pens[by or name])

    def agent(self, name: str) -> None:
        """Register an agent, sponsored by carol."""
        public = keys.generate(self.folder / f"{name}.key")
        self.pens[name] = KeyPen(self.folder / f"{name}.key")
        register(self.opened, "agent", name, public, by="carol", pen=self.pens["carol"])

    async def propose(self, name: str, base: str = "main") -> str:
        """Write one of the demo's proposals and submit it."""
        from proposals import ALL, propose

        proposal = ALL[name]
        if proposal.agent not in self.pens:
            self.agent(proposal.agent)
        source = self.repo if base != "main" else None
        await propose(self.origin, name, base=base, source=source)
        done = await desk.submit(
            parts(self.opened), self.pens[proposal.agent], source=self.origin, author=proposal.agent, base=base,
            head=proposal.branch, intent=proposal.intent,
        )  # fmt: skip
        return done.change

    @property
    def repo(self) -> Path:
        """Return the guard's own repository."""
        return next(self.settings.repos_dir.glob("*.git"))

    async def approve(self, change: str, person: str = "bob") -> None:
        """Approve what is asked."""
        house = parts(self.opened)
        digest = await desk.asked_digest(house, change)
        for name in sorted({person, "alice", "bob"}):  # a first release of an agent needs two
            await desk.vote(
                house, self.pens[name], change=change, digest=digest, person=name, verdict="approve", reason=""
            )

    async def roll_out(self, change: str) -> None:
        """Carry a change to its first stage, with a worker running."""
        await self.until(change, "waiting for approval")
        await self.approve(change)
        await self.until(change, "rolling out")

    async def status(self, change: str) -> str:
        """Return a change's status."""
        row = await self.opened.queries.change(change)
        return row.status if row else "submitted"

    async def story(self, change: str) -> list[str]:
        """Return the types of a change's events."""
        return [e.event.type for e in await self.opened.queries.events(f"change/{change}")]

    async def last(self, change: str) -> dict[str, object]:
        """Return the newest event's body and reason."""
        event = (await self.opened.queries.events(f"change/{change}"))[-1].event
        return {**event.body, "type": event.type, "reason": event.reason}

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Run the real worker beside the test."""
        with flow.worker(self.settings) as made:
            stop = asyncio.Event()
            task = asyncio.create_task(made.run(stop))
            try:
                yield
            finally:
                stop.set()
                await task

    async def until(self, change: str, *wanted: str, tries: int = 600) -> str:
        """Wait until a change has one of the wanted statuses."""
        for _ in range(tries):
            status = await self.status(change)
            if status in wanted:
                return status
            await asyncio.sleep(0.05)
        row = await self.opened.queries.change(change)
        raise AssertionError(f"{change} is {status}, not {wanted}: {row.detail if row else ''}")

    def post(self, change: str, number: int, *, units: int, percent: int, bad: tuple[int, int] = (0, 0)) -> None:
        """Store one batch as a router would have posted it; `bad` is (known-good, candidate)."""
        from evoguard.adapters.sqlite.kpis import SqliteKpis

        candidate = units * percent // 100
        now = self.opened.clock.now_ms()
        events = [{"unit": f"{change}-{number}-k{i}", "arm": "known_good", "kpi": "errors"} for i in range(bad[0])]
        events += [{"unit": f"{change}-{number}-c{i}", "arm": "candidate", "kpi": "errors"} for i in range(bad[1])]
        batch = {
            "id": f"{change}-{number}", "change": change, "component": "scoring", "at": now,
            "exposed": {"known_good": units - candidate, "candidate": candidate}, "bad": events,
        }  # fmt: skip
        SqliteKpis(self.opened.con).store(json.dumps(batch).encode(), "edge", now_ms=now)

    def close(self) -> None:
        """End the flag server and let go of the database."""
        if self.flags is not None:
            self.flags.terminate()
            self.flags.wait()
        self.opened.close()
