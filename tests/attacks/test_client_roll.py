"""Acknowledgements forged: for another, by names made up, by metrics that say otherwise than what is met."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from contract.flags_suite import House, an_sdk, arrange, on, until
from evoguard.adapters.client_roll import ServedClients
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.domain.clients import Asked, Roll, RollCall, clocks_off, roll_call
from evoguard.errors import UnavailableError
from evoguard.flags import clients as roll_of


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def called_by(app: str = "shop", instance: str = "one", connection: str = "secret-1", **more: str) -> dict[str, str]:
    names = {"unleash-appname": app, "unleash-instanceid": instance, "unleash-connection-id": connection}
    return {**names, "unleash-interval": "1000", **more}


async def roll(client: httpx.AsyncClient) -> dict:
    answer = await client.get("/internal/clients")
    assert answer.status_code == 200
    return answer.json()


async def metrics(client: httpx.AsyncClient, headers: dict[str, str], *, yes: int, stop: str = "") -> None:
    body = {
        "appName": headers["unleash-appname"], "instanceId": headers["unleash-instanceid"],
        "bucket": {"start": stop, "stop": stop or datetime.now(UTC).isoformat(),
                   "toggles": {"lending": {"yes": yes, "no": 3, "variants": {}}}},
    }  # fmt: skip
    assert (await client.post("/api/client/metrics", json=body, headers=headers)).status_code == 202


async def poll(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/api/client/features", headers=headers)).status_code == 200


def asked(house: House, began_ms: int) -> Asked:
    return Asked(house.latches.now.epoch, began_ms, frozenset({"lending"}), frozenset({"scoring"}))


def now_ms() -> int:
    return int(time.time() * 1000)


async def test_nobody_acknowledges_for_another(house):
    """The same names with another connection, or with another token, are somebody else."""
    await house.write()
    with connect(house.database) as con:
        other = tokens.issue(con, "flags.read", "other")
    async with house.client() as client:
        await poll(client, called_by())
        house.latches.kill()
        await poll(client, called_by(connection="guessed"))
        await poll(client, called_by(**{"Authorization": other}))
        rows = (await roll(client))["clients"]
    assert sorted(list(row["told"]) for row in rows) == [["0"], ["1"], ["1"]]
    assert "secret-1" not in str(rows)


async def test_only_what_the_server_accepted_counts(house):
    await house.write()
    async with house.client() as client:
        for headers in (called_by(Authorization="no token"), called_by(Authorization=house.write_token)):
            await client.get("/api/client/features", headers=headers)
        assert (await roll(client))["clients"] == []
        for token in ("", "no token", house.write_token):
            assert (await client.get("/internal/clients", headers={"Authorization": token})).status_code in (401, 403)


async def test_one_that_knows_and_still_meets_the_flag_is_seen_by_its_second_metrics(house):
    """The first after it was told may hold what it met before; whatever clock it has."""
    await house.write()
    async with house.client() as client:
        await poll(client, called_by())
        house.latches.kill()
        await poll(client, called_by())
        for wanted in ([], ["lending"]):
            await asyncio.sleep(0.01)
            await metrics(client, called_by(), yes=5, stop="1999-01-01T00:00:00Z")
            (row,) = (await roll(client))["clients"]
            assert row["exposing"] == wanted
        await metrics(client, called_by(), yes=0)
        assert (await roll(client))["clients"][0]["exposing"] == []


async def test_a_router_that_counts_users_after_the_kill_is_noted(house):
    await house.write()
    async with house.client() as client:
        for number, candidate in enumerate((0, 4)):
            batch = {"id": f"b{number}", "component": "scoring", "change": "ch-000000000001", "at": now_ms(),
                     "exposed": {"known_good": 1, "candidate": candidate}, "bad": []}  # fmt: skip
            sent = await client.post("/kpi", json=batch, headers={"Authorization": house.write_token})
            assert sent.status_code == 202
        assert [batch["component"] for batch in (await roll(client))["batches"]] == ["scoring"]


async def test_a_flood_of_names_is_bounded_pushes_nobody_out_and_is_never_taken_for_complete(house, monkeypatch):
    monkeypatch.setattr(roll_of, "MOST", 20)
    await house.write()
    async with house.client() as client:
        await poll(client, called_by())
        for number in range(60):
            await poll(client, called_by(instance=f"made-up-{number}"))
        house.latches.kill()
        await poll(client, called_by())
        found = await roll(client)
    assert len(found["clients"]) == 20
    assert found["overflow"] == 20
    assert [row["instance"] for row in found["clients"] if "1" in row["told"]] == ["one"]


@pytest.mark.parametrize(
    "broken",
    [b"", b"[]", b"nonsense", b'{"appName":"shop","bucket":{"stop":5,"toggles":7}}',
     b'{"appName":"shop","bucket":{"stop":"9999","toggles":{"lending":{"yes":"many"}}}}',
     b'{"appName":"shop","started":"2026-01-01T00:00:00"}'],
)  # fmt: skip
async def test_what_cannot_be_read_changes_nothing_and_breaks_nothing(house, broken):
    await house.write()
    async with house.client() as client:
        await poll(client, called_by())
        for path in ("metrics", "register"):
            answer = await client.post(f"/api/client/{path}", content=broken, headers=called_by())
            assert answer.status_code in (202, 400)
        (row,) = (await roll(client))["clients"]
    assert (row["exposing"], row["skew_ms"]) == ([], None)


@pytest.mark.parametrize("text", ["", "-5", "1e9", "9" * 30, "\u0665"])
async def test_an_interval_that_is_none_is_the_default_and_a_long_one_is_bounded(house, text):
    headers = called_by()
    raw = [(name.encode(), value.encode()) for name, value in headers.items() if name != "unleash-interval"]
    async with house.client() as client:
        await house.write()
        await client.get("/api/client/features", headers=[*raw, (b"unleash-interval", text.encode())])
        (row,) = (await roll(client))["clients"]
    assert row["interval_ms"] == 15_000


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_a_clock_five_minutes_off_is_measured_from_what_it_says(house, minutes):
    await house.write()
    async with house.client() as client:
        said = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        await metrics(client, called_by(), yes=0, stop=said)
        await metrics(client, called_by(instance="right"), yes=0)
        found = await roll(client)
    skews = {row["instance"]: row["skew_ms"] for row in found["clients"]}
    assert abs(skews["one"] - minutes * 60_000) < 5_000
    assert abs(skews["right"]) < 5_000


def a_roll(house: House, url: str) -> Roll:
    return ServedClients(url, lambda: house.read_token).roll_now()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_stock_sdk_is_called_by_name_and_acknowledges(house, streaming):
    arrange(house, percent=100)
    options = {"experimental_mode": {"type": "streaming"}} if streaming else {}
    with house.serving() as url, an_sdk(url, house, **options) as sdk:
        until(lambda: on(sdk))
        began = now_ms()
        house.latches.kill()

        def knows() -> RollCall | None:
            found = roll_call(a_roll(house, url), asked(house, began))
            return found if len(found.told) == 1 and found.complete else None

        until(knows)
        assert not on(sdk) or not streaming
        found = roll_call(a_roll(house, url), asked(house, began))
        assert (found.asked, len(found.latencies_ms)) == (1, 1)
        assert clocks_off(a_roll(house, url), lease_s=30) == ()


def test_a_server_that_does_not_say_is_no_answer(house):
    with pytest.raises(UnavailableError):
        ServedClients("http://127.0.0.1:9", lambda: "x").roll_now()
