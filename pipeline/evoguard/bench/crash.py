"""kill -9 of worker, flag server and router at random moments of a real rollout; then a worker frozen across a kill.

Needs the checkout's `examples/lending`, gVisor and about two minutes. Baseline: a stock LangGraph run over its own
SQLite saver, killed in the same way, whose effects have no keys.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from evoguard.bench import Figure
from evoguard.errors import ConfigError

SEED = 7
KILLS, QUICK_KILLS = 20, 5
MOST_S = 300.0
ONCE = (
    "change.submitted", "candidate.checked", "change.approved", "change.attested", "release.published",
    "rollout.opened", "rollout.completed", "change.known_good",
)  # fmt: skip


def measure(*, quick: bool = False) -> list[Figure]:
    """Run the first proposal under fire, then freeze a worker across a kill; return what was lost or repeated."""
    lending = Path(__file__).resolve().parents[3] / "examples" / "lending"
    if not (lending / "demo.py").exists():
        raise ConfigError("this bench needs the checkout's examples/lending", code="bench.no_example",
                          fix="run it from a clone of the repository")  # fmt: skip
    sys.path.insert(0, str(lending))
    return asyncio.run(_measure(QUICK_KILLS if quick else KILLS))


async def _measure(kills: int) -> list[Figure]:
    from demo import Demo  # type: ignore[import-not-found]  # an example, found by path
    from demo_parts import Parts  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory(prefix="evoguard-crash-") as made:
        demo = Demo(Parts(Path(made) / "demo"))
        try:
            first = await demo.set_up()
            await demo.submit("p1", "main")
            demo.parts.serve()
            demo.parts.route(first)
            await demo.parts.until_up()
            demo.parts.traffic(140, int(MOST_S))
            done = await _under_fire(demo, first, kills)
            frozen = await _frozen(demo)
            return [*_figures(demo, done, kills), frozen]
        finally:
            if demo.opened is not None:
                demo.opened.close()
            demo.parts.stop()


async def _under_fire(demo: Any, first: str, kills: int) -> dict[str, int]:  # noqa: ANN401  (an example's class)
    """Kill one of the three at random moments until the change ends; the supervisor restarts, the router we restart."""
    dice, done = random.Random(SEED), {"worker": 0, "flags": 0, "router": 0}  # noqa: S311  (moments, not secrets)
    approver = asyncio.create_task(demo.approve("p1"))
    end = time.monotonic() + MOST_S
    while time.monotonic() < end:
        await asyncio.sleep(dice.uniform(0.3, 2.2))
        if (await demo.status("p1"))[1]:
            break
        if sum(done.values()) >= kills:
            continue
        victim = dice.choice(["worker", "worker", "flags", "router"])
        if _strike(demo, victim):
            done[victim] += 1
        if victim == "router":
            demo.parts.running["router"].wait()
            demo.parts.route(first)
    await approver
    return done


def _strike(demo: Any, victim: str) -> bool:  # noqa: ANN401
    """Kill -9 one process that the bench started, by its id; tell whether there was one."""
    pid = demo.parts.running["router"].pid if victim == "router" else child(demo.parts.running["serve"].pid, victim)
    if not pid:
        return False
    os.kill(pid, signal.SIGKILL)
    return True


def child(parent: int, verb: str) -> int:
    """Return the id of the supervisor's child that runs a verb, or 0 while there is none."""
    try:
        pids = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        for pid in pids:
            if verb.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return int(pid)
    except OSError:
        return 0
    return 0


async def _frozen(demo: Any) -> Figure:  # noqa: ANN401
    """Freeze the worker after people approved and before it publishes, kill, wake it: nothing may open."""
    await demo.submit("p6", "main")
    while (await demo.status("p6"))[0] != "waiting for approval":
        await asyncio.sleep(0.1)
    worker = child(demo.parts.running["serve"].pid, "worker")
    os.kill(worker, signal.SIGSTOP)
    keys = demo.parts.folder / "keys"
    for name in ("bob", "alice"):  # a first release of an agent needs two people
        await demo.parts.evoguard("approve", demo.changes["p6"], "--as", name, "--sign-with", str(keys / name), "--yes")
    await demo.parts.evoguard("kill", "component:pricing", "--reason", "bench", ok=(0, 1, 8))
    os.kill(worker, signal.SIGCONT)
    for _ in range(200):
        if (await demo.status("p6"))[1]:
            break
        await asyncio.sleep(0.1)
    outcome = (await demo.status("p6"))[1]
    opened = demo.opened.con.execute("select count(*) from flags where flag='lending-pricing' and enabled=1").fetchone()
    branch = _git(demo, "for-each-ref", "refs/heads/release/pricing")
    wrong = int(opened[0]) + bool(branch) + (outcome != "killed")
    return Figure("opened by a worker frozen before and woken after a kill", wrong, "effects", 0,
                  note=f"the change ended as {outcome or 'nothing'}")  # fmt: skip


def _figures(demo: Any, done: dict[str, int], kills: int) -> list[Figure]:  # noqa: ANN401
    story = [item.event.type for item in demo.events("p1")]
    repeated = sum(story.count(kind) - 1 for kind in ONCE if kind in story)
    commits = int(_git(demo, "rev-list", "--count", "refs/heads/release/scoring")) - int(
        _git(demo, "rev-list", "--count", "refs/evoguard/previous/scoring")
    )
    unfinished = demo.opened.con.execute("select count(*) from effects where done=0").fetchone()[0]
    struck = sum(done.values())
    said = ", ".join(f"{name} {n}" for name, n in done.items())
    return [
        Figure("kill -9 survived", struck, "kills", kills, higher_is_better=True, note=said),
        Figure("ended at known-good", int(story[-1] == "change.known_good"), "yes=1", 1, higher_is_better=True),
        Figure("events or effects lost", sum(kind not in story for kind in ONCE) + unfinished, "items", 0),
        Figure("events or effects repeated", repeated + abs(commits - 1), "items", 0, stock_repeats(min(kills, 10)),
               note="baseline: stock LangGraph, effects without keys, as many kills"),
    ]  # fmt: skip


def _git(demo: Any, *words: str) -> str:  # noqa: ANN401
    command = ["git", "--git-dir", str(demo.parts.guard_repo()), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


STOCK = """
import os, sys, sqlite3, time
from evoguard.wiring.flow import stock_effects
stock_effects(sqlite3.connect(sys.argv[1], check_same_thread=False), sys.argv[2], sys.argv[3])
"""


def stock_repeats(kills: int) -> float:
    """Return how many effects a stock LangGraph run repeats when it is killed once in the middle, over some runs."""
    dice, repeats = random.Random(SEED), 0  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="evoguard-stock-") as made:
        base, log = Path(made) / "stock.db", Path(made) / "effects.log"
        sqlite3.connect(base).close()
        for number in range(kills):
            command = [sys.executable, "-c", STOCK, str(base), str(number), str(log)]
            first = subprocess.Popen(command)
            while not (log.exists() and f"{number} " in log.read_text()) and first.poll() is None:
                time.sleep(0.005)
            time.sleep(dice.uniform(0, 0.2))
            first.kill()
            first.wait()
            subprocess.run(command, check=True)
        lines = log.read_text().splitlines()
        repeats = len(lines) - len(set(lines))
    return float(repeats)
