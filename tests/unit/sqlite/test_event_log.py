from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import audit, db, event_log, roots
from evoguard.domain.events import Event
from evoguard.errors import ConfigError, InputError, IntegrityError, UnavailableError
from signed_house import SignedHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SignedHouse]:
    made = SignedHouse(tmp_path)
    yield made
    made.close()


async def _audited(house: SignedHouse) -> audit.Report:
    return await audit.verify(house.con, LocalSigner(None, house.public), file=house.root_file)


async def test_events_cannot_be_changed_or_deleted(house: SignedHouse) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        house.con.execute("update events set reason='x'")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        house.con.execute("delete from events")


async def test_a_whole_log_has_no_problems(house: SignedHouse) -> None:
    await house.to_watch()
    await house.sign_root()
    report = await _audited(house)
    assert report.problems == ()
    assert report.events > 10
    assert report.unsigned_tail == 0


@pytest.mark.parametrize(
    "sql",
    [
        "update events set reason='it was fine' where type='change.approved'",
        "update events set actor='bob' where type='approval.recorded'",
        "update events set body='{}' where type='candidate.checked'",
        "delete from events where type='change.judged'",
        "update events set at=at-1 where type='change.mapped'",
        "delete from events where seq=(select max(seq) from events)",
        "delete from events where stream like 'change/%'",
    ],
)
async def test_a_rewritten_log_is_seen(house: SignedHouse, sql: str) -> None:
    await house.to_watch()
    await house.sign_root()
    house.tamper(sql)
    assert (await _audited(house)).problems


async def test_a_log_rewritten_with_matching_hashes_is_seen_by_the_signed_root(house: SignedHouse) -> None:
    await house.to_watch()
    await house.sign_root()
    rows = event_log.read(house.con, "registry")
    house.tamper("delete from events where stream='registry'")
    house.con.execute("delete from identities")
    for item in rows[:-1]:
        event_log.append(house.con, "registry", [item.event], now_ms=item.at)
    problems = (await _audited(house)).problems
    assert any("not what was signed" in p for p in problems)


async def test_a_root_signed_by_another_key_is_seen(house: SignedHouse, tmp_path) -> None:
    await house.to_watch()
    keys.generate(tmp_path / "other.key")
    other = LocalSigner(tmp_path / "other.key", keys.public_pem(keys.load_private(tmp_path / "other.key").public_key()))
    await roots.sign_root(house.con, other, house.clock, house.root_file)
    assert any("not signed by this key" in p for p in (await _audited(house)).problems)


async def test_a_row_from_a_newer_version_stops_its_change_and_no_other(house: SignedHouse) -> None:
    house.add("coder2", "agent")
    bad = await house.submit()
    await house.drive(bad)
    good = await house.submit(author="coder2", head="d" * 40)
    await house.drive(good)
    house.tamper(f"update events set format=99 where stream='change/{bad}' and version=2")  # noqa: S608
    await house.vote(good, "alice")
    await house.drive(good)
    assert await house.status(good) == "rolling out"
    with pytest.raises(IntegrityError, match="newer evoguard"):
        await house.queries.events(f"change/{bad}")


async def test_time_never_goes_back_in_the_log(house: SignedHouse) -> None:
    house.registry.append("registry", Event("registry.initialised"))
    house.clock.ms -= 10_000_000
    house.registry.append("registry", Event("registry.initialised"))
    times = [e.at for e in event_log.read(house.con, "registry")]
    assert times == sorted(times)


def test_a_state_from_a_newer_evoguard_is_refused(tmp_path) -> None:
    db.connect(tmp_path / "evoguard.db", create=True).close()
    con = sqlite3.connect(tmp_path / "evoguard.db")
    con.execute("pragma user_version=99")
    con.close()
    with pytest.raises(ConfigError, match="newer evoguard"):
        db.connect(tmp_path / "evoguard.db")


def test_a_state_of_an_older_layout_is_refused_and_left_alone(tmp_path) -> None:
    con = sqlite3.connect(tmp_path / "evoguard.db")
    con.execute("create table roots(id integer primary key, heads text)")
    con.execute("pragma user_version=1")
    con.close()
    for create in (False, True):
        with pytest.raises(ConfigError) as caught:
            db.connect(tmp_path / "evoguard.db", create=create)
        assert (caught.value.code, "evoguard init" in caught.value.fix) == ("state.older", True)
    con = sqlite3.connect(tmp_path / "evoguard.db")
    assert [row[0] for row in con.execute("select name from sqlite_master")] == ["roots"]
    con.close()


def test_a_missing_state_says_how_to_make_one(tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        db.connect(tmp_path / "evoguard.db")
    assert "evoguard init" in caught.value.fix


async def test_a_locked_database_is_an_error_that_may_be_retried_and_stores_nothing(house: SignedHouse) -> None:
    other = sqlite3.connect(house.folder / "evoguard.db", isolation_level=None)
    other.execute("begin exclusive")
    house.con.execute("pragma busy_timeout=10")
    with pytest.raises(UnavailableError) as caught:
        await house.submit()
    assert caught.value.retryable
    other.execute("rollback")
    other.close()
    assert house.con.execute("select count(*) from inbox").fetchone()[0] == 0


async def test_a_full_disk_stores_nothing_and_says_so(house: SignedHouse) -> None:
    pages = house.con.execute("pragma page_count").fetchone()[0]
    house.con.execute(f"pragma max_page_count={pages}")
    with pytest.raises(UnavailableError, match="disk is full"):
        await house.inbox.put("ch-000000000000", "submit", "x" * 500_000, key="big")
    assert house.con.execute("select count(*) from inbox").fetchone()[0] == 0


async def test_a_repeated_message_is_stored_once_and_a_reused_nonce_is_refused(house: SignedHouse) -> None:
    first = await house.inbox.put("ch-000000000000", "approve", "{}", key="vote/n")
    assert await house.inbox.put("ch-000000000000", "approve", "{}", key="vote/n") == first
    with pytest.raises(Exception, match="used before"):
        await house.inbox.put("ch-000000000001", "approve", "{}", key="vote/n")


async def test_an_effect_is_done_once_and_its_result_kept(house: SignedHouse) -> None:
    done: list[int] = []

    async def do() -> str:
        done.append(1)
        return "result"

    assert [await house.effects.once("k", do) for _ in range(3)] == ["result"] * 3
    assert done == [1]


def test_the_database_file_is_private(tmp_path) -> None:
    old = os.umask(0o077)
    db.connect(tmp_path / "evoguard.db", create=True).close()
    os.umask(old)
    assert stat.S_IMODE((tmp_path / "evoguard.db").stat().st_mode) == 0o600


async def test_an_author_held_by_an_abort_is_released_by_two_people_only(house: SignedHouse) -> None:
    change = await house.to_watch()
    house.traffic(change, units=400, percent=1, bad_known_good=20)
    house.clock.wait(2)
    await house.drive(change)
    house.traffic(change, units=300, percent=10, bad_candidate=9, bad_known_good=13)
    assert (await house.drive(change)).outcome == "reverted"
    house.registry.release(lambda kill_id: frozenset({"alice"}) if kill_id == f"abort-{change}" else frozenset())
    assert await house.queries.held("coder")
    house.registry.release(lambda kill_id: frozenset({"alice", "bob"}) if kill_id == f"abort-{change}" else frozenset())
    assert not await house.queries.held("coder")


async def test_a_disk_that_fills_between_effect_and_record_leaves_the_claim_and_the_next_try_records(
    house: SignedHouse,
) -> None:
    done: list[int] = []

    async def fills_the_disk() -> str:
        done.append(1)
        house.con.execute(f"pragma max_page_count={house.con.execute('pragma page_count').fetchone()[0]}")
        return "x" * 200_000

    with pytest.raises(UnavailableError, match="disk is full"):
        await house.effects.once("k", fills_the_disk)
    assert house.con.execute("select done from effects where key='k'").fetchone()[0] == 0
    house.con.execute("pragma max_page_count=1000000")

    async def again() -> str:
        done.append(2)
        return "result"

    assert await house.effects.once("k", again) == "result"
    assert await house.effects.once("k", again) == "result"
    assert done == [1, 2]


def test_one_key_is_one_identity(house: SignedHouse) -> None:
    pem = house.con.execute("select public_pem from identities where name='alice'").fetchone()[0]
    with pytest.raises(InputError, match="this key is registered already"):
        house.registry.append("registry", Event("person.added", {"name": "alias", "public_pem": pem}))


async def test_a_lifted_kill_does_not_release_an_author_whom_an_abort_holds(house: SignedHouse) -> None:
    for kill in ("abort-ch-1", "kill-1"):
        house.registry.append("kills", Event("author.held", {"author": "coder", "kill": kill}, reason=kill))
    house.registry.append("kills", Event("author.released", {"kill": "kill-1"}))
    assert await house.queries.held("coder") == "abort-ch-1"
