"""Streams of the flag server: stock SDKs, kills, lost connections, and who may listen."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

import httpx
import pytest

from contract.flags_suite import House, WallClock, an_sdk, arrange, locked, on, until
from evoguard.adapters import latch_files
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.flags import SqliteFlagStore
from evoguard.domain.latch import Latch
from evoguard.flags import document, feed, listening, server
from evoguard.flags.boards import Boards


class Read:
    """The latches of a house, as a feed reads them."""

    def __init__(self, house):
        self._latches = house.latches

    async def now(self):
        return self._latches.now


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


STREAMING = {"experimental_mode": {"type": "streaming"}}


class Listener:
    """One stream, read event by event."""

    def __init__(self, lines) -> None:
        self.lines = lines
        self.last = ""

    async def next(self) -> tuple[str, list[dict]]:
        """Return the kind and the events of the next message; comments are passed over."""
        kind, data = "", ""
        async with asyncio.timeout(20):
            async for line in self.lines:
                name, _, rest = line.partition(": ")
                if name == "id":
                    self.last = rest
                elif name == "event":
                    kind = rest
                elif name == "data":
                    data = rest
                elif not line and data:
                    return kind, json.loads(data)["events"]
        raise AssertionError("the stream ended")


async def listened(client: httpx.AsyncClient, url: str, token: str, last: str = ""):
    headers = {"Authorization": token, **({"Last-Event-ID": last} if last else {})}
    request = client.build_request("GET", f"{url}/api/client/streaming", headers=headers)
    answer = await client.send(request, stream=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer, Listener(answer.aiter_lines())


def features(events: list[dict]) -> dict[str, bool]:
    """Return which features a list of events leaves on."""
    found: dict[str, bool] = {}
    for event in events:
        if event["type"] == "hydration":
            found = {f["name"]: f["enabled"] for f in event["features"]}
        elif event["type"] == "feature-updated":
            found[event["feature"]["name"]] = event["feature"]["enabled"]
        else:
            found.pop(event["featureName"])
    return found


def test_a_stock_sdk_streams_and_a_kill_a_lift_and_a_new_stage_reach_it(house):
    arrange(house, percent=100)
    with house.serving() as url, an_sdk(url, house, **STREAMING) as sdk:
        until(lambda: on(sdk))
        house.latches.kill(scope="flag", name="lending")
        until(lambda: not on(sdk))
        house.latches.lift_all()
        arrange(house, percent=100, epoch=1)
        until(lambda: on(sdk))
        arrange(house, percent=0, epoch=1)
        until(lambda: not on(sdk))


def test_a_kill_reaches_a_stream_while_the_database_is_locked(house):
    arrange(house, percent=100)
    with house.serving() as url, an_sdk(url, house, **STREAMING) as sdk:
        until(lambda: on(sdk))
        with locked(house.database):
            house.latches.kill()
            until(lambda: not on(sdk))


def test_a_latch_file_that_appears_is_seen_by_its_mark_long_before_the_next_look(house, tmp_path):
    """The look every now and then is set to an hour: only the mark can tell."""
    folder = tmp_path / "kill"
    latch_files.prepare(folder)
    latches = FileLatches(folder, lambda _: None)

    async def follow() -> None:
        await house.write(percent=100)
        store = SqliteFlagStore(house.database)
        app = server.build_app(store, latches, WallClock(), bootstrap=house.bootstrap, poll_s=3_600,
                               watched=server.Watched(latches.mark, str))  # fmt: skip
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(listening.serve(app, "127.0.0.1", 0, ready=ready.set_result))
        url = f"http://127.0.0.1:{await ready}"
        async with httpx.AsyncClient() as client:
            answer, stream = await listened(client, url, house.read_token)
            assert features((await stream.next())[1]) == {"lending": True}
            asked = Latch("", 0, "all", "", "test", "ann", int(time.time()))
            await asyncio.to_thread(latch_files.write_latch, folder, asked)
            kind, events = await stream.next()
            assert (kind, features(events)) == ("unleash-updated", {"lending": False})
            await answer.aclose()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    asyncio.run(follow())


async def with_a_client(house: House, use) -> None:
    with house.serving() as url:
        async with httpx.AsyncClient() as client:
            await use(client, url)


async def test_who_comes_back_gets_what_it_missed_and_who_comes_from_elsewhere_gets_everything(house):
    await house.write(percent=100)

    async def use(client: httpx.AsyncClient, url: str) -> None:
        answer, stream = await listened(client, url, house.read_token)
        assert (await stream.next())[0] == "unleash-connected"
        await answer.aclose()
        house.latches.kill()
        again, missed = await listened(client, url, house.read_token, stream.last)
        kind, events = await missed.next()
        assert (kind, features(events)) == ("unleash-updated", {"lending": False})
        await again.aclose()
        for foreign in ("0123456789ab.7", "7", "x" * 5_000, missed.last.partition(".")[0] + ".99999999999999999999999"):
            other, whole = await listened(client, url, house.read_token, foreign)
            kind, events = await whole.next()
            assert (kind, features(events)) == ("unleash-connected", {"lending": False})
            await other.aclose()

    await with_a_client(house, use)


async def test_who_is_far_behind_gets_everything_anew(house, monkeypatch):
    await house.write(percent=100)
    store = SqliteFlagStore(house.database)

    flags = store.rows()[1]
    shown = feed.Feed(Read(house), lambda board: document.served(flags, board), mark=int, every_s=1)
    await shown.look()
    first = shown.number
    for n in range(feed.KEPT + 1):
        flags = tuple(state.__class__(**{**state.as_json(), "percent": n}) for state in flags)
        await shown.look()
    assert shown.since(first).count(b"event: unleash-connected") == 1
    assert shown.since(first + 1).count(b"event: unleash-updated") == feed.KEPT
    assert shown.since(shown.number) == b""
    assert shown.since(shown.number + 1).count(b"event: unleash-connected") == 1


async def test_a_flag_that_is_served_no_longer_is_taken_away(house):
    await house.write(percent=100)
    flags = SqliteFlagStore(house.database).rows()[1]
    shown = feed.Feed(Read(house), lambda board: document.served(flags, board), mark=int, every_s=1)
    await shown.look()
    at, flags = shown.number, ()
    await shown.look()
    assert b'"feature-removed"' in shown.since(at)
    assert shown.number == at + 1


@pytest.mark.parametrize(("token", "status"), [("", 401), ("nonsense", 401), ("write", 403)])
async def test_a_stream_wants_a_token_that_may_read(house, token, status):
    given = house.write_token if token == "write" else token
    async with house.client() as client:
        answer = await client.get("/api/client/streaming", headers={"Authorization": given} if given else
                                  {"Authorization": ""})  # fmt: skip
    assert answer.status_code == status


async def test_a_stream_ends_when_its_token_is_no_longer_valid(house, monkeypatch):
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.05)
    await house.write(percent=100)

    async def use(client: httpx.AsyncClient, url: str) -> None:
        answer, stream = await listened(client, url, house.read_token)
        await stream.next()
        con = connect(house.database)
        con.execute("delete from tokens where kind='flags.read'")
        con.commit()
        con.close()
        async with asyncio.timeout(20):
            async for line in stream.lines:
                assert "unleash-updated" not in line
        await answer.aclose()

    await with_a_client(house, use)


async def test_no_more_streams_than_are_allowed_and_one_that_leaves_makes_room(house, monkeypatch):
    monkeypatch.setattr(server, "MAX_STREAMS", 1)
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.05)
    await house.write(percent=100)

    async def use(client: httpx.AsyncClient, url: str) -> None:
        answer, stream = await listened(client, url, house.read_token)
        await stream.next()
        full = await client.get(f"{url}/api/client/streaming", headers={"Authorization": house.read_token})
        assert (full.status_code, full.json()["code"]) == (503, "flags.streams_full")
        polled = await client.get(f"{url}/api/client/features", headers={"Authorization": house.read_token})
        assert polled.status_code == 200
        await answer.aclose()
        async with asyncio.timeout(20):
            while True:
                with suppress(AssertionError):
                    other, again = await listened(client, url, house.read_token)
                    break
                await asyncio.sleep(0.02)
        assert (await again.next())[0] == "unleash-connected"
        await other.aclose()

    await with_a_client(house, use)


async def test_who_does_not_know_its_rows_yet_opens_no_stream_but_a_kill_does(house):
    with locked(house.database, against="all"):
        async with house.client() as client:
            client.headers["Authorization"] = house.read_token
            answer = await client.get("/api/client/streaming")
            assert answer.status_code == 503


async def test_polling_clients_are_told_that_there_are_streams(house):
    await house.write(percent=100)
    async with house.client() as client:
        answer = await client.get("/api/client/features")
        same = await client.get("/api/client/features", headers={"If-None-Match": answer.headers["etag"]})
    assert (answer.headers["fetch-mode"], same.headers["fetch-mode"]) == ("streaming", "streaming")
    assert same.status_code == 304


async def test_a_server_that_ends_ends_its_streams_at_once(house):
    await house.write(percent=100)
    async with httpx.AsyncClient() as client:
        with house.serving() as url:
            answer, stream = await listened(client, url, house.read_token)
            await stream.next()
        rest = [line async for line in stream.lines]  # the connection was closed in order: this does not raise
        assert "event: unleash-updated" not in rest
        await answer.aclose()


def test_a_message_carries_no_number_that_sdks_drop(house):
    """Their engine reads 32 bits; a message with more is dropped without an error, a kill as well."""
    assert (
        feed.Feed(Boards(house.latches), lambda board: document.served((), board), mark=int, every_s=1).number < 1 << 31
    )


def test_streams_that_open_together_share_one_reading_of_the_latches(house):
    reads = []

    class Slow:
        def board(self):
            reads.append(1)
            time.sleep(0.02)
            return house.latches.now

    async def follow() -> None:
        await house.write(percent=100)
        boards = Boards(Slow())
        states = SqliteFlagStore(house.database).rows()[1]

        def shown_now(board):
            return document.served(states, board)

        shown = feed.Feed(boards, shown_now, mark=int, every_s=1)
        await asyncio.gather(*(shown.look() for _ in range(200)))
        boards.close()

    asyncio.run(follow())
    assert 1 <= len(reads) <= 2


async def test_streams_share_the_bytes_that_they_send(house):
    """Whoever sends keeps the last bytes until the next: a copy for each of 1,000 streams was 100 MiB."""
    await house.write(percent=100)
    flags = SqliteFlagStore(house.database).rows()[1]
    shown = feed.Feed(Read(house), lambda board: document.served(flags, board), mark=int, every_s=1)
    await shown.look()
    assert shown.since(-1) is shown.since(-1)
    at = shown.number
    house.latches.kill()
    await shown.look()
    assert shown.since(at) is shown.since(at)
