"""The flag server against stock SDKs, real sockets, locked databases and kills."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from contextlib import ExitStack, closing
from dataclasses import replace

import httpx
import pytest
from UnleashClient import UnleashClient

from contract.flags_suite import House, a_body, a_flag, an_sdk, arrange, locked, on, seen, until
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.flags import SqliteFlagStore
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.errors import ConfigError, UnavailableError
from evoguard.flags import document, listening
from evoguard.flags.listening import serve
from evoguard.flags.memory import Copy, merge
from evoguard.flags.server import build_app

IDS = [f"user-{i}" for i in range(4_000)]


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def who(sdk: UnleashClient) -> set[str]:
    return {user for user in IDS if on(sdk, user)}


def test_a_stock_sdk_follows_stages_that_contain_each_other_and_a_kill_within_a_poll(house):
    arrange(house, percent=10)
    with house.serving() as url, an_sdk(url, house) as sdk:
        ten = who(sdk)
        assert 0.085 < len(ten) / len(IDS) < 0.115
        arrange(house, percent=50)
        until(lambda: len(who(sdk)) > 1_000)
        fifty = who(sdk)
        assert 0.47 < len(fifty) / len(IDS) < 0.53
        assert ten < fifty
        payload = json.loads(sdk.get_variant("lending", {"userId": next(iter(ten))})["payload"]["value"])
        assert (payload["percent"], payload["known_good"], payload["candidate"]) == (50, "a" * 40, "b" * 40)
        house.latches.kill()
        until(lambda: not who(sdk))
        with closing(connect(house.database)) as con:
            until(lambda: con.execute("select app, body from sdk_seen where body like '%lending%'").fetchone())


def test_when_the_server_is_gone_the_lease_turns_the_flag_off_by_itself(house):
    arrange(house, percent=100, lease_until=int(time.time()) + 5)
    with ExitStack() as sdks:
        with house.serving() as url:
            sdk = sdks.enter_context(an_sdk(url, house))
            until(lambda: on(sdk))
        assert on(sdk)
        until(lambda: not on(sdk))


def test_a_kill_reaches_a_stock_sdk_while_the_database_is_locked_and_after_a_restart_too(house):
    arrange(house, percent=100)
    with house.serving() as url, an_sdk(url, house) as sdk:
        until(lambda: on(sdk))
        with locked(house.database):
            house.latches.kill(scope="component", name="scoring")
            until(lambda: not on(sdk))
    with locked(house.database, against="all"), house.serving() as url:
        answer = httpx.get(f"{url}/api/client/features", headers={"Authorization": house.read_token})
        assert [f["enabled"] for f in answer.json()["features"]] == [False]


async def test_rollout_is_a_whole_number_as_text_and_the_lease_has_no_fraction_of_a_second(house):
    await house.write(percent=1, lease_until=1_900_000_000)
    async with house.client() as client:
        doc = (await client.get("/api/client/features")).json()
    assert doc["version"] == 2
    (strategy,) = doc["features"][0]["strategies"]
    assert strategy["name"] == "flexibleRollout"
    assert strategy["parameters"] == {"rollout": "1", "stickiness": "userId", "groupId": "ch-000000000001"}
    (lease,) = strategy["constraints"]
    assert (lease["contextName"], lease["operator"], lease["inverted"]) == ("currentTime", "DATE_BEFORE", False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lease["value"])


@pytest.mark.parametrize("until_s", [1, 1_900_000_000, 2**62])
def test_no_lease_ever_has_a_fraction_or_fails(until_s):
    (constraint,) = document.feature(a_flag(lease_until=until_s), LatchBoard())["strategies"][0]["constraints"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", constraint["value"])


async def test_off_keeps_the_payload_and_has_no_lease(house):
    await house.write(lease_until=1_900_000_000)
    await house.off()
    async with house.client() as client:
        doc = await seen(client, lambda d: not d["enabled"])
    assert json.loads(doc["variants"][0]["payload"]["value"])["known_good"] == "a" * 40
    assert doc["strategies"][0]["constraints"] == []


async def test_the_same_content_is_not_sent_twice(house):
    await house.write()
    async with house.client() as client:
        first = await client.get("/api/client/features")
        again = await client.get("/api/client/features", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        house.latches.kill()
        killed = await client.get("/api/client/features", headers={"If-None-Match": first.headers["etag"]})
        assert killed.status_code == 200
        assert killed.headers["etag"] != first.headers["etag"]


async def test_a_change_is_served_without_a_restart(house):
    async with house.client() as client:
        assert (await client.get("/api/client/features/lending")).status_code == 404
        await house.write(percent=10)
        await seen(client, lambda d: d["strategies"][0]["parameters"]["rollout"] == "10")
        await house.write(percent=50)
        await seen(client, lambda d: d["strategies"][0]["parameters"]["rollout"] == "50")


@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("component", "scoring"), ("flag", "lending")])
async def test_a_kill_is_seen_by_the_very_next_request_and_is_acknowledged(house, scope, name):
    await house.write()
    await house.write(flag="other", component="billing", change="ch-000000000002")
    async with house.client() as client:
        assert (await client.get("/internal/off")).json()["on"] == ["lending", "other"]
        house.latches.kill(scope=scope, name=name)
        report = (await client.get("/internal/off")).json()
        assert (report["epoch"], report["known"]) == (1, True)
        row = {"flag": "lending", "component": "scoring", "reason": "killed", "kill": "k1"}
        assert row in report["off"]
        assert ("other" in report["on"]) is (scope != "all")
        doc = (await client.get("/api/client/features/lending")).json()
        assert doc["enabled"] is False
        assert json.loads(doc["variants"][0]["payload"]["value"])["candidate"] == "b" * 40


async def test_a_decision_older_than_a_lifted_kill_is_never_served_on_again(house):
    await house.write(epoch=0)
    async with house.client() as client:
        house.latches.kill()
        house.latches.lift_all()
        assert (await client.get("/internal/off")).json()["off"][0]["reason"] == "fenced"
        assert (await client.get("/api/client/features/lending")).json()["enabled"] is False
        await house.write(epoch=1)
        await seen(client, lambda d: d["enabled"])


async def test_an_unreadable_latch_turns_everything_off(house):
    await house.write()
    async with house.client() as client:
        house.latches.now = LatchBoard(unreadable=("k9.json",))
        report = (await client.get("/internal/off")).json()
        assert (report["on"], report["unreadable"]) == ([], ["k9.json"])
        house.latches.board = lambda: 1 / 0
        assert (await client.get("/internal/off")).json()["on"] == []
        assert (await client.get("/api/client/features/lending")).json()["enabled"] is False


async def test_a_locked_database_changes_nothing_that_is_served_and_no_kill_waits_for_it(house):
    await house.write()
    async with house.client() as client:
        with locked(house.database):
            assert (await client.get("/api/client/features/lending")).json()["enabled"] is True
            house.latches.kill()
            assert (await client.get("/api/client/features/lending")).json()["enabled"] is False
            answer = await client.post("/kpi", content=a_body(), headers={"Authorization": house.write_token})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert (await client.post("/api/client/register", json={"appName": "a"})).status_code == 202
        answer = await client.post("/kpi", content=a_body(), headers={"Authorization": house.write_token})
        assert answer.status_code == 202


async def test_a_start_with_the_database_locked_serves_the_last_copy_and_its_tokens(house):
    await house.write()
    async with house.client():
        pass
    assert house.bootstrap.stat().st_mode & 0o777 == 0o600
    with locked(house.database, against="all"):
        async with house.client() as client:
            assert (await client.get("/health")).json() == {"status": "ok", "rows": True, "database": False}
            assert (await client.get("/api/client/features/lending")).json()["enabled"] is True
            house.latches.kill()
            assert (await client.get("/internal/off")).json()["off"][0]["reason"] == "killed"


async def test_a_start_with_nothing_to_read_gives_no_answer_so_that_sdks_keep_what_they_have(house):
    house.bootstrap.write_text("{not json")
    store = SqliteFlagStore(house.database)
    store.rows = _no_rows
    async with _with(house, store) as client:
        assert (await client.get("/api/client/features")).status_code == 503
        assert (await client.get("/health")).json()["rows"] is False


def _no_rows():
    raise UnavailableError("database", "gone")


def _with(house: House, store):
    app = build_app(store, house.latches, _Clock(), bootstrap=house.bootstrap, poll_s=0.05)
    house.app = lambda **options: app
    return house.client()


class _Clock:
    def now_ms(self) -> int:
        return 1_000


async def test_a_restored_older_database_turns_nothing_on(house):
    await house.write(percent=10)
    with closing(connect(house.database)) as older:
        async with house.client() as client:
            await seen(client, lambda d: d["enabled"])
            await house.off()
            await seen(client, lambda d: not d["enabled"])
            older.executescript("update flags set enabled=1; update meta set value='1' where name='flags.rev'")
            await house.write(flag="late", component="c")  # revision 2 again: no later than what was served
            await asyncio.sleep(0.3)
            assert (await client.get("/api/client/features/lending")).json()["enabled"] is False


def test_an_older_revision_may_turn_flags_off_and_nothing_else():
    kept, gone = a_flag(lease_until=9), a_flag(flag="gone", lease_until=9)
    held = Copy(7, (kept, gone), {"h": ("flags.read", "")}, known=True)
    older = Copy(3, (replace(kept, percent=100), replace(gone, enabled=False), a_flag(flag="new")), {}, known=True)
    assert merge(held, older) == replace(held, flags=(kept, replace(gone, enabled=False, lease_until=0)))
    assert merge(held, replace(older, rev=7)) == merge(held, older)
    assert merge(held, replace(older, rev=8)) == replace(older, rev=8)
    assert merge(held, replace(held, tokens={})).tokens == {}
    assert merge(Copy(), older) == older


async def test_kpi_batches_are_stored_once(house):
    async with house.client() as client:
        client.headers["Authorization"] = house.write_token
        answers = [await client.post("/kpi", content=a_body(at=2**50)) for _ in range(2)]
        assert [(a.status_code, a.json()["status"]) for a in answers] == [(202, "stored"), (200, "repeated")]
        other = await client.post("/kpi", content=a_body(bad=[]))
        assert (other.status_code, other.json()["code"]) == (409, "kpi.repeated")
    with closing(connect(house.database)) as con:
        (row,) = con.execute("select at, assurance from kpi").fetchall()
    assert row[0] <= time.time() * 1000
    assert row[1] == "edge"


async def test_a_new_token_works_at_once_and_a_revoked_one_stops(house):
    async with house.client() as client:
        with closing(connect(house.database)) as con:
            client.headers["Authorization"] = tokens.issue(con, "flags.read", "second")
            await asyncio.sleep(0.06)
            assert (await client.get("/internal/off")).status_code == 200
            tokens.revoke(con, "second")
            for _ in range(1_000):
                if (await client.get("/internal/off")).status_code == 401:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("a revoked token still works")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "flags.example", ""])  # noqa: S104
async def test_only_loopback_is_bound(house, host):
    with pytest.raises(ConfigError) as caught:
        await serve(house.app(), host, 0)
    assert caught.value.code == "flags.not_loopback"


async def test_a_port_that_is_taken_is_named(house):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError) as caught:
            await serve(house.app(), "127.0.0.1", taken.getsockname()[1])
    assert caught.value.code == "flags.port_taken"


def test_every_state_has_a_document_of_the_right_shape():
    state = FlagState("f", "c", "ch", False, 0, "", "", 0, 0)
    doc = document.feature(state, LatchBoard())
    assert doc["enabled"] is False
    assert doc["strategies"][0]["parameters"]["rollout"] == "0"


def test_answers_do_not_wait_for_acknowledgements():
    with closing(listening._listen("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # or asyncio leaves Nagle on, and a poll takes 44 ms, not 1
