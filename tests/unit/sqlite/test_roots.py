"""Signed roots: one chain, the newest in a file as well, and kill -9 at each point of signing one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from evoguard.adapters import durable
from evoguard.adapters.sqlite import db, roots
from evoguard.domain.canonical import Json, digest_of
from evoguard.domain.events import Event
from evoguard.errors import UnavailableError
from signed_house import SignedHouse


class DiesHereError(BaseException):
    """Stands for kill -9: nothing after it runs, and nothing uncommitted is kept."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SignedHouse]:
    made = SignedHouse(tmp_path)
    yield made
    made.close()


def something_happens(house: SignedHouse) -> None:
    house.registry.append("registry", Event("registry.initialised"))


async def _numbers(house: SignedHouse) -> list[int]:
    return [row.n for row in roots.rows(house.con)]


async def test_each_root_names_the_one_before_it_and_the_file_holds_the_newest(house: SignedHouse) -> None:
    for _ in range(3):
        something_happens(house)
        assert await house.sign_root()
    rows = roots.rows(house.con)
    said = [await roots.read(house.ports.signer, row.bundle) for row in rows]
    assert [root.n for root in said] == [1, 2, 3]
    assert [root.previous for root in said] == ["", digest_of(rows[0].bundle), digest_of(rows[1].bundle)]
    assert house.root_file.read_bytes() == rows[-1].bundle
    assert house.root_file.stat().st_mode & 0o777 == 0o600
    assert await house.problems() == ()


async def test_nothing_is_signed_when_nothing_happened(house: SignedHouse) -> None:
    assert await house.sign_root()
    assert not await house.sign_root()
    assert await _numbers(house) == [1]


async def test_a_state_without_events_has_no_root_and_no_file(tmp_path: Path, house: SignedHouse) -> None:
    con = db.connect(tmp_path / "empty.db", create=True)
    assert not await roots.sign_root(con, house.ports.signer, house.clock, tmp_path / "none.json")
    assert await roots.newest(con, house.ports.signer, tmp_path / "none.json") is None
    con.close()


def test_roots_cannot_be_changed_or_deleted(house: SignedHouse) -> None:
    house.con.execute("insert into roots values(1,1,1,'x')")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        house.con.execute("delete from roots")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        house.con.execute("update roots set seq=2")


class Dying:
    """The service's signer in a process that is killed while it signs."""

    def __init__(self, house: SignedHouse) -> None:
        self.verify, self.command = house.ports.signer.verify, house.ports.signer.command

    async def attest(self, statement: Mapping[str, Json]) -> bytes:
        raise DiesHereError


@contextmanager
def _dies_at_commit(*, after: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    original = db.transaction

    @contextmanager
    def dying(con: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        with original(con):
            yield con
            if not after:
                raise DiesHereError
        raise DiesHereError

    with monkeypatch.context() as patch:
        patch.setattr(roots, "transaction", dying)
        yield


def _dying_write(*words: object, **more: object) -> None:
    raise DiesHereError


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    ("point", "in_database", "in_file"),
    [("signing", 0, 0), ("file", 0, 0), ("before the commit", 0, 1), ("after the commit", 1, 1)],
)
async def test_a_crash_at_any_point_leaves_the_file_equal_or_one_ahead_and_the_next_round_goes_on(
    house: SignedHouse, monkeypatch: pytest.MonkeyPatch, before: int, point: str, in_database: int, in_file: int
) -> None:
    for _ in range(before):
        something_happens(house)
        await house.sign_root()
    something_happens(house)
    with pytest.raises(DiesHereError), monkeypatch.context() as patch:
        if point == "signing":
            await roots.sign_root(house.con, Dying(house), house.clock, house.root_file)
        elif point == "file":
            patch.setattr(durable, "write", _dying_write)
            await house.sign_root()
        else:
            with _dies_at_commit(after=point == "after the commit", monkeypatch=monkeypatch):
                await house.sign_root()
    house.again()
    left = roots.kept(house.root_file)
    kept = (await roots.read(house.ports.signer, left)).n if left else 0
    assert (len(await _numbers(house)), kept) == (before + in_database, before + in_file)
    assert await house.problems() == ()  # an auditor who looks right now raises no false alarm

    something_happens(house)
    while await house.sign_root():
        pass
    assert await _numbers(house) == list(range(1, before + in_file + 2))
    assert [row.bundle for row in roots.rows(house.con) if row.n == kept] == ([left] if left else [])
    assert await house.problems() == ()


async def test_a_root_file_that_cannot_be_written_signs_nothing_and_may_be_tried_again(house: SignedHouse) -> None:
    gone = house.folder / "gone" / roots.FILE
    with pytest.raises(UnavailableError) as caught:
        await roots.sign_root(house.con, house.ports.signer, house.clock, gone)
    assert caught.value.retryable
    assert await _numbers(house) == []


async def test_a_locked_database_keeps_the_root_in_the_file_and_stores_it_later(house: SignedHouse) -> None:
    other = sqlite3.connect(house.folder / "evoguard.db", isolation_level=None)
    other.execute("begin immediate")
    house.con.execute("pragma busy_timeout=10")
    with pytest.raises(UnavailableError):
        await house.sign_root()
    other.execute("rollback")
    other.close()
    left = house.root_file.read_bytes()
    assert await house.sign_root()
    assert [row.bundle for row in roots.rows(house.con)] == [left]
