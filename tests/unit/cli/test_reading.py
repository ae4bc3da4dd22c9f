"""What the verbs that only look say about a state that the test wrote."""

from __future__ import annotations

import json

import pytest

from evoguard.domain.events import Event
from unit.cli.installed import BASE, BUNDLE, CHANGE, FINDING, HEAD, TREE, Installed, an_evidence

ROW = {
    "change", "status", "outcome", "percent", "component", "flag", "author", "intent", "repo", "base", "head",
    "created", "updated", "detail",
}  # fmt: skip
STEP = {"version", "at", "step", "event", "actor", "reason", "facts", "digests", "findings", "causation", "hash"}


def test_status_counts_what_is_open_and_names_who_is_waited_for(installed: Installed):
    installed.waiting()
    doc = installed.json("status").doc
    assert set(doc) == {
        "state",
        "open",
        "by_status",
        "waiting_for_approval",
        "rolling_out",
        "kills",
        "unreadable_latches",
    }
    assert doc["by_status"] == {"waiting for approval": 1}
    assert doc["waiting_for_approval"] == [CHANGE]


def test_status_of_a_change_exits_with_the_code_of_where_it_stands(installed: Installed):
    installed.waiting()
    answer = installed.json("status", CHANGE)
    assert (answer.code, answer.doc["status"]) == (5, "waiting for approval")
    assert set(answer.doc) == ROW
    installed.append(Event("change.reverted", reason="errors"))
    assert installed.json("status", CHANGE).code == 6


def test_list_shows_newest_first_and_open_ones_only_when_asked(installed: Installed):
    installed.submitted("ch-aaaaaaaaaaaa")
    installed.append(Event("change.refused", {"step": "check"}), change="ch-aaaaaaaaaaaa")
    installed.submitted("ch-bbbbbbbbbbbb")
    every = installed.json("list").doc["changes"]
    assert {row["change"] for row in every} == {"ch-aaaaaaaaaaaa", "ch-bbbbbbbbbbbb"}
    assert [row["change"] for row in installed.json("list", "--open").doc["changes"]] == ["ch-bbbbbbbbbbbb"]
    assert set(every[0]) == ROW


def test_a_submission_that_no_worker_took_up_is_listed_as_submitted(installed: Installed):
    import asyncio

    from evoguard.wiring.state import open_state

    opened = open_state(installed.settings)
    proposal = {"repo": "r", "author": "coder", "intent": "wish", "base": BASE, "head": HEAD}
    asyncio.run(opened.inbox.put(CHANGE, "submit", json.dumps({"proposal": proposal}), key="k"))
    opened.close()
    assert [row["status"] for row in installed.json("list").doc["changes"]] == ["submitted"]
    assert installed.json("status", CHANGE).doc["intent"] == "wish"


def test_show_tells_every_step_with_who_why_digests_and_findings(installed: Installed):
    digest = installed.waiting()
    installed.append(
        Event("approval.recorded", {"by": "bob", "kind": "person", "digest": digest, "verdict": "approve", "at": 1,
                                    "expires": 2, "nonce": "n", "envelope": "{}"}, actor="bob", reason="fine"),
        Event("change.refused", {"step": "sign", "findings": [FINDING]}, reason="refused at sign"),
    )  # fmt: skip
    answer = installed.json("show", CHANGE)
    doc = answer.doc
    assert answer.code == 0
    assert set(doc) == ROW | {"tree", "attestation", "files", "evidence", "decision", "approval", "steps"}
    assert [step["step"] for step in doc["steps"]] == [
        "intake", "impact", "check", "judge", "approve", "approve", "refuse",
    ]  # fmt: skip
    assert all(set(step) == STEP for step in doc["steps"])
    assert doc["steps"][0]["digests"] == {"base": BASE, "head": HEAD, "tree": TREE}
    assert doc["steps"][-1]["findings"] == [FINDING]
    assert doc["evidence"]["run"] == 12
    assert doc["decision"]["bundle"] == BUNDLE
    assert [vote["by"] for vote in doc["approval"]["votes"]] == ["bob"]
    assert "envelope" not in answer.out


def test_show_for_people_escapes_what_others_wrote(installed: Installed):
    installed.submitted(intent="nice \x1b[31m[bold]red[/bold]\u202e")
    said = installed.run("show", CHANGE).out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\\x1b[31m[bold]red[/bold]\\u202e" in said


def test_evidence_shows_each_layers_reach_and_the_tests_with_bars(installed: Installed):
    installed.waiting()
    doc = installed.json("evidence", CHANGE).doc
    assert (doc["verdict"], doc["assurance"], doc["outcomes"]) == ("pass", "split", {"passed": 1})
    layers = {row["layer"]: row for row in doc["layers"]}
    assert layers["mutants"]["reach"] == "10 of 12 tests seen to fail when made false"
    assert layers["apart from the code"]["reach"] == "9 of 12 tests"
    assert all(row["caught"] == [] for row in layers.values())
    said = installed.run("evidence", CHANGE)
    assert said.code == 0
    assert "█" in said.out
    assert "tests/test_a.py::test_a" in said.out
    assert "exec /opt/python/bin/python3.11" in said.out


def test_evidence_names_the_layer_that_caught_it(installed: Installed):
    installed.submitted()
    red = {**an_evidence(), "verdict": "tamper", "findings": [{**FINDING, "code": "tests.mutant_passed"}]}
    installed.append(Event("candidate.checked", {"evidence": installed.put(red), "passed": False}))
    layers = {row["layer"]: row["caught"] for row in installed.json("evidence", CHANGE).doc["layers"]}
    assert layers["mutants"] == ["tests.mutant_passed"]
    assert [name for name, caught in layers.items() if caught] == ["mutants"]


def test_a_change_without_evidence_says_so(installed: Installed):
    installed.submitted()
    answer = installed.json("evidence", CHANGE)
    assert (answer.code, answer.error["code"]) == (2, "evidence.none")


def test_show_says_which_artifact_cannot_be_read_and_tells_the_rest(installed: Installed):
    installed.waiting()
    for path in (installed.settings.state / "artifacts").rglob("*"):
        if path.is_file():
            path.write_bytes(b"changed")
    doc = installed.json("show", CHANGE).doc
    assert "was changed" in doc["evidence"]["unreadable"]
    assert len(doc["steps"]) == 5


def test_a_row_of_a_newer_evoguard_stops_that_change_with_a_clear_error_and_no_other(installed: Installed):
    import sqlite3

    installed.submitted()
    installed.submitted("ch-bbbbbbbbbbbb")
    con = sqlite3.connect(installed.settings.database)
    con.execute("drop trigger events_are_final")
    con.execute("update events set format=99 where stream=?", (f"change/{CHANGE}",))
    con.commit()
    con.close()
    broken = installed.json("show", CHANGE)
    assert (broken.code, broken.error["code"]) == (1, "log.newer")
    assert installed.json("show", "ch-bbbbbbbbbbbb").code == 0


@pytest.mark.parametrize(
    ("last", "code"),
    [("change.known_good", 0), ("change.refused", 3), ("change.reverted", 6), ("change.killed", 7)],
)
def test_watch_ends_by_itself_with_the_code_of_the_end(installed: Installed, last, code):
    installed.submitted()
    installed.append(Event(last, {"kill": ""}, reason="why"))
    answer = installed.json("watch", CHANGE)
    rows = [json.loads(row) for row in answer.out.splitlines()]
    assert answer.code == code
    assert [row["event"] for row in rows[:-1]] == ["change.submitted", last]
    assert (rows[-1]["watch"], rows[-1]["exit"]) == ("ended", code)
    assert all(row["change"] == CHANGE for row in rows)


def test_watch_until_paused_returns_when_people_are_waited_for(installed: Installed):
    installed.waiting()
    answer = installed.run("watch", CHANGE, "--until", "paused")
    assert answer.code == 5
    assert answer.out.splitlines()[-1].startswith("paused: waiting for approval")


@pytest.mark.parametrize("waiting", [False, True])
def test_a_watch_that_runs_out_of_time_says_whether_people_or_nobody_knows(installed: Installed, waiting):
    if waiting:
        installed.waiting()
    else:
        installed.submitted()
    answer = installed.json("watch", CHANGE, "--timeout", "1")
    assert answer.code == (5 if waiting else 8)
    assert json.loads(answer.out.splitlines()[-1])["watch"] == "timeout"
