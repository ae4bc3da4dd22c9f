"""The worker, wired. LangGraph's strict mode is set before it is imported, here and in flow only."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # read once, when LangGraph is imported

from langgraph.graph.state import CompiledStateGraph

from evoguard.adapters.advisories.store import OsvStore
from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.reach import GitImpact
from evoguard.adapters.git.sources import GitSources
from evoguard.adapters.held_out import HeldOut
from evoguard.adapters.kill_path import ServedKills
from evoguard.adapters.repository_rules import RepositoryBundles
from evoguard.adapters.sandbox import GvisorSandbox
from evoguard.adapters.sandbox_cache import VerdictCache, runner_key
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import roots
from evoguard.adapters.sqlite.authors import SqliteAuthors
from evoguard.adapters.sqlite.effects import SqliteEffects
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.adapters.sqlite.prior import SqlitePrior
from evoguard.adapters.sqlite.queries import SqliteLanes, SqliteWaker
from evoguard.adapters.sqlite.saver import FencedSqliteSaver
from evoguard.adapters.tool_cache import layer_dir, runsc_path, semgrep_dir
from evoguard.adapters.version_store import FileVersions
from evoguard.errors import ConfigError
from evoguard.flow.graph import App, build
from evoguard.flow.runs import Advance, advance
from evoguard.ports import Ports
from evoguard.ports.replay import Replay
from evoguard.ports.sandbox import Sandbox
from evoguard.ports.scanner import Scanner
from evoguard.settings import Settings
from evoguard.wiring import unleash
from evoguard.wiring.after_kill import served_clients
from evoguard.wiring.flags import token
from evoguard.wiring.kill import ways_back
from evoguard.wiring.rulebook import Rulebook, RulesNow, keep_to_decide_again
from evoguard.wiring.state import Opened, open_state
from evoguard.worker import Worker
from evoguard_sandbox import Engine

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Room(Sandbox, Replay, Protocol):
    """Where untrusted code runs, for tests and for requests."""


def ports(opened: Opened) -> Ports:
    """Return the assembled parts of the embedded mode. Raises: ConfigError when gVisor or a key is missing."""
    return _assembled(opened)[0]


def _assembled(opened: Opened) -> tuple[Ports, Rulebook]:
    box = sandbox(opened.settings)
    book = Rulebook(opened, box.execute, semgrep_dir())
    rules = RulesNow(book)
    return _house(opened, rules, box, rules), book


def dictated(opened: Opened, room: Room, scanner: Scanner) -> tuple[Ports, Rulebook]:
    """Return the same parts with another sandbox and scanner: for `evoguard exam`, which says what they saw."""
    from evoguard.errors import UnavailableError

    async def nothing_runs(*_: object) -> Any:  # noqa: ANN401  (never returns)
        raise UnavailableError("sandbox", "nothing runs here")

    book = Rulebook(opened, nothing_runs, Path())
    return _house(opened, RulesNow(book), room, scanner), book


def _house(opened: Opened, rules: RulesNow, box: Room, scanner: Scanner) -> Ports:
    settings = opened.settings
    sources = GitSources(settings.repos_dir)
    return Ports(
        artifacts=opened.artifacts,
        authors=SqliteAuthors(opened.con),
        prior=SqlitePrior(opened.con),
        clock=opened.clock,
        effects=SqliteEffects(opened.con, opened.clock),
        flags=unleash.flags(settings, SqliteFlags(opened.con, opened.latches), opened.latches),
        forge=GitForge(settings.repos_dir),
        sources=sources,
        impact=GitImpact(settings.repos_dir),
        inbox=opened.inbox,
        kill_path=unleash.kill_path(
            settings,
            ServedKills(settings.flags_url, partial(token, settings, "flags.read"), settings.kill_dir, opened.latches),
        ),
        kpis=SqliteKpis(opened.con),
        lanes=SqliteLanes(opened.con),
        latches=opened.latches,
        policies=rules,
        queries=opened.queries,
        sandbox=box,
        replay=box,
        scanner=scanner,
        signer=signer(settings),
        ways_back=ways_back(settings),
        pace=settings.pace,
        advisories=OsvStore(settings.advisories_dir),
        clients=served_clients(settings),
        versions=FileVersions(settings.versions_dir),
        verifier=verifier(opened),
        repository_rules=RepositoryBundles(sources, opened.queries, opened.artifacts, settings.state / "policy-cache"),
        held_out_a_day=settings.held_out_a_day,
    )


def sandbox(settings: Settings) -> GvisorSandbox:
    """Return the gVisor sandbox. Raises: ConfigError when runsc or the runner layer is missing."""
    return GvisorSandbox(
        settings.state,
        runsc=Path() if settings.docker_url else runsc_path(settings.runsc),
        layer=layer_dir(settings.layer),
        wall_s=float(settings.suite_wall_s),
        at_once=settings.sandboxes,
        warm=settings.warm_sandboxes,
        held_out=HeldOut(settings.held_out),
        engine=Engine(settings.docker_url, settings.docker_runtime) if settings.docker_url else None,
        cache=VerdictCache(settings.state / "verdicts", runner_key(settings.state / "keys")),
    )


def signer(settings: Settings) -> LocalSigner:
    """Return the service's signer. Raises: ConfigError."""
    try:
        public = settings.service_pub.read_bytes()
    except OSError as err:
        raise ConfigError(
            "the service's public key is missing", code="key.service_missing", fix="run `evoguard doctor`"
        ) from err
    return LocalSigner(settings.service_key, public)


def verifier(opened: Opened) -> str:
    """Return the id that this installation's attestations carry."""
    return opened.verifier() or "evoguard:unnamed"


def app(opened: Opened) -> App:
    """Return the graph over the fenced saver."""
    saver = FencedSqliteSaver(opened.con, opened.clock)
    saver.setup()
    return build(saver)


@contextmanager
def worker(settings: Settings) -> Iterator[Worker]:
    """Hold the worker's lock and yield the worker. Raises: ConfigError when another worker runs on this state."""
    opened = open_state(settings)
    lock = os.open(settings.state / "worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(lock)
        opened.close()
        raise ConfigError("another worker runs on this state", code="worker.running", fix="stop it first") from err
    try:
        graph, (house, book) = app(opened), _assembled(opened)
        keep_to_decide_again(opened, book.shipped.bundle)

        async def drive(change: str) -> Advance:
            rules = RulesNow(book)
            return await advance(graph, replace(house, policies=rules, scanner=rules), change)

        yield Worker(
            drive=drive,
            waker=SqliteWaker(opened.con),
            book=opened.registry,
            inbox=opened.inbox,
            latches=opened.latches,
            clock=opened.clock,
            sign_root=lambda: roots.sign_root(opened.con, house.signer, opened.clock, settings.state / roots.FILE),
            raise_epoch=GitForge(settings.repos_dir).raise_epoch_all,
            release=lambda: opened.registry.release(opened.latches.lifters),
            rules=book.version,
            rest=house.sandbox.close,
            settle=ways_back(settings).settle,
        )
    finally:
        opened.close()
        os.close(lock)


def stock_graph(schema: type, steps: int, con: sqlite3.Connection) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return a graph of empty steps over LangGraph's own SQLite saver: the baseline of `bench guard`."""
    return _stock(schema, steps, con, lambda _: lambda _: {"n": 1})


def stock_effects(con: sqlite3.Connection, thread: str, log: str) -> None:
    """Run (or resume) a stock graph whose steps append to a file: the baseline of `bench crash`."""
    import time

    def step(name: str) -> Any:  # noqa: ANN401  (LangGraph takes any callable)
        def work(_: Any) -> dict[str, int]:  # noqa: ANN401
            with open(log, "a", encoding="utf-8") as out:
                out.write(f"{thread} {name}\n")
            time.sleep(0.02)
            return {"n": 1}

        return work

    app = _stock(dict, 7, con, step)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    begun = app.get_state(config).created_at is not None
    app.invoke(None if begun else {"n": 0}, config, durability="sync")


def _stock(
    schema: type, steps: int, con: sqlite3.Connection, step: Callable[[str], Any]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return a chain of steps over LangGraph's own SQLite saver; `step` makes each node from its name."""
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(schema)
    names = [f"step_{n}" for n in range(steps)]
    for name in names:
        graph.add_node(name, step(name))
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    saver = SqliteSaver(con)
    saver.setup()
    return graph.compile(checkpointer=saver)
