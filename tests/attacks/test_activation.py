"""Attacks on which rules are in force: one person, an agent, an old signature, a forged log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters import bundles, keys
from evoguard.adapters.sqlite import event_log
from evoguard.bundle import load
from evoguard.domain.activation import ACTIVATED, STREAM, Activation, InForce, activated, filed
from evoguard.domain.events import Event
from evoguard.errors import AuthError, InputError, IntegrityError, UnavailableError
from evoguard.wiring import activating
from evoguard.wiring.rulebook import RulesNow, in_force
from rules_office import LATER, SHIPPED, Office, locks
from unit.cli.recorded import edited


def test_two_people_put_rules_in_force_and_two_take_them_back(office):
    assert office.active() == SHIPPED
    prepared = office.prepared()
    assert office.sign(prepared, "alice").ask == ("bob",)
    assert office.active() == SHIPPED
    assert office.sign(prepared, "bob").ask == ()
    assert office.active() == office.tight
    assert activating.previous(office.opened) == activating.SHIPPED
    office.activate(activating.previous(office.opened))
    assert office.active() == SHIPPED
    assert office.problems() == []
    assert activating.previous(office.opened) == office.tight


def test_one_person_signing_twice_is_one_person(office):
    prepared = office.prepared()
    office.sign(prepared, "alice")
    with pytest.raises(InputError, match="alice has signed") as said:
        office.sign(prepared, "alice")
    assert (said.value.code, "bob" in said.value.fix) == ("policy.signed", True)
    assert office.active() == SHIPPED


@pytest.mark.parametrize(
    ("by", "key", "error"),
    [("coder", "coder", AuthError), ("mallory", "alice", AuthError), ("bob", "alice", AuthError)],
)
def test_an_agent_a_stranger_and_a_foreign_key_sign_nothing(office, by, key, error):
    prepared = office.prepared()
    office.sign(prepared, "alice")
    with pytest.raises(error):
        office.sign(prepared, by, key)
    assert office.active() == SHIPPED


def test_what_was_signed_for_under_other_rules_is_void(office):
    wider = bundles.keep(office.settings.state, locks(office.folder / "wide", "mix.lock", "flake.lock"))
    old = office.prepared(wider)
    office.sign(old, "alice")
    office.activate()
    with pytest.raises(InputError) as said:
        office.sign(old, "bob")
    assert said.value.code == "policy.overtaken"
    assert office.active() == office.tight


def test_signatures_of_one_change_of_rules_are_worth_nothing_after_a_rollback(office):
    office.activate()
    (before,) = [e.event for e in asyncio.run(office.opened.queries.events(STREAM)) if e.event.type == ACTIVATED]
    office.activate(activating.SHIPPED)
    office.append(before)
    with pytest.raises(IntegrityError, match="do not follow"):
        in_force(office.opened)
    assert any("do not follow" in text for text in office.problems())


FORGED: dict[str, Callable[[Office, Activation], Event]] = {
    "nobody signed": lambda o, a: Event(ACTIVATED, {**a.as_json(), "signatures": []}),
    "one person": lambda o, a: activated(a, [o.signature(a, "alice")]),
    "one person twice": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "alice")]),
    "an agent": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "coder")]),
    "nobody registered": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "zoe", "bob")]),
    "another's key": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "bob", "alice")]),
    "for other rules": lambda o, a: activated(
        a, [o.signature(a, "alice"), o.signature(replace(a, bundle=SHIPPED), "bob")]
    ),
    "another purpose": lambda o, a: activated(
        a, [o.signature(a, "alice"), o.signature(a, "bob", purpose="lift")]
    ),
    "expired": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "bob", expires=1)]),
    "another number": lambda o, a: activated(
        b := replace(a, serial=7), [o.signature(b, "alice"), o.signature(b, "bob")]
    ),
    "another form": lambda o, a: Event(ACTIVATED, {"bundle": a.bundle}),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_rules_written_into_the_log_without_two_peoples_word_open_nothing_and_are_found(office, how):
    activation = InForce(office.opened.verifier()).next(office.tight, SHIPPED)
    office.append(FORGED[how](office, activation))
    rules = RulesNow(office.book())
    with pytest.raises(UnavailableError):
        _ = rules.digest
    assert len(office.problems()) == 1, office.problems()


def test_with_both_signatures_the_same_event_is_good(office):
    activation = InForce(office.opened.verifier()).next(office.tight, SHIPPED)
    office.append(activated(activation, [office.signature(activation, name) for name in ("alice", "bob")]))
    assert (office.active(), office.problems()) == (office.tight, [])


def test_rules_activated_in_another_stream_are_found_by_an_audit_and_never_used(office):
    activation = InForce(office.opened.verifier()).next(office.tight, SHIPPED)
    signed = [office.signature(activation, name) for name in ("alice", "bob")]
    office.append(activated(activation, signed), stream="kills")
    assert office.active() == SHIPPED
    assert len(office.problems()) == 1


def test_a_filed_signature_that_proves_nothing_does_not_count(office):
    prepared = office.prepared()
    office.append(filed(prepared.activation, office.signature(prepared.activation, "alice", "bob")))
    assert office.sign(prepared, "bob").ask == ("alice",)
    assert office.active() == SHIPPED


@pytest.mark.parametrize("harm", ["gone", "another", "edited"])
def test_rules_in_force_that_are_not_there_as_they_were_decide_nothing(office, harm):
    office.activate()
    folder = bundles.place(office.settings.state, office.tight)
    if harm == "gone":
        folder.rename(folder.with_name("elsewhere"))
    elif harm == "another":
        folder.rename(folder.with_name("elsewhere"))
        bundles.keep(office.settings.state, Path(activating.bundle.__file__).parent)
        bundles.place(office.settings.state, SHIPPED).rename(folder)
    else:
        data = folder / "data.json"
        data.write_bytes(data.read_bytes().replace(b"mix.lock", b"mix.lack"))
    with pytest.raises(UnavailableError):
        _ = RulesNow(office.book()).digest


def intruders(office: Office) -> None:
    """Write two people into the registry past the front desk, as whoever can write the database does."""
    for name in ("mal1", "mal2"):
        public = keys.generate(office.folder / f"{name}.key").decode()
        office.append(Event("person.added", {"name": name, "public_pem": public, "vouches": []}), stream="registry")


def test_invented_people_put_nothing_in_force(office):
    intruders(office)
    activation = InForce(office.opened.verifier()).next(office.tight, SHIPPED)
    office.append(activated(activation, [office.signature(activation, name) for name in ("mal1", "mal2")]))
    with pytest.raises(UnavailableError, match="registered with 0 of"):
        _ = RulesNow(office.book()).digest
    assert len(office.problems()) >= 3, office.problems()


def test_a_known_name_with_another_key_speaks_for_nobody(office):
    public = keys.generate(office.folder / "other.key").decode()
    office.opened.con.execute("delete from identities where name='alice'")
    office.append(Event("person.added", {"name": "alice", "public_pem": public, "vouches": []}), stream="registry")
    activation = InForce(office.opened.verifier()).next(office.tight, SHIPPED)
    signed = [office.signature(activation, "alice", "other"), office.signature(activation, "bob")]
    office.append(activated(activation, signed))
    with pytest.raises(UnavailableError, match="registered before"):
        _ = RulesNow(office.book()).digest


def test_what_is_signed_for_one_guard_is_nothing_to_another(office):
    activation = InForce("evoguard:staging").next(office.tight, SHIPPED)
    office.append(activated(activation, [office.signature(activation, name) for name in ("alice", "bob")]))
    with pytest.raises(UnavailableError, match="another installation"):
        _ = RulesNow(office.book()).digest
    assert len(office.problems()) == 1


def test_a_signature_that_would_hold_for_years_is_none(office):
    activation = InForce(office.opened.verifier()).next(office.tight, SHIPPED)
    signed = [office.signature(activation, "alice"), office.signature(activation, "bob", expires=LATER)]
    office.append(activated(activation, signed))
    with pytest.raises(UnavailableError, match="1 of 2"):
        _ = RulesNow(office.book()).digest


def test_a_clock_that_was_ahead_for_a_while_spoils_nothing(office, monkeypatch):
    """An event of next week, then the right time again: what is signed now is over when the log says it is."""
    ahead_ms = office.opened.clock.now_ms() + 8 * 24 * 3_600_000
    event_log.append(office.opened.con, "registry", [Event("registry.initialised")], now_ms=ahead_ms)
    office.activate()
    assert (office.active(), office.problems()) == (office.tight, [])


def test_before_it_is_written_it_must_prove(office, monkeypatch):
    monkeypatch.setattr(activating, "run_rule_tests", lambda *_, **__: [("told/to/pass", True)])
    prepared = office.prepared()
    office.sign(prepared, "alice")
    monkeypatch.setattr(activating, "LIFE_S", -5)
    with pytest.raises(InputError) as said:
        office.sign(prepared, "bob")
    assert said.value.code == "policy.unproved"
    assert in_force(office.opened).bundle is None


@pytest.mark.parametrize("trap", ["pipe", "link"])
def test_a_pipe_or_a_link_in_a_kept_bundles_place_is_no_bundle(office, trap):
    office.activate()
    scan = bundles.place(office.settings.state, office.tight) / "semgrep.json"
    scan.rename(scan.with_suffix(".aside"))
    if trap == "pipe":
        os.mkfifo(scan)
    else:
        scan.symlink_to(scan.with_suffix(".aside"))
    with pytest.raises(UnavailableError):
        _ = RulesNow(office.book()).digest


def test_two_who_keep_the_same_bundle_at_once_both_find_it_kept(office):
    wide = locks(office.folder / "wide", "mix.lock", "flake.lock")
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: bundles.keep(office.settings.state, wide), range(8)))
    assert len({*kept}) == 1
    assert bundles.kept(office.settings.state, kept[0]).manifest.digest == kept[0]
    assert not [*(office.settings.state / "bundles").glob(".new-*")]


def test_a_full_disk_is_one_clear_error(office, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundles.durable, "write", full)
    with pytest.raises(UnavailableError, match="No space left"):
        bundles.keep(office.settings.state, locks(office.folder / "wide", "mix.lock", "flake.lock"))


def test_the_second_signer_is_shown_what_loosens_though_all_tests_pass(office):
    """Only data is edited: rules in shadow, and scan rules that look for nothing."""
    codes = ["change.secret", "change.scan_finding", "change.unbounded"]
    shadow = [{"code": code, "effective_on": "2099-01-01"} for code in codes]
    report = office.prepared(str(edited(office.folder / "b", {"shadow": shadow}))).report
    assert report["loosens"] is True
    assert [text for text in report["difference"]["loosened"] if "shadow" in text]


def test_a_bundle_with_fewer_tests_than_the_one_in_force_is_told_as_looser(office):
    report = office.prepared().report
    assert report["tests"] == {"passed": 1, "before": len(load().manifest.tests)}
    assert report["loosens"] is True
