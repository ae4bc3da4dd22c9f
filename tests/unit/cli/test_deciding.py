"""What people sign, what is filed in whose name, and what a kill does without the database."""

from __future__ import annotations

import json

import pytest

from evoguard.cli.killing import scopes
from evoguard.domain.events import Event
from evoguard.errors import InputError
from unit.cli.installed import BASE, CHANGE, HEAD, TREE, Installed


def test_approve_shows_exactly_what_is_signed_and_files_it(installed: Installed):
    digest = installed.waiting()
    answer = installed.json("approve", CHANGE, "--as", "bob", "--sign-with", installed.key("bob"), "--digest", digest)
    doc = answer.doc
    assert answer.code == 0
    assert (doc["base"], doc["head"], doc["tree"], doc["digest"]) == (BASE, HEAD, TREE, digest)
    assert (doc["quorum"], doc["approved_by"], doc["tests"]["run"]) == (2, [], 12)
    assert [file["path"] for file in doc["files"]] == ["lending/scoring.py"]
    assert installed.inbox() == ["approve"]
    for shown in (BASE, HEAD, TREE, digest, "lending/scoring.py", "12 run of 12"):
        assert shown in answer.err


def test_approve_counts_distinct_people_who_approved_this_digest(installed: Installed):
    digest = installed.waiting()
    vote = {
        "by": "alice",
        "kind": "person",
        "digest": digest,
        "verdict": "approve",
        "at": 1,
        "expires": 9_999_999_999,
        "nonce": "n",
    }
    installed.append(Event("approval.recorded", vote), Event("approval.recorded", vote))
    doc = installed.json("approve", CHANGE, "--as", "bob", "--sign-with", installed.key("bob"), "--yes").doc
    assert doc["approved_by"] == ["alice"]


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (("--as", "bob"), 2, "approval.unasked"),
        (("--as", "bob", "--digest", "sha256:" + "0" * 64), 2, "approval.digest"),
        (("--as", "alice", "--yes"), 4, "auth.wrong_key"),
        (("--as", "mallory", "--yes"), 4, "auth.unknown"),
    ],
)
def test_nothing_is_filed_without_a_plain_yes_on_this_digest_by_the_right_key(installed: Installed, words, code, name):
    installed.waiting()
    answer = installed.json("approve", CHANGE, "--sign-with", installed.key("bob"), *words)
    assert (answer.code, answer.error["code"]) == (code, name)
    assert installed.inbox() == []


@pytest.mark.parametrize(("voter", "code"), [("coder", "approval.agent"), ("rival", "approval.agent")])
def test_no_agent_approves(installed: Installed, voter, code):
    installed.waiting()
    answer = installed.json("approve", CHANGE, "--as", voter, "--sign-with", installed.key(voter), "--yes")
    assert (answer.code, answer.error["code"]) == (4, code)
    assert installed.inbox() == []


def test_a_digest_that_is_not_the_one_of_what_is_shown_is_never_signed(installed: Installed):
    installed.waiting()
    installed.append(Event("approval.requested", {"digest": "sha256:" + "e" * 64, "quorum": 1}))
    answer = installed.json("approve", CHANGE, "--as", "bob", "--sign-with", installed.key("bob"), "--yes")
    assert (answer.code, answer.error["code"]) == (1, "approval.shown")
    assert installed.inbox() == []


def test_a_change_that_waits_for_nothing_cannot_be_approved(installed: Installed):
    installed.submitted()
    answer = installed.json("approve", CHANGE, "--as", "bob", "--sign-with", installed.key("bob"), "--yes")
    assert (answer.code, answer.error["code"]) == (2, "approval.not_waiting")


def test_reject_needs_a_reason_and_is_filed(installed: Installed):
    installed.waiting()
    words = ("reject", CHANGE, "--as", "bob", "--sign-with", installed.key("bob"))
    assert installed.json(*words, "--reason", " ").code == 2
    assert installed.json(*words, "--reason", "rounds the wrong way").doc["verdict"] == "reject"
    assert installed.inbox() == ["reject"]


def test_withdraw_is_filed_by_the_authors_own_key_only(installed: Installed):
    installed.waiting()
    foreign = installed.json("withdraw", CHANGE, "--as", "coder", "--sign-with", installed.key("rival"))
    other = installed.json("withdraw", CHANGE, "--as", "rival", "--sign-with", installed.key("rival"))
    assert (foreign.code, foreign.error["code"]) == (4, "auth.wrong_key")
    assert (other.code, other.error["code"]) == (4, "withdraw.author")
    assert installed.inbox() == []
    assert installed.json("withdraw", CHANGE, "--as", "coder", "--sign-with", installed.key("coder")).code == 0
    assert installed.inbox() == ["withdraw"]


def test_a_kill_names_its_scope_without_looking_anything_up():
    assert scopes("all") == [("all", "")]
    assert scopes("flag:a") == [("flag", "a")]
    assert scopes("component:a") == [("component", "a")]
    assert scopes("a") == [("flag", "a"), ("component", "a")]
    for wrong in ("", "flag:", "nothing:a"):
        with pytest.raises(InputError):
            scopes(wrong)


def test_a_kill_latches_without_a_database_and_says_what_is_not_confirmed(installed: Installed):
    installed.settings.database.write_bytes(b"not a database")
    answer = installed.json("kill", "lending-scoring", "--reason", "pager", "--by", "carol")
    doc = answer.doc
    assert doc["latched"] is True
    assert answer.code == doc["exit"] == 8  # nobody confirms: no flag server runs here
    assert {k["latch"]["scope"] for k in doc["kills"]} == {"flag", "component"}
    assert len(list(installed.settings.kill_dir.glob("*.json"))) == 2


def test_a_kill_goes_on_unsigned_when_the_key_does_not_open_and_on_defaults_when_settings_are_broken(
    installed: Installed,
):
    (installed.settings.state / "settings.toml").write_text("x = [")
    answer = installed.run("kill", "all", "--reason", "pager", "--as", "alice", "--sign-with", "/nowhere")
    assert "NOT SIGNED" in answer.err
    (latch,) = installed.settings.kill_dir.glob("*.json")
    assert json.loads(latch.read_text())["signed"] == ""


def test_lift_waits_for_the_second_person(installed: Installed):
    installed.run("kill", "all", "--reason", "pager")
    (latch,) = installed.settings.kill_dir.glob("*.json")
    kill = latch.stem
    first = installed.json("lift", kill, "--as", "alice", "--sign-with", installed.key("alice"))
    assert (first.code, first.doc["lifted"], first.doc["people"]) == (5, False, ["alice"])
    second = installed.json("lift", kill, "--as", "bob", "--sign-with", installed.key("bob"))
    assert (second.code, second.doc["lifted"]) == (0, True)
    assert installed.json("status").doc["kills"] == []


def test_a_third_person_waits_for_the_second_voucher(installed: Installed):
    installed.run("key", "new", installed.key("carol"))
    words = ("person", "add", "carol", "--key", installed.key("carol") + ".pub")
    alice, bob = (("--as", name, "--sign-with", installed.key(name)) for name in ("alice", "bob"))
    first = installed.run(*words, *alice)
    assert first.code == 5
    assert "NOT registered" in first.out
    assert "bob compares the fingerprint" in first.err
    listed = installed.json("person", "list").doc
    assert [row["name"] for row in listed["people"]] == ["alice", "bob"]  # type: ignore[attr-defined]  # a list
    assert [(row["name"], row["vouched_by"]) for row in listed["pending"]] == [("carol", ["alice"])]  # type: ignore[attr-defined]
    assert "waiting for one more person" in installed.run("person", "list").out
    again = installed.json(*words, *alice)
    assert (again.code, again.error["code"]) == (2, "person.vouched")
    second = installed.json(*words, *bob)
    assert (second.code, second.doc["registered"], second.doc["vouched_by"]) == (0, True, ["alice", "bob"])
    listed = installed.json("person", "list").doc
    assert [row["vouched_by"] for row in listed["people"]] == [[], ["alice"], ["alice", "bob"]]  # type: ignore[attr-defined]
    assert listed["pending"] == []


def test_a_second_key_under_a_name_that_waits_is_named(installed: Installed):
    for key in ("carol", "other"):
        installed.run("key", "new", installed.key(key))
    alice, bob = (("--as", name, "--sign-with", installed.key(name)) for name in ("alice", "bob"))
    first = installed.json("person", "add", "carol", "--key", installed.key("carol") + ".pub", *alice)
    other = installed.json("person", "add", "carol", "--key", installed.key("other") + ".pub", *bob)
    assert (other.code, other.doc["registered"], other.doc["ask"]) == (5, False, ["alice"])
    assert other.doc["other_keys"] == [first.doc["fingerprint"]]


def test_a_kill_loads_neither_the_flow_nor_the_rules_nor_rich(installed: Installed):
    import subprocess
    import sys

    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("langgraph", "langchain_core", "wasmtime", "rich"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from evoguard.cli import main
main(sys.argv[1:])
"""
    words = ["--state", str(installed.settings.state), "kill", "all", "--reason", "pager"]
    subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=True)
    assert len(list(installed.settings.kill_dir.glob("*.json"))) == 1
