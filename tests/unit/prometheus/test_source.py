"""Looks at a Prometheus server on the loopback: what cannot be trusted is not told, and nothing is told twice."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from aiohttp import web

from evoguard.errors import ConfigError, UnavailableError
from evoguard.prometheus.asking import MOST_BYTES
from evoguard.prometheus.keeping import Keeper
from unit.prometheus.places import (
    ERRORS,
    EXPOSED,
    NOW,
    UP,
    Door,
    FakePrometheus,
    KilledError,
    a_source,
    by_arm,
    vector,
    write,
)
from unit.rollout.runs import CHANGE


@pytest.fixture
async def server():
    async with FakePrometheus().open() as made:
        yield made


@pytest.fixture
def door() -> Door:
    return Door()


def at(second: float) -> int:
    return NOW + int(second * 1_000)


async def looked(source, server: FakePrometheus, second: int, **counts: int) -> str:
    server.shows(at(second), **counts)
    return (await source.look(at(second + 0.5))).code


def sums(door: Door) -> tuple[int, int, int]:
    """Return what the guard holds: units of known-good and of the candidate, and different bad units."""
    rows = [json.loads(body) for (body,) in door.table.con.execute("select body from kpi")]
    exposed = [sum(row["exposed"][arm] for row in rows) for arm in ("known_good", "candidate")]
    return exposed[0], exposed[1], len({event["unit"] for row in rows for event in row["bad"]})


async def test_the_first_look_counts_nothing_and_the_next_what_came_since(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door) as source:
        assert await looked(source, server, 0, good=9_000, cand=900, bad_cand=90) == "baseline"
        assert door.bodies == []
        assert await looked(source, server, 1, good=9_090, cand=910, bad_cand=92) == "told"
        assert await looked(source, server, 2, good=9_090, cand=910, bad_cand=92) == "no_traffic"
    assert sums(door) == (90, 10, 2)
    assert (door.bodies[0]["at"], door.bodies[0]["change"]) == (at(1), CHANGE)
    assert server.times == {f"{at(n) / 1_000:.3f}" for n in range(3)}


WRONG = {
    "an arm is missing": (EXPOSED, vector(({"arm": "known_good"}, "9")), "arms"),
    "two series for one arm": (EXPOSED, vector(*[({"arm": a}, "9") for a in ("known_good", "candidate") * 2]), "arms"),
    "no arm label": (EXPOSED, vector(({}, "9")), "arms"),
    "a third arm": (EXPOSED, vector(*[({"arm": a}, "9") for a in ("known_good", "candidate", "other")]), "arms"),
    "an arm of the bad is missing": (ERRORS, vector(({"arm": "known_good"}, "0")), "arms"),
    "empty": (EXPOSED, vector(), "empty"),
    "no errors at all": (ERRORS, vector(), "empty"),
    "nan": (EXPOSED, by_arm("NaN", 9), "number"),
    "nan of the bad": (ERRORS, by_arm(0, "NaN"), "number"),
    "infinite": (EXPOSED, by_arm("+Inf", 9), "number"),
    "negative": (EXPOSED, by_arm(-1, 9), "number"),
    "a fraction": (EXPOSED, by_arm("9.5", 9), "number"),
    "too large": (EXPOSED, by_arm(2**53 + 1, 9), "number"),
    "other digits": (EXPOSED, by_arm("\u0661", 9), "number"),
    "no text": (EXPOSED, vector(({"arm": "known_good"}, 9)), "answer"),
    "a flood of series": (EXPOSED, vector(*[({"arm": f"a{n}"}, "1") for n in range(5_000)]), "answer"),
    "a huge body": (EXPOSED, b" " * (MOST_BYTES + 1), "too_big"),
    "an error": (EXPOSED, {"status": "error", "error": "no"}, "query"),
    "a warning": (EXPOSED, {**by_arm(500, 50), "warnings": ["partial"]}, "query"),
    "a matrix": (EXPOSED, {"status": "success", "data": {"resultType": "matrix", "result": []}}, "answer"),
    "a scalar": (EXPOSED, {"status": "success", "data": {"resultType": "scalar", "result": [0, "9"]}}, "answer"),
    "no JSON": (EXPOSED, b"<html>", "answer"),
    "no object": (EXPOSED, b"[]", "answer"),
    "deep": (EXPOSED, b"[" * 200_000, "answer"),
    "labels that are none": (EXPOSED, vector(({"arm": 5}, "9")), "answer"),
    "down": (UP, vector(({}, "0")), "down"),
    "one of two down": (UP, vector(({"i": "1"}, "1"), ({"i": "2"}, "0")), "down"),
    "no target": (UP, vector(), "empty"),
    "up of unknown age": (f"timestamp({UP})", vector(({}, "NaN")), "stale"),
    "old": (f"timestamp({UP})", vector(({}, f"{at(-5) / 1_000}")), "stale"),
    "of the future": (f"timestamp({UP})", vector(({}, f"{at(60) / 1_000}")), "stale"),
    "more targets than are up": (f"timestamp({UP})", vector(({"i": "1"}, "1"), ({"i": "2"}, "1")), "stale"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_an_answer_that_cannot_be_trusted_tells_nothing_and_loses_nothing(
    tmp_path, server, door: Door, name: str
):
    query, answer, code = WRONG[name]
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0, good=100, cand=10)
        server.shows(at(1), good=200, cand=20, bad_cand=1)
        server.says(query, answer)
        look = await source.look(at(1.5))
        assert (look.code, look.well, look.batches) == (f"prometheus.{code}", False, ())
        assert door.bodies == []
        assert await looked(source, server, 2, good=300, cand=30, bad_cand=5) == "told"
    assert sums(door) == (200, 20, 5)


PACKED = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(status=302, headers={"Location": "/elsewhere"}), "query"),
        (web.Response(status=503), "query"),
        (web.Response(body=gzip.compress(json.dumps(by_arm(500, 50)).encode()), headers=PACKED), "answer"),
    ],
)
async def test_no_redirect_is_followed_and_nothing_is_unpacked(tmp_path, server, door: Door, answer, code: str):
    async with a_source(tmp_path, server, door) as source:
        server.answers[EXPOSED] = answer
        assert (await source.look(at(0.5))).code == f"prometheus.{code}"
    assert list((tmp_path / "state").glob("*.json")) == []


async def test_a_server_that_hangs_or_is_gone_tells_nothing(tmp_path: Path, server, door: Door):
    gone = FakePrometheus(url="http://127.0.0.1:1")
    async with a_source(tmp_path, gone, door) as source:
        assert (await source.look(at(0))).code == "prometheus.unreachable"
    server.hangs = True
    async with a_source(tmp_path, server, door, timeout_s=0.1) as source:
        assert await looked(source, server, 1, good=1, cand=1) == "prometheus.unreachable"


async def test_lies_about_resets_and_floods_add_nothing(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0, good=50_000, cand=5_000)
        for second in range(1, 9):  # a counter that jumps to and fro by more than traffic can be
            lie = 4_000 if second % 2 else 5_001
            assert await looked(source, server, second, good=50_000, cand=lie) == "prometheus.flood"
    assert door.bodies == []


async def test_more_bad_than_exposed_tells_nothing_until_the_units_are_there(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
        assert await looked(source, server, 1, good=10, cand=1, bad_cand=2) == "prometheus.more_bad"
        assert door.bodies == []
        assert await looked(source, server, 2, good=20, cand=3, bad_cand=2) == "told"
    assert sums(door) == (20, 3, 2)


async def test_a_restart_counts_nothing_twice_and_what_was_long_ago_not_at_all(tmp_path: Path, server, door: Door):
    for second in range(4):
        async with a_source(tmp_path, server, door) as source:
            await looked(source, server, second, good=100 * second, cand=10 * second, bad_cand=second)
    assert sums(door) == (300, 30, 3)
    async with a_source(tmp_path, server, door) as source:
        assert await looked(source, server, 4_000, good=1_000, cand=100, bad_cand=50) == "baseline"
    assert sums(door) == (300, 30, 3)


@pytest.mark.parametrize("killed", ["before", "after"])
async def test_killed_between_keeping_and_telling_it_tells_the_very_same_again(
    tmp_path, server, door: Door, killed: str
):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
        door.killed = killed
        with pytest.raises(KilledError):
            await looked(source, server, 1, good=90, cand=10, bad_cand=4)
    door.killed = ""
    first = list(door.bodies)
    async with a_source(tmp_path, server, door) as source:
        assert await looked(source, server, 2, good=180, cand=20, bad_cand=6) == "told"
        assert await looked(source, server, 3, good=180, cand=20, bad_cand=6) == "told"
    assert door.bodies[: len(first)] == first
    assert sums(door) == (180, 20, 6)


async def test_an_old_state_that_is_put_back_adds_no_unit_and_ends_the_telling(tmp_path: Path, server, door: Door):
    state = tmp_path / "state"
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
        await looked(source, server, 1, good=90, cand=10, bad_cand=4)
        (file,) = state.glob("*.json")
        old = file.read_bytes()
        await looked(source, server, 2, good=180, cand=20, bad_cand=6)
    held = sums(door)
    file.write_bytes(old)
    for second in (3, 4):
        async with a_source(tmp_path, server, door) as source:
            assert await looked(source, server, second, good=270, cand=30, bad_cand=6) == "refused"
    assert sums(door) == held == (180, 20, 6)
    assert len(door.bodies) == 3


async def test_a_lost_state_adds_no_unit(tmp_path: Path, server, door: Door):
    for folder in ("a", "b"):
        async with a_source(tmp_path / folder, server, door) as source:
            await looked(source, server, 0)
            last = await looked(source, server, 1, good=90 + len(door.bodies), cand=10, bad_cand=4)
    assert last == "refused"
    assert sums(door) == (90, 10, 4)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"{" * 9, b'{"v": 2}', b" " * 70_000])
async def test_a_state_that_cannot_be_read_stops_the_source(tmp_path: Path, server, door: Door, raw: bytes):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
        await looked(source, server, 1, good=9, cand=1)
    (file,) = (tmp_path / "state").glob("*.json")
    file.write_bytes(raw)
    async with a_source(tmp_path, server, door) as source:
        with pytest.raises(ConfigError):
            await looked(source, server, 2, good=18, cand=2)
    assert len(door.bodies) == 1


@pytest.mark.parametrize(
    "change",
    [{"sequence": -1}, {"sequence": True}, {"change": "ch-other"}, {"counters": {"at": 1}}, {"more": 1},
     {"bad_told": []},
     {"exposed_left": {"known_good": 1}}, {"pending": {"id": "x", "at": 1, "exposed": {}, "bad": {}}},
     {"pending": {"id": "x", "at": 1, "exposed": {"known_good": 0, "candidate": 0},
                  "bad": {"errors": {"candidate": [0, 10**9]}}}}],
)  # fmt: skip
async def test_a_state_with_one_wrong_value_stops_the_source(tmp_path: Path, server, door: Door, change):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
    (file,) = (tmp_path / "state").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ConfigError):
        Keeper(tmp_path / "state", write).load(CHANGE)


async def test_what_cannot_be_kept_is_not_told(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)

        def full(folder: Path, name: str, raw: bytes) -> None:
            raise OSError(28, "no space")

        source._keeper._write = full
        with pytest.raises(UnavailableError):
            await looked(source, server, 1, good=9, cand=1)
    assert door.bodies == []


async def test_a_batch_that_was_not_taken_goes_first_and_is_the_same(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
        door.status = 503
        assert await looked(source, server, 1, good=90, cand=10, bad_cand=1) == "undelivered"
        assert await looked(source, server, 2, good=180, cand=20, bad_cand=1) == "undelivered"
        door.status = 0
        assert await looked(source, server, 3, good=270, cand=30, bad_cand=1) == "told"
        assert await looked(source, server, 4, good=360, cand=40, bad_cand=1) == "told"
    assert door.bodies[0] == door.bodies[1] == door.bodies[2]
    assert sums(door) == (360, 40, 1)


@pytest.mark.parametrize("between", ["ch-other", ""])
async def test_what_was_counted_while_the_flag_served_something_else_is_not_told(tmp_path, server, door: Door, between):
    async with a_source(tmp_path, server, door) as source:
        for second, change in enumerate([CHANGE, between, CHANGE]):
            door.change = change
            assert await looked(source, server, second, good=90 * second, cand=10 * second) in (
                "baseline",
                "no_rollout",
            )
        assert await looked(source, server, 3, good=270, cand=30) == "told"
    assert sums(door) == (90, 10, 0)


async def test_nor_what_was_counted_for_another_rollout_after_a_restart(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door) as source:
        await looked(source, server, 0)
    async with a_source(tmp_path, server, door) as source:
        for second, change in enumerate(["ch-other", CHANGE], start=1):
            door.change = change
            assert await looked(source, server, second, good=90 * second, cand=10 * second) == "baseline"
        assert await looked(source, server, 3, good=270, cand=30) == "told"
    assert sums(door) == (90, 10, 0)


async def test_two_sources_do_not_share_a_state(tmp_path: Path, server, door: Door):
    async with a_source(tmp_path, server, door):
        with pytest.raises(ConfigError, match="another source"):
            async with a_source(tmp_path, server, door):
                pass
