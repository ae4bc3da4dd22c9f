"""Verify, audit, doctor, key and registry, on a state that the test wrote."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import roots
from evoguard.domain.attestation import vsa_statement
from evoguard.domain.canonical import digest_of
from evoguard.domain.events import Event
from evoguard.wiring.state import open_state
from unit.cli.installed import BUNDLE, CHANGE, TREE, Installed


def an_attestation(installed: Installed, *, passed: bool = True) -> bytes:
    proposal = installed.submitted()
    signer = LocalSigner(installed.settings.service_key, installed.settings.service_pub.read_bytes())
    statement = vsa_statement(
        proposal=proposal, branch="release/scoring", policy=BUNDLE, inputs={"evidence": digest_of(b"e")}, passed=passed,
        verifier="evoguard:test", at_s=1_700_000_000,
    )  # fmt: skip
    return asyncio.run(signer.attest(statement))


def test_verify_of_a_bundle_needs_the_file_and_the_key_alone(installed: Installed, tmp_path: Path):
    (tmp_path / "b.json").write_bytes(an_attestation(installed))
    pub = str(installed.settings.service_pub)
    answer = installed.json(
        "--state", str(tmp_path / "none"), "verify", str(tmp_path / "b.json"), "--key", pub, "--tree", TREE
    )
    doc = answer.doc
    assert answer.code == 0
    assert (doc["verified"], doc["result"], doc["tree"], doc["demanded"]) == (True, "PASSED", TREE, ["tree"])
    assert doc["taken_from_the_statement"] == ["policy", "verifier"]


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (("--tree", "d" * 40), "attestation.subject"),
        (("--policy", "sha256:" + "0" * 64), "attestation.policy"),
        (("--verifier", "evoguard:other"), "attestation.verifier"),
        (("--max-age", "60"), "attestation.stale"),
    ],
)
def test_verify_refuses_what_the_reader_did_not_demand(installed: Installed, tmp_path: Path, words, finding):
    (tmp_path / "b.json").write_bytes(an_attestation(installed))
    answer = installed.json("verify", str(tmp_path / "b.json"), "--key", str(installed.settings.service_pub), *words)
    assert answer.code == 3
    assert [f["code"] for f in answer.doc["findings"]] == [finding]


def test_verify_refuses_another_key_and_a_refusals_attestation(installed: Installed, tmp_path: Path):
    (tmp_path / "b.json").write_bytes(an_attestation(installed, passed=False))
    foreign = installed.json("verify", str(tmp_path / "b.json"), "--key", str(installed.folder / "bob.pub"))
    assert (foreign.code, foreign.doc["findings"][0]["code"]) == (3, "bundle.invalid")
    refused = installed.json("verify", str(tmp_path / "b.json"), "--key", str(installed.settings.service_pub))
    assert (refused.code, refused.doc["result"]) == (3, "FAILED")


def test_verify_of_a_change_demands_what_the_log_says(installed: Installed):
    raw = an_attestation(installed)
    opened = open_state(installed.settings)
    stored = asyncio.run(opened.artifacts.put(raw))
    opened.close()
    installed.append(Event("change.judged", {"bundle": BUNDLE}), Event("change.attested", {"attestation": stored}))
    answer = installed.json("verify", CHANGE, "--key", str(installed.settings.service_pub))
    assert answer.code == 3  # this attestation names another installation than the log's
    assert [f["code"] for f in answer.doc["findings"]] == ["attestation.verifier"]
    assert answer.doc["demanded"] == ["policy", "tree", "verifier"]


def signed_root(installed: Installed) -> None:
    opened = open_state(installed.settings)
    signer = LocalSigner(installed.settings.service_key, installed.settings.service_pub.read_bytes())
    asyncio.run(roots.sign_root(opened.con, signer, opened.clock, installed.settings.state / roots.FILE))
    opened.close()


def test_audit_proves_the_log_with_the_auditors_key_and_says_what_it_cannot_see(installed: Installed):
    installed.submitted()
    signed_root(installed)
    answer = installed.json("audit", "verify", "--key", str(installed.settings.service_pub))
    assert (answer.code, answer.doc["ok"], answer.doc["problems"]) == (0, True, [])
    assert any("cut back" in text for text in answer.doc["cannot_detect"])
    assert any("service key" in text for text in answer.doc["cannot_detect"])
    assert "can replace it" in answer.err  # this key came from the state itself


def test_audit_needs_a_key_and_no_root_proves_nothing(installed: Installed):
    assert installed.json("audit", "verify").error["code"] == "usage"
    answer = installed.json("audit", "verify", "--key", str(installed.settings.service_pub))
    assert (answer.code, answer.doc["ok"]) == (1, False)


def test_audit_refuses_another_key_and_a_changed_event(installed: Installed):
    import sqlite3

    installed.submitted()
    signed_root(installed)
    assert installed.json("audit", "verify", "--key", str(installed.folder / "bob.pub")).code == 1
    con = sqlite3.connect(installed.settings.database)
    con.execute("drop trigger events_are_final")
    con.execute("update events set reason='other' where stream like 'change/%'")
    con.commit()
    con.close()
    answer = installed.json("audit", "verify", "--key", str(installed.settings.service_pub))
    assert (answer.code, answer.doc["ok"]) == (1, False)


def test_a_new_key_is_private_and_never_overwritten(installed: Installed, tmp_path: Path):
    made = installed.json("key", "new", str(tmp_path / "dora"))
    assert made.code == 0
    assert stat.S_IMODE((tmp_path / "dora").stat().st_mode) == 0o600
    assert b"PUBLIC KEY" in (tmp_path / "dora.pub").read_bytes()
    before = (tmp_path / "dora").read_bytes()
    assert installed.json("key", "new", str(tmp_path / "dora")).error["code"] == "key.exists"
    assert (tmp_path / "dora").read_bytes() == before


def test_people_are_added_by_people_and_listed(installed: Installed, tmp_path: Path):
    installed.run("key", "new", str(tmp_path / "dora"))
    words = ("person", "add", "dora", "--key", str(tmp_path / "dora.pub"))
    assert installed.json(*words).error["code"] == "auth.sponsor"
    assert (
        installed.json(*words, "--as", "alice", "--sign-with", installed.key("bob")).error["code"] == "auth.wrong_key"
    )
    assert installed.json(*words, "--as", "alice", "--sign-with", installed.key("alice")).code == 5
    assert installed.json(*words, "--as", "bob", "--sign-with", installed.key("bob")).code == 0
    rows = installed.json("person", "list").doc["people"]
    assert [row["name"] for row in rows] == ["alice", "bob", "dora"]
    assert set(rows[0]) == {"name", "kind", "added", "by", "signed", "vouched_by", "fingerprint", "standing"}
    assert {row["standing"] for row in rows} == {"closed"}
    assert [row["name"] for row in installed.json("agent", "list").doc["agents"]] == ["coder", "rival"]


def test_init_registers_the_first_person_and_refuses_a_bad_key_before_anything_is_made(
    installed: Installed, tmp_path: Path
):
    fresh, pub = str(tmp_path / "fresh"), str(installed.folder / "alice.pub")
    bad = installed.json("--state", fresh, "init", "--person", "alice", "--key", installed.key("alice"))
    assert (bad.code, bad.error["code"]) == (2, "key.public")
    assert not (tmp_path / "fresh").exists()
    answer = installed.json("--state", fresh, "init", "--person", "alice", "--key", pub)
    assert {"state", "verifier", "service_key", "service_pub", "tokens", "person", "fingerprint"} == set(answer.doc)
    assert installed.json("--state", fresh, "init").error["code"] == "state.exists"


def test_doctor_names_every_part_with_ok_or_the_mend(installed: Installed):
    doc = installed.json("doctor", "--no-start").doc
    parts = {part["name"]: part for part in doc["parts"]}
    wanted = {
        "python", "evoguard", "git", "runsc", "host limits", "runner layer", "scanner", "policy bundle",
        "state folder", "tokens", "service key", "service public key", "database", "clock", "event log",
        "kill folder", "kills", "flag server", "worker",
    }  # fmt: skip
    assert wanted <= set(parts)
    assert all(part["ok"] or part["mend"] for part in doc["parts"])
    assert parts["database"]["ok"]
    assert parts["policy bundle"]["digest"].startswith("sha256:")
    assert not parts["worker"]["ok"]
    assert not parts["worker"]["needed"]
    assert "outside the threat model" in doc["threat_model"]


def test_doctor_says_what_is_wrong_and_how_to_mend_it(installed: Installed):
    installed.settings.service_key.chmod(0o644)
    (installed.settings.kill_dir / "bad.json").write_text("{")
    answer = installed.json("doctor", "--no-start")
    parts = {part["name"]: part for part in answer.doc["parts"]}
    assert answer.code == 1
    assert parts["service key"]["mend"].startswith(("chmod 600", "chmod"))
    assert "EVERYTHING IS KILLED" in parts["kills"]["detail"]


def test_doctor_of_no_state_says_init(installed: Installed, tmp_path: Path):
    answer = installed.json("--state", str(tmp_path / "none"), "doctor", "--no-start")
    parts = {part["name"]: part for part in answer.doc["parts"]}
    assert answer.code == 1
    assert "evoguard init" in parts["state folder"]["mend"]
    assert not {"service key", "database", "kill folder"} & set(parts)
    assert not any("FileNotFoundError" in part["detail"] for part in answer.doc["parts"])
    assert not (tmp_path / "none").exists()
    assert os.access(tmp_path, os.W_OK)


def attested(installed: Installed) -> None:
    """Write an attestation into the log, with the evidence that it names."""
    raw = an_attestation(installed)
    installed.put_raw(b"e")
    installed.append(Event("change.attested", {"attestation": installed.put_raw(raw), "result": "PASSED"}))


def test_a_capsule_of_what_was_never_attested_is_refused(installed: Installed):
    installed.submitted()
    assert installed.json("capsule", CHANGE).error["code"] == "verify.none"


def test_a_capsule_whose_rules_are_kept_nowhere_says_so(installed: Installed):
    attested(installed)
    error = installed.json("capsule", CHANGE).error
    assert (error["code"], "restore the artifacts folder" in error["fix"]) == ("capsule.rules_gone", True)


def test_a_capsule_goes_to_stdout_or_into_a_new_file(installed: Installed, tmp_path: Path, monkeypatch):
    async def packed(_settings: object, change: str) -> bytes:
        return json.dumps({"change": change}).encode()

    monkeypatch.setattr("evoguard.wiring.capsule.capsule", packed)
    assert json.loads(installed.run("capsule", CHANGE).out) == {"change": CHANGE}
    out = tmp_path / "one.capsule"
    doc = installed.json("capsule", CHANGE, "--out", str(out)).doc
    assert (doc["bytes"], doc["digest"]) == (len(out.read_bytes()), digest_of(out.read_bytes()))
    before = out.read_bytes()
    assert installed.json("capsule", "ch-ffffffffffff", "--out", str(out)).error["code"] == "file.new"
    assert out.read_bytes() == before
