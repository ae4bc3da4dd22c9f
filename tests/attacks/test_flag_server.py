"""Senders that lie, shout or hold the wrong token; and what would happen without the latch."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import closing

import httpx
import pytest

from contract.flags_suite import House, a_body
from evoguard.adapters.sqlite.db import connect
from evoguard.domain.latch import LatchBoard
from evoguard.flags.boards import Boards

READS = ["/api/client/features", "/api/client/features/lending", "/internal/off"]
SDK_POSTS = ["/api/client/register", "/api/client/metrics"]


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def rows(house: House, table: str) -> int:
    with closing(connect(house.database)) as con:
        return con.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608


def refused(answer) -> str:
    """Return the code of a refusal, which is one short line of JSON."""
    assert 400 <= answer.status_code < 500, answer.status_code
    assert len(answer.content) < 500
    assert b"\n" not in answer.content
    assert set(answer.json()) == {"code", "message"}
    return answer.json()["code"]


@pytest.mark.parametrize("token", ["", "x", "Bearer x", "\xff" * 40, "'; drop table tokens; --", "*:production.secret"])
async def test_without_a_token_nothing_is_read_or_stored(house, token):
    async with house.client() as client:
        client.headers = httpx.Headers([(b"Authorization", token.encode("latin-1"))])
        for path in READS:
            assert refused(await client.get(path)) == "token.invalid"
        for path in (*SDK_POSTS, "/kpi"):
            assert refused(await client.post(path, content=a_body())) == "token.invalid"
        del client.headers["Authorization"]
        for path in READS:
            assert refused(await client.get(path)) == "token.invalid"
    assert (rows(house, "kpi"), rows(house, "sdk_seen")) == (0, 0)


async def test_the_stored_hash_is_not_a_token(house):
    with closing(connect(house.database)) as con:
        (stored,) = con.execute("select hash from tokens where kind='flags.read'").fetchone()
    async with house.client() as client:
        client.headers["Authorization"] = stored
        assert refused(await client.get("/internal/off")) == "token.invalid"


async def test_a_kpi_token_cannot_read_flags_and_a_read_token_cannot_post_evidence(house):
    await house.write()
    async with house.client() as client:
        assert refused(await client.post("/kpi", content=a_body())) == "token.kind"
        client.headers["Authorization"] = house.write_token
        for path in READS:
            assert refused(await client.get(path)) == "token.kind"
        for path in SDK_POSTS:
            assert refused(await client.post(path, json={"appName": "a"})) == "token.kind"
    assert (rows(house, "kpi"), rows(house, "sdk_seen")) == (0, 0)


@pytest.mark.parametrize("forged", [{"assurance": "edge"}, {"assurance": ["edge"]}, {"assurance": None}])
async def test_a_candidate_cannot_raise_the_assurance_of_its_own_batch(house, forged):
    async with house.client() as client:
        client.headers["Authorization"] = house.self_token
        assert (await client.post("/kpi?assurance=edge", content=a_body(**forged))).status_code == 202
    with closing(connect(house.database)) as con:
        assert con.execute("select assurance from kpi").fetchall() == [("self-reported",)]


async def test_a_candidate_cannot_take_the_id_of_an_honest_batch_to_relabel_it(house):
    async with house.client() as client:
        await client.post("/kpi", content=a_body(), headers={"Authorization": house.write_token})
        answer = await client.post("/kpi", content=a_body(), headers={"Authorization": house.self_token})
        assert refused(answer) == "kpi.repeated"
    with closing(connect(house.database)) as con:
        assert con.execute("select assurance from kpi").fetchall() == [("edge",)]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[1]", b"\x00", b"\xff\xfe", b"[" * 60_000, b'{"a":' * 9_000, b'{"id": NaN}', b"1e999",
        a_body(at="now"), a_body(exposed=[1, 2]), a_body(bad="none"), a_body(id="../../etc/passwd"),
        a_body(bad=[{"unit": "u", "arm": "candidate", "kpi": "k", "more": 1}]), a_body(change={"$ne": 1}),
        a_body(exposed={"known_good": 10**400, "candidate": 0}), b'{"at": ' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
async def test_an_odd_body_is_refused_on_one_line(house, body):
    async with house.client() as client:
        assert refused(await client.post("/kpi", content=body, headers={"Authorization": house.write_token}))
        for path in SDK_POSTS:
            doc = b'{"appName": 7}' if body.startswith(b'{"id"') else body
            answer = await client.post(path, content=doc)
            assert answer.status_code == 400, answer.content
    assert (rows(house, "kpi"), rows(house, "sdk_seen")) == (0, 0)


@pytest.mark.parametrize(
    ("path", "most"), [("/kpi", 262_144), ("/api/client/register", 65_536), ("/api/client/metrics", 65_536)]
)
async def test_a_body_beyond_its_bound_is_refused_whether_declared_or_not(house, path, most):
    async def dribble():
        for _ in range(most // 1_000 + 2):
            yield b" " * 1_000

    async with house.client() as client:
        token = house.write_token if path == "/kpi" else house.read_token
        for content in (b" " * (most + 1), dribble()):
            answer = await client.post(path, content=content, headers={"Authorization": token})
            assert (answer.status_code, refused(answer)) == (413, "request.too_big")


@pytest.mark.parametrize("length", ["-1", "1e3", "\xb2", "9" * 4_000])
async def test_a_strange_length_is_refused(house, length):
    async with house.client() as client:
        headers = {"Authorization": house.write_token, "Content-Length": length.encode("latin-1")}
        assert refused(await client.post("/kpi", content=a_body(), headers=headers)) == "request.too_big"


async def test_headers_beyond_their_bound_are_refused_before_anything_is_looked_up(house):
    async with house.client() as client:
        answer = await client.get("/internal/off", headers={"X-Long": "x" * 9_000})
        assert (answer.status_code, refused(answer)) == (431, "request.headers")


@pytest.mark.parametrize("label", ["", "x" * 101, "a\nb", "a\x00", "\u202e", 7, None, ["a"]])
async def test_labels_of_sdks_are_short_and_printable(house, label):
    async with house.client() as client:
        assert refused(await client.post("/api/client/register", json={"appName": label})) == "request.invalid"
        body = {"appName": "a", "instanceId": label}
        assert refused(await client.post("/api/client/metrics", json=body)) == "request.invalid"


async def test_what_an_sdk_may_leave_behind_is_small_whatever_it_sends(house):
    await house.write()
    toggles = {f"flag-{i}": {"yes": 10**30, "no": -1, "variants": {"x" * 50: 1}} for i in range(300)}
    toggles["lending"] = {"yes": 10**30, "no": "many"}
    async with house.client() as client:
        for bucket in ({"toggles": toggles}, {"toggles": []}, [], None, {"toggles": {"lending": 1}}):
            answer = await client.post("/api/client/metrics", json={"appName": "a", "bucket": bucket})
            assert answer.status_code == 202
            if bucket == {"toggles": toggles}:
                with closing(connect(house.database)) as con:
                    (body,) = con.execute("select body from sdk_seen").fetchone()
                assert json.loads(body) == {"lending": {"yes": 10**12, "no": 0}}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/admin/projects/default/features"), ("GET", "/api/client/features/../../../etc/passwd"),
     ("PUT", "/api/client/features/lending"), ("DELETE", "/api/client/features/lending"), ("POST", "/internal/off"),
     ("GET", "/kpi"), ("GET", "/"), ("POST", "/api/client/features"), ("GET", "/api/client/features/" + "x" * 5_000)],
)  # fmt: skip
async def test_nothing_writes_a_flag_and_unknown_paths_are_unknown(house, method, path):
    state = await house.write()
    async with house.client() as client:
        assert refused(await client.request(method, path)) in {"request.unknown", "request.method", "flag.unknown"}
        assert (await client.get("/internal/off")).json()["on"] == [state.flag]


async def test_a_batch_posted_many_times_at_once_counts_once(house):
    async with house.client() as client:
        client.headers["Authorization"] = house.write_token
        answers = await asyncio.gather(*(client.post("/kpi", content=a_body()) for _ in range(20)))
        assert sorted({a.status_code for a in answers} - {503}) == [200, 202]
    assert rows(house, "kpi") == 1


async def test_a_flood_of_wrong_tokens_does_not_keep_a_kill_from_being_served(house):
    await house.write()
    async with house.client() as client:
        flood = [client.get("/internal/off", headers={"Authorization": f"guess-{i}"}) for i in range(200)]
        guesses = asyncio.gather(*flood)
        house.latches.kill()
        assert (await client.get("/api/client/features/lending")).json()["enabled"] is False
        assert {refused(answer) for answer in await guesses} == {"token.invalid"}


async def test_a_latch_folder_that_hangs_turns_everything_off(house, monkeypatch):
    monkeypatch.setattr("evoguard.flags.boards.LATCH_S", 0.05)
    await house.write()
    async with house.client() as client:
        assert (await client.get("/internal/off")).json()["on"] == ["lending"]
        house.latches.board = lambda: time.sleep(0.3) or LatchBoard()
        assert (await client.get("/internal/off")).json()["on"] == []


async def test_a_question_is_never_answered_from_a_read_that_began_before_it(house):
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    began: list[LatchBoard] = []

    def slow() -> LatchBoard:
        began.append(house.latches.now)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return began[-1]

    house.latches.board = slow
    boards = Boards(house.latches)
    early = asyncio.create_task(boards.now())
    while not began:
        await asyncio.sleep(0)
    house.latches.kill()
    late = [asyncio.create_task(boards.now()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert (await early).epoch == 0
    assert {(await task).epoch for task in late} == {1}
    assert len(began) == 2
    boards.close()


async def test_a_caller_that_leaves_does_not_take_the_board_from_the_others(house):
    boards = Boards(house.latches)
    house.latches.kill()
    leaver, stayer = asyncio.create_task(boards.now()), asyncio.create_task(boards.now())
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer).epoch == 1
    boards.close()


def test_a_sender_that_never_ends_its_headers_or_speaks_nonsense_keeps_nobody_out(house):
    asyncio.run(house.write())
    with house.serving() as url:
        host, port = url.removeprefix("http://").split(":")
        talkers = [socket.create_connection((host, int(port))) for _ in range(20)]
        try:
            for talker in talkers[:10]:
                talker.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
            for talker in talkers[10:]:
                talker.sendall(b"\x00\xff" * 50 + b"\r\n\r\n")
            with socket.create_connection((host, int(port))) as client:
                client.sendall(f"GET /internal/off HTTP/1.0\r\nAuthorization: {house.read_token}\r\n\r\n".encode())
                answer = b""
                while part := client.recv(65_536):
                    answer += part
            assert b'"on":["lending"]' in answer
        finally:
            for talker in talkers:
                talker.close()


async def test_without_the_latch_a_killed_flag_would_be_served_on(house, monkeypatch):
    await house.write()
    async with house.client() as client:
        house.latches.kill()
        assert (await client.get("/api/client/features/lending")).json()["enabled"] is False

        async def nobody_asked(_: Boards) -> LatchBoard:
            return LatchBoard()

        monkeypatch.setattr(Boards, "now", nobody_asked)
        assert (await client.get("/api/client/features/lending")).json()["enabled"] is True
