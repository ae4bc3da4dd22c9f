"""The frontend API: flags evaluated by the server, for clients that may not see the rules."""

from __future__ import annotations

import json

import pytest

from contract.flags_suite import House, seen

GET, POST = "GET", "POST"


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


async def asked(client, house: House, context: dict, *, method: str = POST, **headers):
    """Ask as a browser would; return the answer."""
    given = {"Authorization": house.frontend_token, **headers}
    if method == POST:
        return await client.post("/api/frontend", json={"context": context}, headers=given)
    flat = {key: value for key, value in context.items() if key != "properties"}
    more = {f"properties[{key}]": value for key, value in context.get("properties", {}).items()}
    return await client.get("/api/frontend", params={**flat, **more}, headers=given)


def names(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["toggles"]]


@pytest.mark.parametrize("method", [GET, POST])
async def test_only_what_is_on_for_this_user_is_told_with_its_variant(house, method):
    await house.write(percent=100)
    await house.write(flag="nobody", component="c", change="ch-000000000002", percent=0)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        (row,) = (await asked(client, house, {"userId": "user-1"}, method=method)).json()["toggles"]
        assert (row["name"], row["enabled"], row["impressionData"]) == ("lending", True, False)
        assert (row["variant"]["name"], row["variant"]["feature_enabled"]) == ("versions", True)
        assert json.loads(row["variant"]["payload"]["value"])["candidate"] == "b" * 40
        assert b"strategies" not in (await asked(client, house, {"userId": "user-1"}, method=method)).content
        assert names(await asked(client, house, {}, method=method)) == []  # nobody in particular: stickiness is userId


async def test_a_stage_takes_in_about_its_share_of_users_and_the_same_ones_each_time(house):
    await house.write(percent=50)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])

        async def on() -> list[bool]:
            return [bool(names(await asked(client, house, {"userId": f"user-{n}"}))) for n in range(200)]

        first = await on()
        assert 60 < sum(first) < 140
        assert await on() == first


@pytest.mark.parametrize("method", [GET, POST])
async def test_properties_and_other_fields_reach_constraints(house, method):
    constraint = {"contextName": "plan", "operator": "IN", "values": ["gold", "7", "true"]}
    strategy = {"name": "default", "constraints": [constraint], "parameters": {}}
    house.unguarded.write_text(json.dumps({"features": [{"name": "perk", "enabled": True, "strategies": [strategy]}]}))
    async with house.client() as client:
        for context in ({"properties": {"plan": "gold"}}, {"plan": "gold"}, {"properties": {"plan": 7}}):
            assert names(await asked(client, house, context, method=method)) == ["perk"]
        for context in ({"properties": {"plan": "lead"}}, {}, {"properties": {}}):
            assert names(await asked(client, house, context, method=method)) == []


async def test_the_same_answer_is_not_sent_twice(house):
    await house.write(percent=100)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        first = await asked(client, house, {"userId": "u"})
        again = await asked(client, house, {"userId": "u"}, **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        house.latches.kill()
        killed = await asked(client, house, {"userId": "u"}, **{"If-None-Match": first.headers["etag"]})
        assert names(killed) == []


async def test_frontend_clients_register_and_tell_what_they_met(house):
    async with house.client() as client:
        client.headers["Authorization"] = house.frontend_token
        for what in ("register", "metrics"):
            answer = await client.post(f"/api/frontend/client/{what}", json={"appName": "page"})
            assert answer.status_code == 202


async def test_a_page_of_any_origin_may_ask_with_a_token(house):
    async with house.client() as client:
        asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET",
                  "Access-Control-Request-Headers": "authorization"}  # fmt: skip
        allowed = await client.options("/api/frontend", headers=asking)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        answer = await asked(client, house, {}, Origin="https://shop.example")
        assert answer.headers["access-control-allow-origin"] == "*"
        closed = await client.options("/api/client/features", headers=asking)
        assert "access-control-allow-origin" not in closed.headers
