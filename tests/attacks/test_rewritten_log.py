"""Whoever can write the database rewrites history: each way is found, and goes through once its check is removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evoguard.adapters.sqlite import event_log, replay, roots, sponsors
from evoguard.domain.events import Event, event_from, link
from evoguard.errors import IntegrityError
from signed_house import SignedHouse

Attack = Callable[[SignedHouse], None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SignedHouse]:
    made = SignedHouse(tmp_path)
    yield made
    made.close()


# --- events -------------------------------------------------------------------------------------------------


def rechain(house: SignedHouse, stream: str) -> None:
    """Make every link of a stream right again, in place."""
    prev = ""
    rows = house.con.execute(
        "select version,at,type,body,actor,reason,causation from events where stream=? order by version", (stream,)
    ).fetchall()
    for version, at, kind, body, actor, reason, causation in rows:
        doc = {"type": kind, "body": json.loads(body), "actor": actor, "reason": reason, "causation": causation}
        mark = link(stream, version, at, event_from(doc), prev)
        house.con.execute(
            "update events set prev_hash=?, hash=? where stream=? and version=?", (prev, mark, stream, version)
        )
        prev = mark


def rewrite_an_event_and_its_chain(house: SignedHouse) -> None:
    house.tamper("update events set actor='bob' where type='change.judged'")
    rechain(house, str(house.con.execute("select stream from events where type='change.judged'").fetchone()[0]))


async def test_a_rewritten_event_in_a_recomputed_chain_is_found_by_the_signed_roots_alone(
    house: SignedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.history()
    rewrite_an_event_and_its_chain(house)
    assert any("not what was signed then" in text for text in await house.problems())
    monkeypatch.setattr(roots, "covers", lambda *_: True)
    assert await house.problems() == ()


async def test_a_rewritten_log_is_not_signed_again(house: SignedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.history()
    rewrite_an_event_and_its_chain(house)
    for _ in range(2):
        house.registry.append("registry", Event("registry.initialised"))
        with pytest.raises(IntegrityError) as caught:
            await house.sign_root()
        assert caught.value.code == "audit.log_rewritten"
    assert len(roots.rows(house.con)) == 4
    monkeypatch.setattr(roots, "covers", lambda *_: True)
    assert await house.sign_root()


async def test_a_broken_link_after_the_newest_root_is_found(
    house: SignedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.history()
    house.registry.append("registry", Event("registry.initialised"), Event("registry.initialised"))
    house.tamper("update events set actor='bob' where seq=(select max(seq)-1 from events)")
    assert any("does not match its hash" in text for text in await house.problems())
    monkeypatch.setattr(event_log, "link", lambda *words: house.con.execute(
        "select hash from events where stream=? and version=?", words[:2]).fetchone()[0])  # fmt: skip
    assert await house.problems() == ()


# --- what the guard reads -----------------------------------------------------------------------------------


def forge_a_person(house: SignedHouse) -> None:
    pem = house.applicant("mallory").public_pem
    house.con.execute("insert into identities(name,kind,public_pem) values('mallory','person',?)", (pem,))


def make_the_agent_a_person(house: SignedHouse) -> None:
    house.tamper("update identities set kind='person' where name='coder'")


def swap_a_persons_key(house: SignedHouse) -> None:
    pem = house.applicant("mallory").public_pem
    house.con.execute("update identities set public_pem=? where name='bob'", (pem,))


def forget_a_person(house: SignedHouse) -> None:
    house.tamper("delete from identities where name='alice'")


def edit_a_change(house: SignedHouse) -> None:
    house.tamper("update changes set status='known-good', outcome='known-good'")


def hide_a_change(house: SignedHouse) -> None:
    house.tamper("delete from changes")


def drop_a_kill(house: SignedHouse) -> None:
    house.tamper("delete from kills")


def lower_a_kill(house: SignedHouse) -> None:
    house.tamper("update kills set epoch=0")


def release_an_author(house: SignedHouse) -> None:
    house.tamper("delete from holds")


def free_a_nonce(house: SignedHouse) -> None:
    house.tamper("delete from nonces where nonce like 'nnn%'")


@pytest.mark.parametrize(
    ("attack", "table", "words"),
    [
        (forge_a_person, "identities", "identities mallory: no event makes this row"),
        (make_the_agent_a_person, "identities", "identities coder: not what the events say: kind"),
        (swap_a_persons_key, "identities", "identities bob: not what the events say: public_pem"),
        (forget_a_person, "identities", "identities alice: the events make this row"),
        (edit_a_change, "changes", "not what the events say: status, outcome"),
        (hide_a_change, "changes", "the events make this row, and it is not there"),
        (drop_a_kill, "kills", "kills kill-00000000: the events make this row"),
        (lower_a_kill, "kills", "kills kill-00000000: not what the events say: epoch"),
        (release_an_author, "holds", "holds coder kill-00000000: the events make this row"),
        (free_a_nonce, "nonces", "nonces nnnn"),
    ],
)
async def test_a_forged_row_is_found_by_making_its_table_anew_and_by_nothing_else(
    house: SignedHouse, monkeypatch: pytest.MonkeyPatch, attack: Attack, table: str, words: str
) -> None:
    await house.history()
    attack(house)
    found = await house.problems()
    assert len(found) == 1
    assert words in found[0]
    monkeypatch.setattr(replay, "TABLES", tuple(name for name in replay.TABLES if name != table))
    assert await house.problems() == ()


async def test_many_forged_rows_are_five_lines_and_a_count(house: SignedHouse) -> None:
    await house.history()
    house.con.executemany("insert into nonces values(?,'approve',1)", [(f"forged-{n:03}",) for n in range(40)])
    found = await house.problems()
    assert len(found) == 6
    assert found[-1] == "nonces: 35 more rows differ"


async def test_a_workers_remark_on_a_change_is_no_problem(house: SignedHouse) -> None:
    await house.history()
    change = str(house.con.execute("select id from changes").fetchone()[0])
    house.registry.note(change, "tried 3 times: unavailable.sandbox")
    assert await house.problems() == ()


async def test_an_event_that_makes_no_sense_is_a_problem_and_no_crash(house: SignedHouse) -> None:
    await house.history()
    with house.con:
        house.tamper("delete from identities where name='coder'")
        again = {"name": "coder", "public_pem": "x"}
        event_log.append(house.con, "registry", [Event("agent.added", again)], now_ms=house.clock.now_ms())
    assert any("cannot be applied: IntegrityError" in text for text in await house.problems())


# --- registrations in the log itself ------------------------------------------------------------------------


def admit_without_signatures(house: SignedHouse) -> None:
    house.admit(house.applicant("mallory"))


def admit_with_one_of_two(house: SignedHouse) -> None:
    who = house.applicant("mallory")
    house.admit(who, house.vouch(who, "alice"))


def admit_with_the_same_person_twice(house: SignedHouse) -> None:
    who = house.applicant("mallory")
    house.admit(who, house.vouch(who, "alice"), house.vouch(who, "alice"))


def admit_with_an_agents_signature(house: SignedHouse) -> None:
    who = house.applicant("mallory")
    house.admit(who, house.vouch(who, "alice"), house.vouch(who, "coder"))


def admit_with_a_foreign_key(house: SignedHouse) -> None:
    who = house.applicant("mallory")
    house.admit(who, house.vouch(who, "alice"), house.vouch(who, "bob", key="mallory"))


def admit_with_somebody_elses_vouch(house: SignedHouse) -> None:
    who, other = house.applicant("mallory"), house.applicant("dora")
    house.admit(who, house.vouch(who, "alice"), house.vouch(other, "bob"))


def admit_with_an_expired_vouch(house: SignedHouse) -> None:
    who = house.applicant("mallory")
    house.admit(who, house.vouch(who, "alice"), house.vouch(who, "bob", life_s=-5))


def admit_an_agent_unsigned(house: SignedHouse) -> None:
    house.admit(house.applicant("robot", "agent"))


def admit_in_another_stream(house: SignedHouse) -> None:
    """Signed as it must be, and where nobody who reads the registry sees it."""
    who = house.applicant("mallory")
    vouches = [house.vouch(who, by).as_json() for by in ("alice", "bob")]
    body = {"name": who.name, "public_pem": who.public_pem, "vouches": vouches}
    house.registry.append("kills", Event("person.added", body))


@pytest.mark.parametrize(
    "attack",
    [
        admit_without_signatures, admit_with_one_of_two, admit_with_the_same_person_twice,
        admit_with_an_agents_signature, admit_with_a_foreign_key, admit_with_somebody_elses_vouch,
        admit_with_an_expired_vouch, admit_an_agent_unsigned, admit_in_another_stream,
    ],
)  # fmt: skip
async def test_a_registration_without_its_signatures_is_found_in_the_log_and_by_nothing_else(
    house: SignedHouse, monkeypatch: pytest.MonkeyPatch, attack: Attack
) -> None:
    await house.history()
    attack(house)
    await house.sign_root()  # the row has its event, the event its link and its root
    found = await house.problems()
    assert len(found) == 1
    assert "was registered" in found[0]
    monkeypatch.setattr(sponsors.Registrations, "problem", lambda *_: "")
    assert await house.problems() == ()


async def test_a_third_person_and_an_agent_with_their_signatures_are_no_problem(house: SignedHouse) -> None:
    house.add("carol", "person")
    house.add("robot", "agent")
    await house.sign_root()
    assert await house.problems() == ()
