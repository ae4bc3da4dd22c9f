"""The main job on real input: six proposals of coding agents meet the guard, on real traffic.

Run it with `make demo` or `evoguard demo`. Everything lives in one folder of the tool cache; nothing else is touched.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from demo_parts import CommandError, Parts, cache
from demo_table import Row, show
from history import make_history
from proposals import PROPOSALS, propose

from evoguard.domain.events import StoredEvent
from evoguard.errors import EvoguardError
from evoguard.settings import Settings
from evoguard.wiring.state import Opened, open_state

RATE = int(os.environ.get("EVOGUARD_DEMO_RATE", "140"))
"""Requests a second on each of the two components; two cores carry about twice that."""
MOST_S = 480
"""About twice what it takes on two quiet processors, in seconds."""
PACE = "[pace]\nlease_s = 20\ndwell_s = 2\ndisaster_exposures = 300\n"
WAITS = 5
"""The exit status of a command that waits for a second person."""
EXPECTED = {
    "p1": "known-good", "p2": "reverted", "p3a": "refused", "p3b": "refused", "p4a": "refused", "p4b": "refused",
    "p5": "reverted", "p6": "killed",
}  # fmt: skip


@dataclass
class Demo:
    """One run: what was submitted, and what the table will say."""

    parts: Parts
    began: float = field(default_factory=time.monotonic)
    changes: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    opened: Opened | None = None
    notes: list[str] = field(default_factory=list)
    shown: dict[str, int] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Show progress on stderr."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)

    async def set_up(self) -> str:
        """Make installation, identities and the service's history; return the commit that everything starts from."""
        parts = self.parts
        parts.clean()
        await parts.evoguard("init")
        with (parts.state / "settings.toml").open("a") as settings:
            settings.write(f"flags_port = {parts.flags_port}\n{PACE}")
        keys = parts.folder / "keys"
        keys.mkdir(mode=0o700)
        for name in ("alice", "bob", "carol", *sorted({p.agent for p in PROPOSALS.values()})):
            await parts.evoguard("key", "new", str(keys / name))
        await parts.evoguard("person", "add", "alice", "--key", str(keys / "alice.pub"))
        alice, bob, carol = (("--as", who, "--sign-with", str(keys / who)) for who in ("alice", "bob", "carol"))
        await parts.evoguard("person", "add", "bob", "--key", str(keys / "bob.pub"), *alice)
        await parts.evoguard("person", "add", "carol", "--key", str(keys / "carol.pub"), *alice, ok=(WAITS,))
        await parts.evoguard("person", "add", "carol", "--key", str(keys / "carol.pub"), *bob)
        for agent in sorted({p.agent for p in PROPOSALS.values()}):  # who adds an agent approves none of its changes
            await parts.evoguard("agent", "add", agent, "--key", str(keys / f"{agent}.pub"), *carol)
        self.opened = open_state(Settings.load(parts.state))
        return make_history(parts.origin)

    async def submit(self, name: str, base: str) -> None:
        """Have the scripted coder write a proposal on `base`, and submit it signed with its agent's key."""
        proposal, parts = PROPOSALS[name], self.parts
        source = parts.guard_repo() if (parts.state / "repos").glob("*.git") and base != "main" else None
        await propose(parts.origin, name, base=base, source=source)
        answer = await parts.evoguard(
            "submit", "--repo", str(parts.origin), "--head", proposal.branch, "--base", base,
            "--intent", proposal.intent,
            "--as", proposal.agent, "--sign-with", str(parts.folder / "keys" / proposal.agent),
        )  # fmt: skip
        self.changes[name] = str(answer["change"])
        self.say(f"{name}: {proposal.agent} submits {self.changes[name]}: {proposal.intent}")

    def events(self, name: str) -> tuple[StoredEvent, ...]:
        """Return a proposal's story so far."""
        assert self.opened is not None
        from evoguard.adapters.sqlite import event_log

        return event_log.read(self.opened.con, f"change/{self.changes[name]}")

    async def status(self, name: str) -> tuple[str, str, int]:
        """Return (status, outcome, percent)."""
        assert self.opened is not None
        row = await self.opened.queries.change(self.changes[name])
        return (row.status, row.outcome, row.stage_percent) if row else ("submitted", "", 0)

    async def approve(self, name: str) -> None:
        """Wait until people are asked, then approve as bob; a refused proposal never gets here."""
        while True:
            status, outcome, _ = await self.status(name)
            if outcome or status not in ("submitted", "filed", "checked", "judged", "waiting for approval"):
                return
            if status == "waiting for approval":
                asked = [e.event.body["quorum"] for e in self.events(name) if e.event.type == "approval.requested"]
                for person in ("bob", "alice")[: int(str(asked[-1]))]:  # a component's first release needs two
                    key = str(self.parts.folder / "keys" / person)
                    await self.parts.evoguard(
                        "approve", self.changes[name], "--as", person, "--sign-with", key, "--yes"
                    )
                    self.say(f"{name}: {person} approves with a key of their own")
                return
            await asyncio.sleep(0.2)

    async def until(self, name: str, *, percent: int = 0) -> str:
        """Wait for a proposal's end, or until it has reached `percent`; show each step on the way."""
        while time.monotonic() - self.began < MOST_S:
            for item in self.events(name)[self.shown.get(name, 0) :]:
                self.shown[name] = self.shown.get(name, 0) + 1
                if item.event.type in SHOWN:
                    self.say(f"{name}: {item.event.type} {_brief(item)}")
            _, outcome, now = await self.status(name)
            if outcome or (percent and now >= percent):
                return outcome
            await asyncio.sleep(0.25)
        raise RuntimeError(f"{name} did not end within {MOST_S} s; read the logs in {self.parts.folder}")

    async def lane_scoring(self) -> None:
        """Proposal 1 to known-good, then 5, which hides its errors in its own counters."""
        await self.approve("p1")
        await self.until("p1")
        await self.submit("p5", _tip(self.parts, "release/scoring"))
        await self.approve("p5")
        await self.until("p5")

    async def lane_pricing(self) -> None:
        """Proposal 2, reverted by evidence, then 6, killed by a person in mid-rollout."""
        await self.approve("p2")
        await self.until("p2")
        await self.submit("p6", _tip(self.parts, "release/pricing"))
        await self.approve("p6")
        await self.until("p6", percent=10)
        await asyncio.sleep(1.5)  # let the router meet it
        await self.kill("lending-pricing")
        await self.until("p6")

    async def kill(self, flag: str) -> None:
        """A person kills; then prove that answers equal those of a service that never loaded the candidate."""
        from demo_checks import compare_answers

        key = self.parts.folder / "keys" / "alice"
        asked = time.monotonic()
        answer = await self.parts.evoguard(
            "kill", f"flag:{flag}", "--reason", "the phone rings", "--as", "alice", "--sign-with", str(key)
        )
        self.say(f"p6: alice kills {flag}: answered in {time.monotonic() - asked:.2f} s")
        self.rows["p6"].note = await compare_answers(self.parts, "pricing", "/price")
        kill_id = _kill_id(answer)
        lifted = await self._lift(kill_id)
        self.notes.append(lifted)

    async def _lift(self, kill_id: str) -> str:
        """One person is not enough; two are."""
        keys = self.parts.folder / "keys"
        for _ in range(100):  # the worker writes the kill down and reverts before it is lifted
            if (await self.status("p6"))[1]:
                break
            await asyncio.sleep(0.1)
        assert self.opened is not None
        still = []
        for name in ("alice", "bob"):
            await self.parts.evoguard("lift", kill_id, "--as", name, "--sign-with", str(keys / name), ok=(0, 5))
            still.append(self.opened.latches.board().killed(component="pricing", flag="lending-pricing"))
        return f"lift: after alice alone still killed: {still[0]}; after bob too: {still[1]}"

    async def run(self) -> int:
        """Run everything and print the table; 0 when every proposal ended as it must."""
        for name in PROPOSALS:
            self.rows[name] = Row(name)
        self.say("set-up: installation, identities, the service's history")
        first = await self.set_up()
        await self.submit("p1", "main")
        self.parts.serve()
        self.parts.route(first)
        await asyncio.gather(*(self.submit(n, "main") for n in ("p2",)))
        await self.parts.until_up()
        self.parts.traffic(RATE, MOST_S)
        self.say(f"service up: router, versions and {2 * RATE} requests/s of distinct users")
        for name in ("p3a", "p3b", "p4a", "p4b"):
            await self.submit(name, "main")
        await asyncio.gather(
            self.lane_scoring(), self.lane_pricing(), *(self.until(n) for n in ("p3a", "p3b", "p4a", "p4b"))
        )
        router = await self.parts.router_status()
        proofs = await self.prove()
        for name in PROPOSALS:
            self.rows[name].fill(PROPOSALS[name], self.changes[name], self.events(name), router)
        good = show(list(self.rows.values()), EXPECTED, [*self.notes, *proofs], time.monotonic() - self.began)
        return 0 if good else 1

    async def prove(self) -> list[str]:
        """Verify the first attestation and the whole log with the service's public key, as a stranger would."""
        public = str(self.parts.state / "keys" / "service.pub")
        verified = await self.parts.evoguard("verify", self.changes["p1"], "--key", public)
        await asyncio.sleep(1.2)  # the newest root is signed within a second
        audited = await self.parts.evoguard("audit", "verify", "--key", public)
        return [f"verify {self.changes['p1']}: {_words(verified)}", f"audit verify: {_words(audited)}"]


SHOWN = frozenset(
    {
        "candidate.checked", "change.refused", "release.published", "rollout.queued", "rollout.opened",
        "rollout.widened", "rollout.completed", "rollout.aborted", "release.reverted", "change.killed",
        "change.known_good", "change.reverted",
    }
)  # fmt: skip


def _brief(item: StoredEvent) -> str:
    body = item.event.body
    parts = [f"{k}={body[k]}" for k in ("percent", "run", "passed", "step", "code") if k in body]
    return f"{' '.join(parts)} {item.event.reason[:150]}".strip()


def _tip(parts: Parts, branch: str) -> str:
    import subprocess

    command = ["git", "--git-dir", str(parts.guard_repo()), "rev-parse", f"refs/heads/{branch}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _kill_id(answer: dict[str, Any]) -> str:
    found = json.dumps(answer)
    start = found.index("kill-")
    return found[start : start + 5 + 16]


def _words(answer: dict[str, Any]) -> str:
    wanted = ("verified", "result", "tree", "ok", "events", "streams", "roots", "unsigned_tail")
    return ", ".join(f"{k} {answer[k]}" for k in wanted if k in answer)


async def main() -> int:
    """Run the demo; end what it started whatever happens."""
    demo = Demo(Parts(cache() / "demo"))
    try:
        return await demo.run()
    except (CommandError, RuntimeError, EvoguardError) as err:
        print(f"demo: {err}", file=sys.stderr)
        return 1
    finally:
        if demo.opened is not None:
            demo.opened.close()
        demo.parts.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
