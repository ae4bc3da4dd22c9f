from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from contract.flags_suite import BoardInHand, FlagsSuite, a_body, a_database, a_flag, locked
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.flags import MAX_SEEN, SqliteFlags, SqliteFlagStore
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.domain.kpi import BadEvent
from evoguard.errors import InputError, IntegrityError, UnavailableError

DIGEST = "sha256:" + "a" * 64
VERSIONS = json.dumps({"kind": "model", "candidate": DIGEST, "known_good": DIGEST})


@pytest.fixture
def con(tmp_path):
    with closing(connect(a_database(tmp_path), busy_s=0.1)) as held:
        yield held


class TestSqliteFlags(FlagsSuite):
    @pytest.fixture
    def flags(self, con: sqlite3.Connection, latches: BoardInHand) -> SqliteFlags:
        return SqliteFlags(con, latches)

    async def test_only_a_change_of_content_takes_a_new_revision(self, con, flags, tmp_path):
        store = SqliteFlagStore(tmp_path / "evoguard.db")
        assert store.rows() == (0, ())
        for _ in range(3):
            await flags.write(a_flag())
            assert store.rows() == (1, (a_flag(),))
        await flags.write(a_flag(percent=50))
        for _ in range(3):
            await flags.off("lending")
        assert store.rows() == (3, (a_flag(percent=50, enabled=False),))

    async def test_a_locked_database_means_that_nothing_was_written(self, con, flags, tmp_path):
        with locked(tmp_path / "evoguard.db"), pytest.raises(UnavailableError):
            await flags.write(a_flag())
        assert await flags.read("lending") is None

    async def test_the_versions_of_a_flag_are_kept_until_a_release_names_none(self, flags, tmp_path):
        named = a_flag(versions=VERSIONS)
        await flags.write(named)
        assert SqliteFlagStore(tmp_path / "evoguard.db").rows()[1] == (named,)
        await flags.off("lending")
        assert await flags.read("lending") == a_flag(versions=VERSIONS, enabled=False)
        await flags.write(a_flag())
        assert await flags.read("lending") == a_flag()

    @pytest.mark.parametrize("versions", ["{}", "x" * 5_000, "[" * 2_000, VERSIONS.replace("model", "weights")])
    async def test_versions_that_are_none_are_not_written(self, flags, versions):
        with pytest.raises(InputError):
            await flags.write(a_flag(versions=versions))
        assert await flags.read("lending") is None


async def test_a_batch_is_stored_once_and_read_back_in_order(con):
    kpis = SqliteKpis(con)
    assert kpis.store(a_body("b2"), "edge") == "stored"
    assert kpis.store(a_body("b1"), "host") == "stored"
    assert kpis.store(a_body("b2"), "edge") == "repeated"
    kpis.store(a_body("b3", change="ch-other"), "edge")
    first, second = await kpis.batches("ch-000000000001")
    assert (first.id, first.assurance, second.id, second.assurance) == ("b2", "edge", "b1", "host")
    assert (first.exposed_known_good, first.exposed_candidate) == (90, 10)
    assert first.bad == (BadEvent("u1", "candidate", "errors"),)


def test_a_retry_with_a_corrected_time_is_the_same_batch(con):
    kpis = SqliteKpis(con)
    kpis.store(a_body(at=10**12), "edge", now_ms=5)
    assert kpis.store(a_body(at=10**12), "edge", now_ms=9) == "repeated"


async def test_a_time_in_the_future_becomes_now(con):
    kpis = SqliteKpis(con)
    kpis.store(a_body(at=10**12), "edge", now_ms=5)
    assert [batch.at for batch in await kpis.batches("ch-000000000001")] == [5]


@pytest.mark.parametrize(
    ("again", "assurance"),
    [(a_body(exposed={"known_good": 1, "candidate": 1}), "edge"), (a_body(), "host"), (a_body(bad=[]), "edge")],
)
def test_another_batch_under_a_known_id_is_refused(con, again, assurance):
    kpis = SqliteKpis(con)
    kpis.store(a_body(), "edge")
    with pytest.raises(InputError) as caught:
        kpis.store(again, assurance)
    assert caught.value.code == "kpi.repeated"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, a_body(id=""), a_body(id="x" * 81), a_body(id="a b"),
        a_body(id=1), a_body(at=-1), a_body(at=1.5), a_body(at=True), a_body(at=2**60), a_body(exposed={}),
        a_body(exposed={"known_good": -1, "candidate": 0}), a_body(exposed={"known_good": 1e3, "candidate": 0}),
        a_body(exposed={"known_good": 1, "candidate": 1, "third": 1}), a_body(exposed=None), a_body(bad={}),
        a_body(exposed={"known_good": 10**9, "candidate": 0}), a_body(bad=[1]), a_body(bad=[{}]),
        a_body(bad=[{"unit": "u", "arm": "control", "kpi": "errors"}]), a_body(extra=1), a_body(bad=[{}] * 2_001),
        a_body(bad=[{"unit": "u", "arm": ["candidate"], "kpi": "errors"}]), a_body(change="../x"),
        a_body(bad=[{"unit": "u\n", "arm": "candidate", "kpi": "errors"}]), b'{"at": NaN}',
    ],
)  # fmt: skip
def test_a_malformed_batch_is_refused_and_leaves_nothing(con, body):
    with pytest.raises(InputError, match="batch"):
        SqliteKpis(con).store(body, "edge")
    assert con.execute("select count(*) from kpi").fetchone()[0] == 0


def test_the_assurance_in_a_body_is_ignored(con):
    SqliteKpis(con).store(a_body(assurance="edge", latency_ms={"p50": 3}), "self-reported")
    assert con.execute("select assurance from kpi").fetchall() == [("self-reported",)]
    assert "edge" not in con.execute("select body from kpi").fetchone()[0]


async def test_a_stored_batch_that_cannot_be_read_is_an_integrity_error(con):
    SqliteKpis(con).store(a_body(), "edge")
    con.execute("update kpi set body='{}'")
    with pytest.raises(IntegrityError):
        await SqliteKpis(con).batches("ch-000000000001")


async def test_no_answer_is_never_no_errors(con):
    con.execute("drop table kpi")
    with pytest.raises(UnavailableError):
        await SqliteKpis(con).batches("ch-000000000001")


def test_a_token_is_kept_as_a_hash_only(con):
    secret = tokens.issue(con, "kpi.write", "router", "edge")
    rows = con.execute("select * from tokens").fetchall()
    assert rows == [(tokens.token_hash(secret), "kpi.write", "edge", "router")]
    assert secret not in json.dumps(rows)
    assert secret != tokens.issue(con, "kpi.write", "router", "edge")


@pytest.mark.parametrize(
    ("kind", "name", "assurance"),
    [("admin", "a", ""), ("flags.read", "a", "edge"), ("kpi.write", "a", ""), ("kpi.write", "a", "gold"),
     ("flags.read", "A B", "")],
)  # fmt: skip
def test_a_token_of_an_unknown_kind_name_or_assurance_is_not_issued(con, kind, name, assurance):
    with pytest.raises(InputError):
        tokens.issue(con, kind, name, assurance)


def test_a_revoked_token_is_gone(con, tmp_path):
    tokens.issue(con, "flags.read", "reader")
    assert tokens.revoke(con, "reader") == 1
    assert SqliteFlagStore(tmp_path / "evoguard.db").tokens() == {}


def test_the_instances_that_were_seen_are_bounded(con, tmp_path):
    con.execute("pragma synchronous=off")
    con.execute(
        "with recursive n(i) as (select 1 union all select i+1 from n where i < 1500)"
        " insert into sdk_seen select 'i' || i, 'app', i, '{}' from n"
    )
    SqliteFlagStore(tmp_path / "evoguard.db").seen("new", "app", "{}", now_ms=10**6)
    assert con.execute("select count(*), max(at), min(at) from sdk_seen").fetchone() == (MAX_SEEN, 10**6, 502)


def test_a_database_that_was_replaced_is_opened_anew(con, tmp_path):
    store = SqliteFlagStore(tmp_path / "evoguard.db")
    assert store.rows() == (0, ())
    (tmp_path / "other").mkdir()
    other = a_database(tmp_path / "other")
    with closing(connect(other)) as second:
        second.execute("insert into meta values('flags.rev', '7')")
    con.close()
    for name in ("evoguard.db-wal", "evoguard.db-shm"):
        (tmp_path / name).unlink()
    other.replace(tmp_path / "evoguard.db")
    assert store.rows()[0] == 7


async def test_a_state_is_read_back_exactly(con):
    flags = SqliteFlags(con, BoardInHand())
    for state in (a_flag(), a_flag(percent=0), replace(a_flag(), enabled=False), a_flag(known_good="")):
        await flags.write(state)
        assert await flags.read(state.flag) == state
