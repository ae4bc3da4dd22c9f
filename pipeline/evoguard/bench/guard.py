"""What the guard itself costs a change, from submission to the first stage, beside a bare LangGraph run.

Git and the sandbox are timed apart: git by wrapping the ports, the sandbox by a stand-in that answers at once (its
cost is its own bench). Waiting for people takes no time here. Baseline: the same number of steps in stock LangGraph
with its stock SQLite saver and no events, policies, signatures or effects.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import pstats
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypedDict

from evoguard import desk
from evoguard.adapters import keys
from evoguard.bench import Figure
from evoguard.domain.change import ActorKind
from evoguard.domain.clients import Roll
from evoguard.domain.evidence import Evidence, TestResult
from evoguard.ports import Ports
from evoguard.ports.forge import Blob
from evoguard.settings import Settings
from evoguard.wiring import flow
from evoguard.wiring.desk import KeyPen, parts, register
from evoguard.wiring.init import init
from evoguard.wiring.state import Opened, open_state

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

BAR_GUARD_MS, BAR_GIT_MS = 60.0, 200.0
STEPS = 9
PROFILE = "EVOGUARD_BENCH_PROFILE"
"""Names a file for a profile; a profiled run is slower."""
COMPONENT = """version = 1
[component.c{n}]
paths = ["c{n}/**"]
flag = "flag-{n}"
[component.c{n}.kpi.errors]
"""


class Stopwatch:
    """Adds up the time spent inside the ports that it wraps."""

    def __init__(self) -> None:
        self.ms = 0.0

    def around(self, inner: object) -> Any:  # noqa: ANN401  (a proxy of whatever port it is given)
        """Return `inner` with every coroutine method timed."""
        watch = self

        class Timed:
            def __getattr__(self, name: str) -> Any:  # noqa: ANN401
                found = getattr(inner, name)
                return watch.timed(found) if asyncio.iscoroutinefunction(found) else found

        return Timed()

    def timed(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return the call, timed."""

        async def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            began = time.perf_counter()
            try:
                return await call(*args, **kwargs)
            finally:
                self.ms += (time.perf_counter() - began) * 1000

        return wrapped


class GreenAtOnce:
    """Stands where the sandbox does, so that only the guard is measured."""

    def held_out(self, _repo: str) -> bool:
        """Have none."""
        return False

    async def close(self) -> None:
        """Have nothing to give back."""

    async def run(
        self, _repo: str, tree: str, _base: Mapping[str, Blob], _candidate: Mapping[str, Blob], _lock: str = ""
    ) -> Evidence:
        """Answer green without running anything; used in this bench only."""
        tests = tuple(TestResult(f"tests/test_a.py::test_{n}", "passed", 1) for n in range(20))
        return Evidence(tree, True, "gvisor", "recorded", 20, 20, 0, tests, ())


class Armed:
    """Stands for the flag server, which is not started here."""

    async def prove(self) -> None:
        """Return at once."""

    async def roll(self) -> Roll:
        """Know of nobody."""
        return Roll(0)


def measure(*, quick: bool = False) -> list[Figure]:
    """Carry changes and bare runs in turn; return medians a change."""
    return asyncio.run(_measure(8 if quick else 40))


async def _measure(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="evoguard-bench-") as made:
        folder = Path(made)
        opened, pens = _installation(folder)
        origin = _repository(folder, rounds)
        git, house = Stopwatch(), flow.ports(opened)
        timed = replace(house, sources=git.around(house.sources), forge=git.around(house.forge), sandbox=GreenAtOnce(),
                        kill_path=Armed(), clients=Armed())  # fmt: skip
        graph, guard_ms, git_ms, bare_ms = flow.app(opened), [], [], []
        bare = _bare_graph(folder)
        profile = cProfile.Profile()
        for n in range(rounds):
            git.ms = 0.0
            began = time.perf_counter()
            if os.environ.get(PROFILE):
                profile.enable()
            await _carry(opened, pens, origin, n, (graph, timed), git)
            profile.disable()
            whole = (time.perf_counter() - began) * 1000
            guard_ms.append(whole - git.ms)
            git_ms.append(git.ms)
            began = time.perf_counter()
            await bare(str(n))
            bare_ms.append((time.perf_counter() - began) * 1000)
        opened.close()
    _tell(profile)
    return [
        Figure("guard itself, a change", median(guard_ms), "ms", BAR_GUARD_MS, median(bare_ms),
               note="submission to first stage, without git, sandbox and waiting"),
        Figure("git, a change", median(git_ms), "ms", BAR_GIT_MS, note="fetch, diff, trees, publish, refs"),
    ]  # fmt: skip


async def _carry(
    opened: Opened, pens: dict[str, KeyPen], origin: Path, n: int, run: tuple[Any, Ports], git: Stopwatch
) -> None:
    """Submit, drive, approve, drive: until the first stage is open."""
    from evoguard.flow.runs import advance

    graph, house = run
    front = parts(opened)
    front = replace(front, mirror=git.around(front.mirror))
    done = await desk.submit(
        front, pens["coder"], source=origin, author="coder", intent=f"change {n}", base="main", head=f"head-{n}"
    )
    await advance(graph, house, done.change)
    digest = await desk.asked_digest(front, done.change)
    for name in ("alice", "bob"):  # a first release of an agent needs two people
        await desk.vote(front, pens[name], change=done.change, digest=digest, person=name, verdict="approve", reason="")
    await advance(graph, house, done.change)
    row = await opened.queries.change(done.change)
    if row is None or row.status != "rolling out":
        raise RuntimeError(
            f"the bench's change ended as {row.status if row else 'nothing'}: {row.detail if row else ''}"
        )


def _installation(folder: Path) -> tuple[Opened, dict[str, KeyPen]]:
    settings = Settings.load(folder / "state", {**os.environ, "EVOGUARD_STATE": ""})
    init(settings)
    opened, pens = open_state(settings), {}
    # whoever adds an agent approves none of its changes
    for name, sponsors in (("alice", ("",)), ("bob", ("alice",)), ("carol", ("alice", "bob")), ("coder", ("carol",))):
        public = keys.generate(folder / f"{name}.key")
        pens[name] = KeyPen(folder / f"{name}.key")
        for by in sponsors:
            kind: ActorKind = "agent" if name == "coder" else "person"
            register(opened, kind, name, public, by=by, pen=pens[by or name])
    return opened, pens


def _repository(folder: Path, rounds: int) -> Path:
    """Make a repository of 200 files with one component and one branch a round."""
    origin = folder / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    who = "B <b@bench.example> 1767225600 +0000"
    config = "version = 1\n" + "".join(COMPONENT.format(n=n).split("\n", 1)[1] for n in range(rounds))
    stream = [
        f"commit refs/heads/main\nmark :1\nauthor {who}\ncommitter {who}\ndata 4\nbase\n",
        _file(".evoguard.toml", config),
    ]
    stream += [_file(f"c{n}/part_{k}.py", f"VALUE = {k}\n") for n in range(rounds) for k in range(200 // rounds + 1)]
    stream += [
        f"\ncommit refs/heads/head-{n}\nauthor {who}\ncommitter {who}\ndata 6\nchange\nfrom :1\n"
        + _file(f"c{n}/part_0.py", f"VALUE = {1000 + n}\n")
        for n in range(rounds)
    ]
    subprocess.run(
        ["git", "--git-dir", str(origin), "fast-import", "--quiet"], input="".join(stream).encode(), check=True
    )
    return origin


def _file(path: str, text: str) -> str:
    return f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"


class _Bare(TypedDict, total=False):
    n: int


def _bare_graph(folder: Path) -> Callable[[str], Awaitable[object]]:
    """Return a run of as many empty steps in stock LangGraph over its stock saver."""
    from evoguard.wiring.flow import stock_graph

    con = sqlite3.connect(folder / "bare.db", check_same_thread=False)
    con.execute("pragma journal_mode=wal")
    con.execute("pragma synchronous=full")
    app = stock_graph(_Bare, STEPS, con)

    async def run(thread: str) -> object:
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        return await asyncio.to_thread(lambda: app.invoke({"n": 0}, config, durability="sync"))

    return run


def _tell(profile: cProfile.Profile) -> None:
    """Write where the time went, when asked to."""
    path = os.environ.get(PROFILE)
    if path:
        with Path(path).open("w", encoding="utf-8") as out:
            pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(40)
