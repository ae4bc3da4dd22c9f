"""`policy activate`, `rollback` and `status` at the command line."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from evoguard import bundle as bundle_module
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.bundle import load
from evoguard.wiring import activating
from unit.cli.installed import Installed
from unit.cli.recorded import MANY, MANY_TOTALS, WIDE, decided, edited

SHIPPED = load().manifest.digest


@pytest.fixture(autouse=True)
def tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundles' own tests take seconds; the attacks on activation run them."""
    monkeypatch.setattr(activating, "run_rule_tests", lambda *_, **__: [("told/to/pass", True)])
    monkeypatch.setattr(activating, "QUESTIONS", 100)


@pytest.fixture
def tight(tmp_path: Path) -> Path:
    return edited(tmp_path / "tight", max_files=10)


def signing(installed: Installed, name: str) -> tuple[str, ...]:
    return ("--as", name, "--sign-with", installed.key(name))


def activate(installed: Installed, bundle: str, *names: str) -> None:
    for name in names:
        installed.run("policy", "activate", bundle, *signing(installed, name), "--yes")


def test_two_people_one_after_the_other(installed: Installed, tight: Path):
    first = installed.run("policy", "activate", str(tight), *signing(installed, "alice"), "--yes")
    digest = str(json.loads((tight / "manifest.json").read_text())["digest"])
    assert (first.code, "NOT in force yet" in first.out) == (5, True)
    assert f"evoguard policy activate {digest} --as NAME --sign-with KEY" in first.err
    assert "bob" in first.err
    waiting = installed.json("policy", "status").doc
    assert (waiting["bundle"], waiting["own"]) == (SHIPPED, False)
    guard = waiting["waiting"][0]["guard"]  # type: ignore[index]
    assert waiting["waiting"] == [
        {"bundle": digest, "previous": SHIPPED, "serial": 1, "guard": guard, "signed_by": ["alice"], "ask": ["bob"]}
    ]
    again = installed.json("policy", "activate", str(tight), *signing(installed, "alice"), "--yes")
    assert (again.code, again.error["code"]) == (2, "policy.signed")
    second = installed.json("policy", "activate", digest, *signing(installed, "bob"), "--yes")
    assert (second.code, second.doc["in_force"], second.doc["signed_by"]) == (0, True, ["alice", "bob"])
    now = installed.json("policy", "status").doc
    assert (now["bundle"], now["own"], now["by"], now["waiting"]) == (digest, True, ["alice", "bob"], [])
    assert installed.json("policy", "show").doc["digest"] == digest
    page = installed.run("policy", "status").out
    assert re.search(r"which is\s+put in force here", page)
    assert "alice, bob" in page


def test_a_rollback_is_one_command_of_each_of_two_people(installed: Installed, tight: Path):
    activate(installed, str(tight), "alice", "bob")
    assert installed.run("policy", "rollback", *signing(installed, "bob"), "--yes").code == 5
    assert installed.run("policy", "rollback", *signing(installed, "alice"), "--yes").code == 0
    doc = installed.json("policy", "status").doc
    assert (doc["bundle"], [row["serial"] for row in doc["history"]]) == (SHIPPED, [2, 1])  # type: ignore[union-attr]


def test_nothing_to_roll_back_to(installed: Installed):
    answer = installed.json("policy", "rollback", *signing(installed, "alice"), "--yes")
    assert (answer.code, answer.error["code"]) == (2, "policy.no_rollback")


def test_what_is_signed_shows_how_past_decisions_turn(installed: Installed, tight: Path):
    rules = OpaWasmPolicies()
    assert decided(installed, rules, WIDE, files=MANY, totals=MANY_TOTALS)
    shown = installed.run("policy", "activate", str(tight), "--dry-run")
    assert shown.code == 0
    assert re.search(r"past decisions\s+1\b", shown.out)
    assert f"{WIDE}" in shown.out
    assert "tighter change.unbounded" in shown.out
    assert re.search(r"compared\s+tightening", shown.out)
    wide = tight.parent / "wide"
    activate(installed, str(tight), "alice", "bob")
    tried = installed.run("policy", "activate", str(edited(wide, max_files=500)), "--dry-run").out
    assert re.search(r"compared\s+loosening", tried)
    assert "LOOSENS" in tried
    assert installed.json("policy", "status").doc["waiting"] == []


def test_rules_in_force_are_what_backtest_simulate_and_explain_ask_by_default(installed: Installed, tight: Path):
    assert decided(installed, OpaWasmPolicies(), WIDE, files=MANY, totals=MANY_TOTALS)
    assert installed.json("policy", "backtest").doc["turns"]["newly denied"] == 0  # type: ignore[index]
    activate(installed, str(tight), "alice", "bob")
    assert installed.json("policy", "backtest").doc["turns"]["newly denied"] == 1  # type: ignore[index]
    assert installed.json("policy", "explain", WIDE).doc["bundle"] == installed.json("policy", "status").doc["bundle"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("/no/such/folder", "--dry-run"), "policy.bundle"),
        (("shipped", "--dry-run"), "policy.in_force"),
        (("sha256:zz", "--dry-run"), "policy.digest"),
        (("sha256:" + "0" * 64, "--dry-run"), "integrity.policies"),
        (("shipped",), "usage"),
        (("TIGHT", "--as", "alice", "--sign-with", "ALICE"), "approval.unasked"),
        (("TIGHT", "--as", "coder", "--sign-with", "CODER", "--yes"), "auth.person"),
        (("TIGHT", "--as", "bob", "--sign-with", "ALICE", "--yes"), "auth.wrong_key"),
    ],
)
def test_what_is_wrong_is_said_in_one_error_and_nothing_is_stored(
    installed: Installed, tight: Path, words: tuple[str, ...], code: str
):
    known = {"TIGHT": str(tight), "ALICE": installed.key("alice"), "CODER": installed.key("coder")}
    answer = installed.json("policy", "activate", *(known.get(word, word) for word in words))
    assert answer.code != 0
    assert answer.error["code"] == code
    assert answer.error["fix"]
    assert installed.json("policy", "status").doc["waiting"] == []


def test_a_file_of_a_bundle_that_is_too_large_is_refused(installed: Installed, tight: Path):
    with (tight / "policy.wasm").open("r+b") as file:
        file.truncate(65 << 20)
    answer = installed.json("policy", "activate", str(tight), "--dry-run")
    assert (answer.code, answer.error["code"]) == (1, "integrity.policies")
    assert not (installed.settings.state / "bundles").exists()


def test_what_is_exported_for_an_opa_server_is_what_is_in_force(installed: Installed, tight: Path, tmp_path: Path):
    out = tmp_path / "rules.tar.gz"
    assert installed.json("policy", "export", "--out", str(out)).doc["bundle"] == SHIPPED
    with tarfile.open(out) as tar:
        found = tar.extractfile("/.manifest")
        assert found is not None
        doc = json.loads(found.read())
        assert not [name for name in tar.getnames() if name.endswith("_test.rego")]
    assert (doc["revision"], "evoguard" in doc["roots"], "limits" in doc["roots"]) == (SHIPPED, True, True)
    taken = installed.json("policy", "export", "--out", str(tmp_path / "no" / "such"))
    assert (taken.code, taken.error["code"]) == (2, "usage")


def test_what_stands_alone_is_held_against_the_bundle_in_force_and_says_which(
    installed: Installed, tight: Path, tmp_path: Path
):
    shipped, few = str(Path(bundle_module.__file__).parent), ("--questions", "20")
    before = installed.json("policy", "diff", str(tight), *few).doc
    assert (before["a"], before["a_is"]) == (SHIPPED, "the one that ships, which is in force here")
    activate(installed, str(tight), "alice", "bob")
    after = installed.json("policy", "diff", shipped, *few).doc
    assert (after["a"], after["b"], after["a_is"]) == (before["b"], SHIPPED, "the one in force here")
    assert f"{before['b']}, the one in force here" in installed.run("policy", "diff", shipped, *few).out
    named = installed.json("policy", "diff", shipped, str(tight), *few).doc
    assert (named["a"], named["a_is"]) == (SHIPPED, "as named")
    elsewhere = installed.json("--state", str(tmp_path / "none"), "policy", "diff", str(tight), *few).doc
    assert (elsewhere["a"], str(elsewhere["a_is"]).startswith("the one that ships, for there is no guard")) == (
        SHIPPED,
        True,
    )


def test_a_bundle_in_force_that_was_touched_is_no_other_side(installed: Installed, tight: Path):
    activate(installed, str(tight), "alice", "bob")
    for data in installed.settings.state.glob("bundles/*/data.json"):
        data.write_text("{}")
    for words in (("diff", str(tight)), ("test",)):
        assert installed.json("policy", *words).error["code"] == "integrity.policies"
