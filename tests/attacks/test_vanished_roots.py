"""Whoever can write the database takes signed roots away: found by the root file, or by a root kept elsewhere."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import audit, roots
from evoguard.domain.events import Event
from evoguard.errors import IntegrityError
from evoguard.flow.runs import Advance
from evoguard.worker import Worker
from signed_house import SignedHouse

Attack = Callable[[SignedHouse], Awaitable[None] | None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SignedHouse]:
    made = SignedHouse(tmp_path)
    yield made
    made.close()


async def done(result: Awaitable[None] | None) -> None:
    """Let an attack end."""
    if result is not None:
        await result


# --- the roots ----------------------------------------------------------------------------------------------


def delete_all_roots(house: SignedHouse) -> None:
    house.tamper("delete from roots")


def delete_the_newest_roots(house: SignedHouse) -> None:
    house.tamper("delete from roots where n>2")


def cut_the_log_with_its_roots(house: SignedHouse) -> None:
    """Go back to root 2: events, roots and all that the events had made."""
    house.tamper(
        "delete from events where seq>(select seq from roots where n=2)", "delete from roots where n>2",
        "delete from holds", "delete from nonces where nonce like 'nnn%'",
    )  # fmt: skip


def put_an_older_root_into_the_file(house: SignedHouse) -> None:
    house.root_file.write_bytes(roots.rows(house.con)[1].bundle)


def put_rubbish_into_the_file(house: SignedHouse) -> None:
    house.root_file.write_bytes(b"{}")


def delete_the_file(house: SignedHouse) -> None:
    house.root_file.unlink()


async def put_a_root_of_another_key_into_the_file(house: SignedHouse) -> None:
    """Even one that carries on well: the signature decides."""
    keys.generate(house.folder / "other.key")
    public = keys.public_pem(keys.load_private(house.folder / "other.key").public_key())
    newest = await roots.read(house.ports.signer, house.root_file.read_bytes())
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "heads", "digest": {"sha256": newest.heads.removeprefix("sha256:")}}],
        "predicateType": roots.ROOT_TYPE,
        "predicate": {"n": newest.n, "previous": newest.previous, "seq": newest.seq, "streams": 1, "at": 1},
    }
    house.root_file.write_bytes(await LocalSigner(house.folder / "other.key", public).attest(statement))
    house.tamper("delete from roots where n=4")


AGAINST_THE_FILE: list[Attack] = [
    delete_all_roots, delete_the_newest_roots, cut_the_log_with_its_roots, put_an_older_root_into_the_file,
    put_rubbish_into_the_file, delete_the_file, put_a_root_of_another_key_into_the_file,
]  # fmt: skip


@pytest.mark.parametrize("attack", AGAINST_THE_FILE)
async def test_roots_that_vanish_are_found_by_the_file_and_by_nothing_else(house: SignedHouse, attack: Attack) -> None:
    await house.history()
    await done(attack(house))
    assert any("signed roots are missing or replaced" in text for text in await house.problems())
    assert await house.problems(file=False) == ()  # the check removed: the attack goes through


@pytest.mark.parametrize("attack", AGAINST_THE_FILE)
async def test_nothing_is_signed_over_roots_that_vanished_and_nothing_heals_it(
    house: SignedHouse, attack: Attack
) -> None:
    await house.history()
    await done(attack(house))
    before = (roots.rows(house.con), roots.kept(house.root_file))
    for _ in range(3):
        house.registry.append("registry", Event("registry.initialised"))
        with pytest.raises(IntegrityError) as caught:
            await house.sign_root()
        assert caught.value.code == "audit.roots_vanished"
    assert (roots.rows(house.con), roots.kept(house.root_file)) == before
    house.again()
    with pytest.raises(IntegrityError):
        await house.sign_root()


@pytest.mark.parametrize("attack", [delete_the_newest_roots, cut_the_log_with_its_roots, delete_all_roots])
async def test_without_the_comparison_the_worker_would_sign_as_if_nothing_was(
    house: SignedHouse, attack: Attack
) -> None:
    await house.history()
    await done(attack(house))
    there = roots.rows(house.con)
    house.root_file.unlink()
    if there:
        house.root_file.write_bytes(there[-1].bundle)  # as if the file followed the database: the comparison is void
    house.registry.append("registry", Event("registry.initialised"))
    assert await house.sign_root()
    assert await house.problems() == ()


async def test_the_newest_root_alone_taken_away_comes_back_from_the_file(house: SignedHouse) -> None:
    await house.history()
    rows = roots.rows(house.con)
    house.tamper("delete from roots where n=4")
    assert await house.problems() == ()
    assert await house.sign_root()
    assert roots.rows(house.con) == rows


async def test_the_newest_root_taken_away_with_its_events_does_not(house: SignedHouse) -> None:
    await house.history()
    house.tamper(
        "delete from events where seq>(select seq from roots where n=3)", "delete from roots where n=4"
    )  # the file leads by one, as after a crash; what it signed is not there
    assert any("not what was signed then (root 4)" in text for text in await house.problems())
    with pytest.raises(IntegrityError) as caught:
        await house.sign_root()
    assert caught.value.code == "audit.log_rewritten"


def take_a_root_from_the_middle(house: SignedHouse) -> None:
    house.tamper("delete from roots where n=2")


def replace_a_root_by_its_neighbour(house: SignedHouse) -> None:
    house.tamper("update roots set seq=r.seq, bundle=r.bundle from roots r where r.n=3 and roots.n=2")


def lie_about_what_a_root_covers(house: SignedHouse) -> None:
    house.tamper("update roots set seq=seq+1 where n=2")


@pytest.mark.parametrize(
    "attack", [take_a_root_from_the_middle, replace_a_root_by_its_neighbour, lie_about_what_a_root_covers]
)
async def test_each_root_must_carry_on_from_the_one_before_it(
    house: SignedHouse, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.history()
    await done(attack(house))
    assert any("does not carry on" in text or "something else" in text for text in await house.problems())
    monkeypatch.setattr(audit, "_link", lambda *_: "")
    assert await house.problems() == ()


# --- a whole state put back: only a root kept elsewhere tells -----------------------------------------------


async def test_a_state_put_back_with_its_root_file_is_found_by_a_root_kept_elsewhere_alone(house: SignedHouse) -> None:
    await house.sign_root()
    database, file = house.folder / "old.db", house.folder / "old.json"
    house.con.execute("vacuum into ?", (str(database),))
    shutil.copy(house.root_file, file)
    house.registry.append("registry", Event("registry.initialised"))
    await house.sign_root()
    mine = house.root_file.read_bytes()
    assert await house.problems(demanded=mine) == ()

    house.con.close()
    for name in ("evoguard.db", "evoguard.db-wal", "evoguard.db-shm"):
        (house.folder / name).unlink(missing_ok=True)
    shutil.copy(database, house.folder / "evoguard.db")
    shutil.copy(file, house.root_file)
    house.again()
    house.registry.append("registry", Event("registry.initialised"))
    await house.sign_root()  # another root 2, signed by the same key: here the guard itself has nothing to tell by
    assert await house.problems() == ()
    assert any("the root that you kept is not in this log" in text for text in await house.problems(demanded=mine))


async def test_a_root_of_the_past_is_still_found_in_the_chain(house: SignedHouse) -> None:
    await house.sign_root()
    mine = house.root_file.read_bytes()
    await house.history()
    assert await house.problems(demanded=mine) == ()


async def test_a_demanded_root_that_nobody_signed_is_not_in_the_chain_though_its_row_is(house: SignedHouse) -> None:
    await house.history()
    house.tamper("update roots set bundle='{}' where n=2")
    assert any("that you kept" in text for text in await house.problems(demanded=b"{}"))


# --- who is told --------------------------------------------------------------------------------------------


async def test_the_worker_says_at_every_round_that_it_does_not_sign(
    house: SignedHouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.history()
    delete_all_roots(house)

    async def drive(_: str) -> Advance:
        return Advance()

    monkeypatch.setattr("evoguard.worker.ROOT_EVERY_S", -1.0)  # each round is due
    worker = Worker(drive, house.waker, house.registry, house.inbox, house.latches, house.clock, house.sign_root)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await worker.tick()
            await asyncio.sleep(0)
    loud = [r for r in caplog.records if r.levelno == logging.ERROR and "audit.roots_vanished" in r.getMessage()]
    assert len(loud) == 2
    assert "evoguard audit verify" in loud[0].getMessage()
