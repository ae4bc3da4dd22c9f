"""Frontend clients that would stay on: after a kill, past a lease, in another environment, with the wrong token."""

from __future__ import annotations

import json
import time

import pytest

from contract.flags_suite import House, seen
from contract.test_flag_frontend import GET, POST, asked, names
from evoguard.adapters.sqlite.flags import SqliteFlagStore
from evoguard.domain.latch import LatchBoard
from evoguard.errors import UnavailableError
from evoguard.flags.boards import Boards

USER = {"userId": "user-1"}


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def code(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message"}
    return answer.json()["code"]


@pytest.mark.parametrize("method", [GET, POST])
@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("component", "scoring"), ("flag", "lending")])
async def test_a_kill_holds_for_the_very_next_question(house, method, scope, name):
    await house.write(percent=100)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        assert names(await asked(client, house, USER, method=method)) == ["lending"]
        house.latches.kill(scope=scope, name=name)
        assert names(await asked(client, house, USER, method=method)) == []
        house.latches.lift_all()
        assert names(await asked(client, house, USER, method=method)) == []  # decided before the kill


async def test_unreadable_or_hanging_latches_leave_nothing_on(house, monkeypatch):
    monkeypatch.setattr("evoguard.flags.boards.LATCH_S", 0.05)
    await house.write(percent=100)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        house.latches.now = LatchBoard(unreadable=("k9.json",))
        assert names(await asked(client, house, USER)) == []
        house.latches.now = LatchBoard()
        assert names(await asked(client, house, USER)) == ["lending"]
        house.latches.board = lambda: time.sleep(0.3) or LatchBoard()
        assert names(await asked(client, house, USER)) == []


async def test_without_the_latch_a_killed_flag_would_be_told_as_on(house, monkeypatch):
    await house.write(percent=100)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        house.latches.kill()
        assert names(await asked(client, house, USER)) == []

        async def nobody_asked(_: Boards) -> LatchBoard:
            return LatchBoard()

        monkeypatch.setattr(Boards, "now", nobody_asked)
        assert names(await asked(client, house, USER)) == ["lending"]


@pytest.mark.parametrize("method", [GET, POST])
async def test_a_client_that_says_it_is_yesterday_gets_nothing_back_that_a_lease_ended(house, method):
    await house.write(percent=100, lease_until=int(time.time()) - 60)
    early = "2020-01-01T00:00:00Z"
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        for context in ({"currentTime": early}, {"properties": {"currentTime": early}}):
            assert names(await asked(client, house, {**USER, **context}, method=method)) == []


@pytest.mark.parametrize("method", [GET, POST])
async def test_the_environment_is_the_tokens_whatever_a_client_says(house, method):
    constraint = {"contextName": "environment", "operator": "IN", "values": ["staging"]}
    strategy = {"name": "default", "constraints": [constraint], "parameters": {}}
    house.unguarded.write_text(json.dumps({"features": [{"name": "new", "enabled": True, "strategies": [strategy]}]}))
    async with house.client() as client:
        for context in ({"environment": "staging"}, {"properties": {"environment": "staging"}}):
            assert names(await asked(client, house, context, method=method)) == []


async def test_a_frontend_token_opens_the_frontend_only_and_no_other_token_does(house):
    await house.write(percent=100)
    client_doors = ("/api/client/features", "/api/client/features/lending", "/api/client/streaming", "/internal/off")
    async with house.client() as client:
        client.headers["Authorization"] = house.frontend_token
        for path in client_doors:
            assert code(await client.get(path), 403) == "token.kind"
        for path in ("/api/client/register", "/api/client/metrics", "/kpi"):
            assert code(await client.post(path, json={"appName": "a"}), 403) == "token.kind"
        for token in (house.read_token, house.write_token, house.self_token):
            client.headers["Authorization"] = token
            assert code(await client.get("/api/frontend"), 403) == "token.kind"
            for what in ("register", "metrics"):
                answer = await client.post(f"/api/frontend/client/{what}", json={"appName": "a"})
                assert code(answer, 403) == "token.kind"
        for token in ("", "nonsense", house.frontend_token + "x", house.frontend_token[:-1]):
            client.headers["Authorization"] = token
            assert code(await client.get("/api/frontend"), 401) == "token.invalid"
            assert code(await client.post("/api/frontend", json={"context": {}}), 401) == "token.invalid"


async def test_who_knows_no_rows_says_so_and_does_not_say_that_nothing_is_on(house, monkeypatch):
    rows = SqliteFlagStore.rows
    monkeypatch.setattr(SqliteFlagStore, "rows", _gone)
    async with house.client() as client:
        assert code(await asked(client, house, USER), 503) == "token.unknown"
        monkeypatch.setattr(SqliteFlagStore, "rows", rows)
        await house.write(percent=100)
        await seen(client, lambda d: d["enabled"])
        assert names(await asked(client, house, USER)) == ["lending"]


def _gone(_: SqliteFlagStore):
    raise UnavailableError("database", "gone")


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[1]", b"\xff", b"[" * 60_000, b'{"context": 7}', b'{"context": {"properties": [1]}}',
     b'{"context": {"userId": ["a"]}}', b'{"context": {"userId": {"$ne": 1}}}', b'{"context": {"userId": "a\\u0000"}}',
     b'{"context": {"userId": "' + b"x" * 1_001 + b'"}}', b'{"context": {"' + b"k" * 101 + b'": "v"}}',
     json.dumps({"context": {"properties": {f"k{n}": "v" for n in range(101)}}}).encode()],
)  # fmt: skip
async def test_an_odd_context_is_refused_on_one_line(house, body):
    async with house.client() as client:
        answer = await client.post("/api/frontend", content=body, headers={"Authorization": house.frontend_token})
        assert code(answer, 400) == "request.invalid"


async def test_a_context_beyond_its_bounds_is_refused(house):
    async with house.client() as client:
        client.headers["Authorization"] = house.frontend_token
        many = "&".join(f"k{n}=v" for n in range(101))
        assert code(await client.get(f"/api/frontend?{many}"), 400) == "request.invalid"
        assert code(await client.get("/api/frontend?userId=" + "x" * 8_200), 413) == "request.too_big"
        assert code(await client.post("/api/frontend", content=b" " * 65_537), 413) == "request.too_big"


@pytest.mark.parametrize("odd", ["\udcff", "\u202e", "é" * 500, "-1", "../../etc/passwd", "{}", "%00"])
async def test_an_odd_user_is_somebody_like_any_other(house, odd):
    await house.write(percent=100)
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"])
        body = json.dumps({"context": {"userId": odd}}).encode()
        answer = await client.post("/api/frontend", content=body, headers={"Authorization": house.frontend_token})
        assert names(answer) == ["lending"]
