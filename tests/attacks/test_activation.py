"""Attacks on which rules are in force: one person, an agent, an old signature, a forged log, a looser constitution."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from evoguard.adapters import bundles, keys
from evoguard.adapters.floored import FlooredPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies, run_rule_tests
from evoguard.adapters.signer import LocalSigner, new_nonce, sign_command
from evoguard.adapters.sqlite import audit
from evoguard.bundle import load
from evoguard.domain.activation import ACTIVATED, PURPOSE, STREAM, Activation, InForce, Signature, activated, filed
from evoguard.domain.canonical import Digest, digest_of
from evoguard.domain.events import Event
from evoguard.domain.identity import Command
from evoguard.errors import AuthError, EvoguardError, InputError, IntegrityError, UnavailableError
from evoguard.settings import Settings
from evoguard.wiring import activating, desk
from evoguard.wiring.activating import Prepared
from evoguard.wiring.init import init
from evoguard.wiring.rulebook import Rulebook, RulesNow, in_force
from evoguard.wiring.state import Opened, open_state
from unit.cli.test_ruling import edited

SHIPPED = load().manifest.digest
LATER = 4_000_000_000
REPORT = digest_of(b"report")


def locks(folder: Path, *names: str) -> Path:
    """Make a bundle of the shipped rules that knows more lock files."""
    known = json.loads(load().data)["change"]["locks"]
    return edited(folder, {"change": {"locks": sorted([*known, *names])}})


@dataclass
class Office:
    """One installation with alice, bob, carol and the agent coder, and a bundle that is tighter than the shipped."""

    folder: Path
    opened: Opened = field(init=False)
    tight: Digest = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings.load(self.folder / "state", {"HOME": str(self.folder)})
        init(self.settings)
        self.opened = open_state(self.settings)
        for name, kind, by in (("alice", "person", ""), ("bob", "person", "alice"), ("coder", "agent", "alice")):
            public = keys.generate(self.folder / f"{name}.key")
            desk.register(self.opened, kind, name, public, by=by, pen=self.pen(by) if by else None)  # type: ignore[arg-type]
        self.tight = bundles.keep(self.settings.state, locks(self.folder / "tight", "mix.lock"))

    def pen(self, name: str) -> desk.KeyPen:
        return desk.KeyPen(self.folder / f"{name}.key")

    def prepared(self, bundle: str = "") -> Prepared:
        return asyncio.run(activating.prepare(self.settings, self.opened, bundle or self.tight))

    def sign(self, prepared: Prepared, by: str, key: str = "") -> activating.Signed:
        return activating.sign(self.opened, prepared, by=by, pen=self.pen(key or by))

    def activate(self, bundle: str = "") -> None:
        prepared = self.prepared(bundle)
        for name in ("alice", "bob"):
            self.sign(prepared, name)

    def signature(
        self, activation: Activation, by: str, key: str = "", *, purpose: str = PURPOSE, expires: int = LATER
    ):
        command = Command(purpose, activation.subject, by, new_nonce(), expires)
        return Signature(by, sign_command(command, keys.load_private(self.folder / f"{key or by}.key")))

    def append(self, event: Event, stream: str = STREAM) -> None:
        """Write into the log past every check, as whoever can write the database does."""
        self.opened.registry.append(stream, event)

    def problems(self) -> list[str]:
        signer = LocalSigner(self.settings.service_key, self.settings.service_pub.read_bytes())
        report = asyncio.run(audit.verify(self.opened.con, signer))
        return [text for text in report.problems if "rules" in text]

    def book(self) -> Rulebook:
        return Rulebook(self.opened, None, Path())  # type: ignore[arg-type]  # nothing is scanned here

    def active(self) -> str:
        return self.book().policies().digest


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Return an office in which the bundles' own tests take no time."""
    monkeypatch.setattr(activating, "run_rule_tests", lambda *_, **__: [("told/to/pass", True)])
    made = Office(tmp_path)
    yield made
    made.opened.close()


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
    "nobody signed": lambda o, a: Event(ACTIVATED, {**a.as_json(), "signatures": [], "report": REPORT}),
    "one person": lambda o, a: activated(a, [o.signature(a, "alice")], REPORT),
    "one person twice": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "alice")], REPORT),
    "an agent": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "coder")], REPORT),
    "nobody registered": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "zoe", "bob")], REPORT),
    "another's key": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "bob", "alice")], REPORT),
    "for other rules": lambda o, a: activated(
        a, [o.signature(a, "alice"), o.signature(replace(a, bundle=SHIPPED), "bob")], REPORT
    ),
    "another purpose": lambda o, a: activated(
        a, [o.signature(a, "alice"), o.signature(a, "bob", purpose="lift")], REPORT
    ),
    "expired": lambda o, a: activated(a, [o.signature(a, "alice"), o.signature(a, "bob", expires=1)], REPORT),
    "another number": lambda o, a: activated(
        b := replace(a, serial=7), [o.signature(b, "alice"), o.signature(b, "bob")], REPORT
    ),
    "another form": lambda o, a: Event(ACTIVATED, {"bundle": a.bundle}),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_rules_written_into_the_log_without_two_peoples_word_open_nothing_and_are_found(office, how):
    activation = InForce().next(office.tight, SHIPPED)
    office.append(FORGED[how](office, activation))
    rules = RulesNow(office.book())
    with pytest.raises(UnavailableError):
        _ = rules.digest
    assert len(office.problems()) == 1, office.problems()


def test_with_both_signatures_the_same_event_is_good(office):
    activation = InForce().next(office.tight, SHIPPED)
    office.append(activated(activation, [office.signature(activation, name) for name in ("alice", "bob")], REPORT))
    assert (office.active(), office.problems()) == (office.tight, [])


def test_rules_activated_in_another_stream_are_found_by_an_audit_and_never_used(office):
    activation = InForce().next(office.tight, SHIPPED)
    signed = [office.signature(activation, name) for name in ("alice", "bob")]
    office.append(activated(activation, signed, REPORT), stream="kills")
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


def loosened(folder: Path) -> Path:
    """Make a bundle whose data say that hardly a path is a guard path and one person is enough."""
    return edited(folder, {"guard": {"globs": ["{nothing,nothing/**}"], "people": 1}})


async def test_the_constitution_that_ships_holds_over_any_bundle(office):
    from contract.policies_suite import a_question, touching

    loose = OpaWasmPolicies(folder=loosened(office.folder / "loose"))
    asked = a_question(files=touching(".github/workflows/ci.yml"))
    own = await loose.decide("review", asked)
    floor = await FlooredPolicies(loose, OpaWasmPolicies()).floor("review", asked)
    assert own.allow, own
    assert floor is not None
    held = floor.under(own)
    assert (held.allow, [f.code for f in held.deny]) == (False, ["approval.guard_paths"])


async def test_what_is_no_constitution_people_may_change(office):
    from contract.policies_suite import FILE, a_question

    many = [{**FILE, "path": f"lending/f{n}.py"} for n in range(200)]
    asked = a_question(files=many, totals={"files": 200, "added": 600, "deleted": 200, "omitted": 0})
    wide = OpaWasmPolicies(folder=edited(office.folder / "wide", max_files=1000))
    shipped = OpaWasmPolicies()
    assert not (await shipped.decide("review", asked)).allow
    floor = await FlooredPolicies(wide, shipped).floor("review", asked)
    assert floor is not None
    assert floor.under(await wide.decide("review", asked)).allow


async def test_the_shipped_rules_are_not_asked_twice(office):
    from contract.policies_suite import a_question

    shipped = OpaWasmPolicies()
    assert await FlooredPolicies(shipped, shipped).floor("review", a_question()) is None


def broken(folder: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Return a bundle whose manifest says something else and names itself rightly."""
    from evoguard import bundle

    data = json.loads(load().data)
    edited(folder, {"constitution": [code for code in data["constitution"] if code != "author.held"]})
    doc = json.loads((folder / bundle.MANIFEST).read_bytes())
    change(doc)
    doc["digest"] = bundle.identity(doc)
    (folder / bundle.MANIFEST).write_text(json.dumps(doc))
    return folder


@pytest.mark.parametrize("how", ["gone", "milder"])
def test_a_bundle_without_the_constitution_is_refused_by_name(office, how):
    def change(doc):
        if how == "gone":
            del doc["codes"]["author.held"]
            doc["rules"].remove("author.held")
        else:
            doc["codes"]["author.held"]["severity"] = "note"

    with pytest.raises(EvoguardError) as said:
        office.prepared(str(broken(office.folder / "b", change)))
    assert (said.value.code, "author.held" in said.value.message) == ("policy.constitution", True)


def test_a_bundle_whose_own_tests_fail_is_refused(office, monkeypatch):
    monkeypatch.setattr(activating, "run_rule_tests", run_rule_tests)
    failing = edited(office.folder / "b", {"limits": {}})
    with pytest.raises(InputError) as said:
        office.prepared(str(failing))
    assert said.value.code == "policy.tests_failed"
    assert in_force(office.opened).waiting == {}
