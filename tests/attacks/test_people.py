"""Attacks on who is a person: one person and an invented name must never be two, whatever the log is made to say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from evoguard.adapters import keys
from evoguard.adapters.signer import new_nonce, read_command, sign_command
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.domain.change import ActorKind
from evoguard.domain.events import Event
from evoguard.domain.identity import VOUCH_LIFE_S, VOUCHED, Command, Identity, subject_of
from evoguard.errors import AuthError, EvoguardError, InputError, UnavailableError
from evoguard.settings import Settings
from evoguard.wiring import desk
from evoguard.wiring.init import init
from evoguard.wiring.state import Opened, open_state
from fakes import FakeClock

LATER = 4_000_000_000


@dataclass
class Office:
    """One installation with alice, bob and the agent coder; carol is not registered and has a key."""

    folder: Path
    opened: Opened = field(init=False)
    public: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings.load(self.folder / "state", {"HOME": str(self.folder)})
        init(self.settings)
        self.opened = open_state(self.settings)
        for name in ("alice", "bob", "coder", "carol", "mallory"):
            self.public[name] = keys.generate(self.folder / f"{name}.key")
        self.add("alice")
        self.add("bob", by="alice")
        self.add("coder", by="alice", kind="agent")

    def pen(self, name: str) -> desk.KeyPen:
        return desk.KeyPen(self.folder / f"{name}.key")

    def add(
        self, name: str, *, by: str = "", key: str = "", kind: ActorKind = "person", opened: Opened | None = None
    ) -> desk.Registered:
        pen = self.pen(by) if by else None
        return desk.register(opened or self.opened, kind, name, self.public[key or name], by=by, pen=pen)

    def applicant(self, name: str, key: str = "") -> Identity:
        return Identity(name, "person", self.public[key or name].decode())

    def forge(self, *, by: str, key: str, subject: str = "", purpose: str = "person.add", expires: int = LATER) -> None:
        """Write a vouch for carol into the log, past the front desk."""
        carol = self.applicant("carol")
        command = Command(purpose, subject or subject_of(carol), by, new_nonce(), expires)
        envelope = sign_command(command, keys.load_private(self.folder / f"{key}.key"))
        body = {"by": by, "name": "carol", "public_pem": carol.public_pem, "envelope": envelope}
        self.opened.registry.append("registry", Event(VOUCHED, body, actor=by))

    def revoke(self, name: str) -> None:
        self.opened.con.execute("update identities set revoked=1 where name=?", (name,))

    def waits(self) -> list[tuple[object, object]]:
        return [(row["name"], row["vouched_by"]) for row in asyncio.run(desk.waiting(self.opened))]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.opened.close()


def test_one_person_and_an_invented_name_are_not_two(office: Office):
    assert office.add("carol", by="alice").ask == ("bob",)
    assert office.opened.registry.people() == ("alice", "bob")
    with pytest.raises(InputError) as caught:
        office.add("carol", by="alice")
    assert caught.value.code == "person.vouched"
    assert office.opened.queries.identity_now("carol") is None
    assert office.add("carol", by="bob").vouched_by == ("alice", "bob")
    assert office.opened.registry.people() == ("alice", "bob", "carol")


def test_an_agent_takes_one_person(office: Office):
    assert office.add("mallory", by="bob", kind="agent").ask == ()


FORGERIES: dict[str, dict[str, Any]] = {
    "signed by the other's key": {"by": "bob", "key": "alice"},
    "by an agent": {"by": "coder", "key": "coder"},
    "by a stranger": {"by": "mallory", "key": "mallory"},
    "by the applicant": {"by": "carol", "key": "carol"},
    "expired": {"by": "bob", "key": "bob", "expires": 1_700_000_000},
    "a vote on a change": {"by": "bob", "key": "bob", "purpose": "approve"},
    "for an agent": {"by": "bob", "key": "bob", "purpose": "agent.add"},
    "for somebody else": {"by": "bob", "key": "bob", "subject": "sha256:" + "0" * 64},
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_vouch_that_is_no_vouch_of_another_person_does_not_count(office: Office, forgery: dict[str, Any]):
    office.forge(**forgery)
    assert office.waits() == []
    assert office.add("carol", by="alice").ask == ("bob",)
    assert office.opened.queries.identity_now("carol") is None


def test_a_true_vouch_of_the_log_counts(office: Office):
    """What the forgeries above are compared with: this builder writes a vouch that is good."""
    office.forge(by="bob", key="bob")
    assert office.add("carol", by="alice").vouched_by == ("bob", "alice")


@pytest.mark.parametrize("sponsor", ["coder", "mallory", ""])
def test_nobody_but_a_registered_person_proposes_or_completes(office: Office, sponsor: str):
    for _ in range(2):
        with pytest.raises(AuthError) as caught:
            office.add("carol", by=sponsor)
        assert caught.value.code == "auth.sponsor"
        if not office.waits():
            office.add("carol", by="alice")
    assert office.waits() == [("carol", ["alice"])]


@pytest.mark.parametrize(("name", "key"), [("alice", "carol"), ("alias", "alice")])
def test_nobody_vouches_for_themselves(office: Office, name: str, key: str):
    with pytest.raises(AuthError) as caught:
        office.add(name, key=key, by="alice")
    assert caught.value.code == "person.self"


def test_another_persons_key_does_not_sign_for_the_second(office: Office):
    office.add("carol", by="alice")
    with pytest.raises(EvoguardError) as caught:
        desk.register(office.opened, "person", "carol", office.public["carol"], by="bob", pen=office.pen("alice"))
    assert caught.value.code == "auth.signature"


def test_a_key_that_was_not_vouched_for_does_not_get_the_name(office: Office):
    office.add("carol", by="alice")
    assert office.add("carol", key="mallory", by="bob").ask == ("alice",)
    assert office.waits() == [("carol", ["alice"]), ("carol", ["bob"])]
    assert office.add("carol", by="bob").ask == ()
    assert office.waits() == []  # the name is taken, the other key gets nothing
    with pytest.raises(InputError) as caught:
        office.add("carol", key="mallory", by="alice")
    assert caught.value.code == "identity.taken"


def test_a_vouch_expires(office: Office):
    office.add("carol", by="alice")
    clock = FakeClock()
    clock.ms = office.opened.clock.now_ms() + (VOUCH_LIFE_S + 1) * 1000
    later = replace(office.opened, clock=clock)  # type: ignore[arg-type]  # a clock is a clock
    assert asyncio.run(desk.waiting(later)) == []
    assert office.add("carol", by="bob", opened=later).ask == ("alice",)


def test_a_vouch_that_would_have_ended_when_an_auditor_counts_does_not_count(office: Office):
    office.forge(by="bob", key="bob", expires=office.opened.clock.now_ms() // 1000 + 30)
    assert office.add("carol", by="alice").ask == ("bob",)


def test_a_revoked_sponsors_vouch_does_not_count(office: Office):
    office.add("carol", by="alice")
    office.add("carol", by="bob")
    office.add("mallory", by="carol")
    office.revoke("carol")
    assert office.waits() == []
    assert office.add("mallory", by="bob").ask == ("alice",)


def test_when_everybody_is_revoked_nobody_is_the_first_again(office: Office):
    office.revoke("alice")
    office.revoke("bob")
    with pytest.raises(AuthError):
        office.add("carol")


def test_the_name_and_key_of_an_identity_are_not_even_proposed(office: Office):
    for name, key in (("coder", "carol"), ("carol", "coder")):
        with pytest.raises(InputError) as caught:
            office.add(name, key=key, by="alice")
        assert caught.value.code == "identity.taken"
    assert office.waits() == []


def test_the_log_alone_proves_both_vouches(office: Office):
    """An auditor has the stream and nothing else: keys from earlier events, signatures from the last one."""
    office.add("carol", by="alice")
    office.add("carol", by="bob")
    events = [item.event for item in asyncio.run(office.opened.queries.events("registry"))]
    pems = {str(e.body["name"]): str(e.body["public_pem"]) for e in events if e.type == "person.added"}
    vouches: Any = events[-1].body["vouches"]
    signed = {v["by"]: read_command(v["envelope"], Identity(v["by"], "person", pems[v["by"]])) for v in vouches}
    subject = subject_of(Identity("carol", "person", pems["carol"]))
    assert {name: (c.purpose, c.subject) for name, c in signed.items()} == {
        "alice": ("person.add", subject),
        "bob": ("person.add", subject),
    }


def test_the_list_names_no_voucher_whose_signature_does_not_prove_it(office: Office):
    """A registration that was written past the front desk shows as signed by nobody."""
    office.forge(by="bob", key="alice")
    forged: Any = asyncio.run(office.opened.queries.events("registry"))[-1].event.body
    vouches = [{"by": "bob", "envelope": forged["envelope"]}, {"by": "alice", "envelope": forged["envelope"]}, "x"]
    body = {"name": "carol", "public_pem": forged["public_pem"], "vouches": vouches}
    office.opened.registry.append("registry", Event("person.added", body, actor="bob"))
    rows = {row["name"]: row for row in asyncio.run(desk.listed(office.opened, "person"))}
    assert (rows["carol"]["signed"], rows["carol"]["vouched_by"]) == (False, [])
    assert (rows["bob"]["signed"], rows["bob"]["vouched_by"]) == (True, ["alice"])


def test_a_registration_of_before_two_people_were_needed_still_shows_its_sponsor(office: Office):
    carol = office.applicant("carol")
    expires = office.opened.clock.now_ms() // 1000 + 3600
    envelope = office.pen("alice").sign(Command("person.add", subject_of(carol), "alice", new_nonce(), expires))
    body = {"name": "carol", "public_pem": carol.public_pem, "envelope": envelope}
    office.opened.registry.append("registry", Event("person.added", body, actor="alice"))
    rows = {row["name"]: row for row in asyncio.run(desk.listed(office.opened, "person"))}
    assert rows["carol"]["vouched_by"] == ["alice"]


def at_once(office: Office, *calls: Callable[[Opened], desk.Registered]) -> list[desk.Registered | str]:
    """Return what each call, on its own connection and released together, came to."""
    gate, found = threading.Barrier(len(calls)), list[desk.Registered | str]()

    def one(call: Callable[[Opened], desk.Registered]) -> None:
        opened = open_state(office.settings)
        gate.wait()
        try:
            found.append(call(opened))
        except EvoguardError as err:
            found.append(err.code)
        finally:
            opened.close()

    threads = [threading.Thread(target=one, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_two_who_complete_at_once_add_once(office: Office):
    office.add("carol", by="alice")
    found = at_once(office, *[lambda opened: office.add("carol", by="bob", opened=opened)] * 2)
    assert sorted(f if isinstance(f, str) else "added" for f in found) == ["added", "identity.taken"]
    events = asyncio.run(office.opened.queries.events("registry"))
    assert [e.event.body["name"] for e in events if e.event.type == "person.added"] == ["alice", "bob", "carol"]


def test_of_two_who_vouch_at_once_the_later_sees_the_other(office: Office):
    found = at_once(
        office,
        lambda opened: office.add("carol", by="alice", opened=opened),
        lambda opened: office.add("carol", by="bob", opened=opened),
    )
    assert sorted(len(f.ask) for f in found if isinstance(f, desk.Registered)) == [0, 1]


def test_nobody_writes_between_what_is_read_and_what_is_decided(office: Office):
    other = SqliteRegistry(db.connect(office.settings.database, busy_s=0), office.opened.clock)
    refused: list[str] = []

    def decision(past: object) -> Event:
        try:
            other.append("registry", Event(VOUCHED, {"by": "bob"}))
        except UnavailableError as err:
            refused.append(err.code)
        return Event(VOUCHED, {"by": "alice"})

    office.opened.registry.decide(office.applicant("carol"), decision)
    assert refused == ["unavailable.database"]


def test_without_the_count_of_sponsors_one_person_makes_another(office: Office, monkeypatch: pytest.MonkeyPatch):
    """The gate is load-bearing: without it alice alone invents people."""
    monkeypatch.setattr(desk, "sponsors_needed", lambda kind, *, people, first: 1)
    assert office.add("carol", by="alice").ask == ()


def test_without_the_proof_of_a_vouch_a_forged_one_counts(office: Office, monkeypatch: pytest.MonkeyPatch):
    """The gate is load-bearing: without it a line in the log is a person's word."""
    office.forge(by="bob", key="alice")
    monkeypatch.setattr(desk, "counted", lambda vouch, sponsor, prove, *, now_s: Command("", "", vouch.by, "", LATER))
    assert office.add("carol", by="alice").ask == ()
