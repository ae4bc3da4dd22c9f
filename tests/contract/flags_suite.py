"""What every backend of the Flags port promises, and a flag server that really listens."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from starlette.applications import Starlette
from UnleashClient import UnleashClient
from UnleashClient.utils import InstanceAllowType

from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.flags import SqliteFlags, SqliteFlagStore
from evoguard.adapters.unguarded_file import UnguardedFile
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import Latch, LatchBoard
from evoguard.errors import FencedError, InputError
from evoguard.flags.listening import serve
from evoguard.flags.server import Watched, build_app
from evoguard.ports.flags import Flags
from fakes import FakeFlags

DEADLINE_S = 20.0


class BoardInHand:
    """Latches as a test sets them."""

    def __init__(self) -> None:
        self.now = LatchBoard()

    def board(self) -> LatchBoard:
        return self.now

    def kill(self, *, scope: str = "all", name: str = "", lifted: bool = False) -> None:
        epoch = self.now.epoch + 1
        latch = Latch(f"k{epoch}", epoch, scope, name, "test", "ann", 0, lifted=lifted)  # type: ignore[arg-type]
        self.now = LatchBoard((*self.now.latches, latch))

    def lift_all(self) -> None:
        self.now = LatchBoard(tuple(replace(latch, lifted=True) for latch in self.now.latches))


class WallClock:
    def now_ms(self) -> int:
        return int(time.time() * 1000)

    def wall_ms(self) -> int:
        return self.now_ms()


def a_flag(**changes) -> FlagState:
    state = FlagState("lending", "scoring", "ch-000000000001", True, 10, "a" * 40, "b" * 40, 0, 0)
    return replace(state, **changes)


def opened(flags: Flags, change: str = "ch-000000000001") -> None:
    """Make a change known as one that is not over, each backend in its own way."""
    if isinstance(flags, FakeFlags):
        flags.open.add(change)
    else:
        values = (change, "published", "repo", "scoring", "lending", "coder", "", "", "", "", 0, "", 0, 0)
        flags._con.execute(f"insert into changes values({','.join('?' * len(values))})", values)


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "evoguard.db"
        connect(path, create=True).close()
        return path.read_bytes()


def a_database(folder: Path) -> Path:
    """Return a fresh database in the folder; the schema is built once a session, as every build waits for the disk."""
    path = folder / "evoguard.db"
    path.write_bytes(_template())
    return path


class FlagsSuite:
    """Subclass it with fixtures `latches` and `flags`."""

    @pytest.fixture
    def latches(self) -> BoardInHand:
        return BoardInHand()

    async def test_what_was_written_is_read(self, flags: Flags):
        assert await flags.read("lending") is None
        await flags.write(a_flag(lease_until=1_900_000_000))
        assert await flags.read("lending") == a_flag(lease_until=1_900_000_000)

    async def test_off_keeps_the_payload_and_drops_the_lease(self, flags: Flags):
        await flags.write(a_flag(lease_until=1_900_000_000))
        await flags.off("lending")
        assert await flags.read("lending") == a_flag(enabled=False)

    async def test_off_twice_or_of_an_unknown_flag_is_off(self, flags: Flags):
        await flags.write(a_flag())
        for name in ("lending", "lending", "nobody"):
            await flags.off(name)
        assert await flags.read("nobody") is None

    @pytest.mark.parametrize(("scope", "name"), [("all", ""), ("component", "scoring"), ("flag", "lending")])
    async def test_a_kill_refuses_every_write_and_never_an_off(
        self, flags: Flags, latches: BoardInHand, scope: str, name: str
    ):
        await flags.write(a_flag())
        latches.kill(scope=scope, name=name)
        for epoch in (0, 1, 9):
            with pytest.raises(FencedError):
                await flags.write(a_flag(percent=50, epoch=epoch))
        await flags.off("lending")
        assert await flags.read("lending") == a_flag(enabled=False)

    async def test_a_decision_older_than_a_lifted_kill_is_refused(self, flags: Flags, latches: BoardInHand):
        latches.kill(lifted=True)
        with pytest.raises(FencedError):
            await flags.write(a_flag(epoch=0))
        await flags.write(a_flag(epoch=1))

    async def test_a_decision_older_than_the_stored_one_is_refused(self, flags: Flags):
        await flags.write(a_flag(epoch=3))
        with pytest.raises(FencedError):
            await flags.write(a_flag(epoch=2, percent=100))

    async def test_a_kill_of_another_component_does_not_matter(self, flags: Flags, latches: BoardInHand):
        latches.kill(scope="component", name="billing")
        await flags.write(a_flag())

    async def test_an_unreadable_latch_refuses_every_write(self, flags: Flags, latches: BoardInHand):
        latches.now = LatchBoard(unreadable=("k1.json",))
        with pytest.raises(FencedError):
            await flags.write(a_flag(epoch=9))

    async def test_a_flag_of_another_component_cannot_be_claimed(self, flags: Flags):
        await flags.write(a_flag())
        with pytest.raises(InputError) as caught:
            await flags.write(a_flag(component="billing"))
        assert caught.value.code == "flag.claimed"

    async def test_a_claim_serves_nothing(self, flags: Flags):
        for _ in range(2):
            await flags.claim("lending", "ch-000000000001")
        assert await flags.read("lending") is None
        await flags.write(a_flag())
        assert await flags.read("lending") == a_flag()

    async def test_a_claim_leaves_what_is_served_as_it_is(self, flags: Flags, latches: BoardInHand):
        await flags.write(a_flag())
        latches.kill()
        for change in ("ch-000000000001", "ch-000000000002"):
            await flags.claim("lending", change)
            assert await flags.read("lending") == a_flag()

    @pytest.mark.parametrize("component", ["scoring", "billing"])
    @pytest.mark.parametrize("how", ["claimed", "served", "served before the claim of another"])
    async def test_what_an_open_change_has_nobody_else_gets(self, flags: Flags, component: str, how: str):
        if how == "claimed":
            await flags.claim("lending", "ch-000000000001")
        else:
            await flags.write(a_flag())
        if how.endswith("another"):
            await flags.claim("lending", "ch-000000000003")
        before = await flags.read("lending")
        opened(flags)
        for take in (
            flags.claim("lending", "ch-000000000002"),
            flags.write(a_flag(change="ch-000000000002", component=component)),
        ):
            with pytest.raises(InputError) as caught:
                await take
            assert caught.value.code == "flag.taken"
        assert await flags.read("lending") == before

    async def test_a_claim_that_is_over_keeps_nobody_out(self, flags: Flags):
        await flags.claim("lending", "ch-000000000001")
        await flags.claim("lending", "ch-000000000002")
        await flags.write(a_flag(change="ch-000000000002", component="billing"))

    @pytest.mark.parametrize(("flag", "change"), [("", "ch-1"), ("a/b", "ch-1"), ("lending", "x" * 200)])
    async def test_a_claim_of_no_name_is_refused(self, flags: Flags, flag: str, change: str):
        with pytest.raises(InputError):
            await flags.claim(flag, change)

    @pytest.mark.parametrize(
        "wrong",
        [{"percent": 101}, {"percent": -1}, {"percent": True}, {"percent": 10.0}, {"lease_until": 1.5}, {"flag": ""},
         {"flag": "a/b"}, {"change": "x" * 200}, {"candidate": "c" * 101}, {"epoch": -1}],
    )  # fmt: skip
    async def test_a_state_out_of_bounds_is_refused(self, flags: Flags, wrong):
        with pytest.raises(InputError):
            await flags.write(a_flag(**wrong))


@dataclass
class House:
    """A state folder with a database, two tokens, and latches in hand."""

    folder: Path
    latches: BoardInHand = field(default_factory=BoardInHand)
    read_token: str = ""
    write_token: str = ""
    self_token: str = ""
    frontend_token: str = ""
    place: str = ""
    """What the kill folder is called that it says it reads."""

    def __post_init__(self) -> None:
        with closing(connect(a_database(self.folder))) as con:
            con.execute("pragma synchronous=off")
            self.read_token = tokens.issue(con, "flags.read", "reader")
            self.write_token = tokens.issue(con, "kpi.write", "router", "edge")
            self.frontend_token = tokens.issue(con, "frontend.read", "page")
            self.self_token = tokens.issue(con, "kpi.write", "candidate", "self-reported")

    @property
    def database(self) -> Path:
        return self.folder / "evoguard.db"

    @property
    def bootstrap(self) -> Path:
        return self.folder / "flags.json"

    @property
    def unguarded(self) -> Path:
        return self.folder / "unguarded-flags.json"

    def store(self) -> SqliteFlagStore:
        return SqliteFlagStore(self.database, UnguardedFile(self.unguarded).newest)

    def app(self, **options):
        watched = Watched(lambda: id(self.latches.now), lambda: self.place)
        given = {"bootstrap": self.bootstrap, "watched": watched, "poll_s": 0.05, **options}
        return build_app(self.store(), self.latches, WallClock(), **given)

    async def write(self, **changes) -> FlagState:
        state = a_flag(**changes)
        with closing(connect(self.database)) as con:
            con.execute("pragma synchronous=off")
            await SqliteFlags(con, BoardInHand()).write(state)
        return state

    async def off(self, flag: str = "lending") -> None:
        with closing(connect(self.database)) as con:
            await SqliteFlags(con, BoardInHand()).off(flag)

    @asynccontextmanager
    async def client(self, **options) -> AsyncIterator[httpx.AsyncClient]:
        """Run the application in this event loop, without a socket."""
        app = self.app(**options)
        try:
            async with self._client_of(app) as client:
                yield client
        finally:
            del app
            gc.collect()  # the end of a process would close its connections

    @asynccontextmanager
    async def _client_of(self, app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False),
                base_url="http://flags",
                headers={"Authorization": self.read_token},
            ) as client,
        ):
            yield client

    @contextmanager
    def serving(self, **options) -> Iterator[str]:
        """Serve on a free port in a thread; leaving stops it as abruptly as a signal would."""
        port: list[int] = []
        loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

        async def run() -> None:
            task = asyncio.ensure_future(serve(self.app(**options), "127.0.0.1", 0, ready=port.append))
            loops.append((asyncio.get_running_loop(), task))
            with suppress(asyncio.CancelledError):
                await task

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        until(lambda: bool(port))
        try:
            yield f"http://127.0.0.1:{port[0]}"
        finally:
            loop, task = loops[0]
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            gc.collect()  # the end of a process would close its connections


@contextmanager
def an_sdk(url: str, house: House, *, cache: str = "cache", **options) -> Iterator[UnleashClient]:
    """Start a stock SDK that polls every second, unless `options` say otherwise."""
    client = UnleashClient(
        f"{url}/api", "lending", refresh_interval=1, metrics_interval=1, cache_directory=str(house.folder / cache),
        custom_headers={"Authorization": house.read_token}, request_retries=0,
        multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW, **options,
    )  # fmt: skip
    client.initialize_client()
    try:
        yield client
    finally:
        client.destroy()


def on(sdk: UnleashClient, user: str = "user-1") -> bool:
    """Tell whether a user meets the candidate."""
    return bool(sdk.is_enabled("lending", {"userId": user}))


def arrange(house: House, **changes) -> None:
    """Serve the flag so."""
    asyncio.run(house.write(**changes))


async def seen(client: httpx.AsyncClient, true: Callable[[dict], bool], name: str = "lending") -> dict:
    """Wait until a flag's document is as expected; return it."""
    for _ in range(1_000):
        answer = await client.get(f"/api/client/features/{name}")
        if answer.status_code == 200 and true(answer.json()):
            return answer.json()
        await asyncio.sleep(0.01)
    raise AssertionError("the flag was not served as expected in time")


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true; fail when it does not become so."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        if time.monotonic() > end:
            raise AssertionError("it did not become true in time")
        time.sleep(0.01)


LOCKER = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("pragma locking_mode=exclusive" if sys.argv[2] == "all" else "pragma busy_timeout=5000")
con.execute("begin exclusive")
con.execute("insert or replace into meta values('locker', '1')")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path, *, against: str = "writers") -> Iterator[None]:
    """Hold the database in another process; `all` also keeps readers out, and needs that nobody else has it open."""
    other = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(database), against], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin
    assert other.stdout
    try:
        assert other.stdout.readline() == b"locked\n"
        yield
    finally:
        other.stdin.close()
        other.stdout.close()
        other.wait()


def a_body(name: str = "b1", **changes) -> bytes:
    doc = {
        "id": name,
        "component": "scoring",
        "change": "ch-000000000001",
        "at": 1,
        "exposed": {"known_good": 90, "candidate": 10},
        "bad": [{"unit": "u1", "arm": "candidate", "kpi": "errors"}],
    }
    return json.dumps({**doc, **changes}).encode()
