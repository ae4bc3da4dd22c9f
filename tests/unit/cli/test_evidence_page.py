"""What `evoguard evidence` and the question to an approver show of a run, also of one that an older version stored."""

from __future__ import annotations

from typing import Any

import pytest

from evoguard.cli.evidence_page import BAR, bar
from evoguard.domain.canonical import Json
from evoguard.domain.events import Event
from evoguard.domain.scan import Scan
from evoguard.views.assurance import NONE_HELD_OUT, assurance_words, percent
from unit.cli.installed import CHANGE, FINDING, Installed, an_evidence

CLOCK = "tests/test_clock.py::test_midnight"
NOW_S = 1_800_000_000
"""When `Installed.append` says that things happened: 2027-01-15."""
LOOK: dict[str, Json] = {"code": "review.time_bomb", "msg": "a.py:3: compares", "path": "a.py", "term": ""}


def checked(installed: Installed, quarantine: list[Json] | None = None, **changes: Json) -> dict[str, Any]:
    """Store a run and return what `evoguard evidence --json` says of it."""
    installed.submitted()
    evidence = {**an_evidence(), "review": [], "unstable": [], **changes}
    impact = installed.put({"quarantine": quarantine or []})
    installed.append(
        Event("change.mapped", {"impact": impact}),
        Event("candidate.checked", {"evidence": installed.put(evidence), "passed": True, "held_out": False}),
    )
    doc: dict[str, Any] = installed.json("evidence", CHANGE).doc
    return doc


def test_evidence_of_an_older_version_is_shown_without_what_it_lacks(installed: Installed):
    installed.waiting()
    doc = installed.json("evidence", CHANGE).doc
    assert (doc["review"], doc["unstable"], doc["used"], doc["network"]) == ([], [], [], [])
    assert NONE_HELD_OUT not in doc["rests_on"]
    said = installed.run("evidence", CHANGE)
    assert (said.code, "look at it" in said.out) == (0, False)


def test_the_page_tells_the_tests_by_outcome_against_the_base(installed: Installed):
    tests = [{"id": f"a::{n}", "outcome": o, "duration_ms": n} for n, o in enumerate(("passed", "failed", "passed"))]
    doc = checked(installed, tests=tests, run=2, expected=3, added=1)
    assert doc["against_base"] == [
        {"outcome": "failed", "base_tests": 1, "new_tests": 0},
        {"outcome": "passed", "base_tests": 1, "new_tests": 1},
        {"outcome": "never reported", "base_tests": 1, "new_tests": 0},
    ]
    said = installed.run("evidence", CHANGE).out
    assert "2 of the base's 3 ran, 1 new" in said
    assert said.index("a::1") < said.index("a::2")  # what is not green comes first


def test_tests_that_the_bounded_list_leaves_out_are_counted(installed: Installed):
    doc = checked(installed, run=12, expected=12, added=4)
    assert doc["against_base"][-1] == {"outcome": "not listed", "base_tests": 11, "new_tests": 4}


def test_layers_name_what_they_caught_and_no_finding_is_lost(installed: Installed):
    findings = [{**FINDING, "code": code} for code in ("tests.mutant_passed", "layer.changed", "sandbox.void")]
    doc = checked(installed, findings=findings, review=[LOOK, {**LOOK, "code": "review.differs"}])
    assert {row["layer"]: row["caught"] for row in doc["layers"] if row["caught"]} == {
        "room": ["sandbox.void"],
        "mutants": ["tests.mutant_passed"],
        "same calls on base and candidate": ["review.differs"],
        "a look at the code": ["review.time_bomb"],
        "something else": ["layer.changed"],
    }
    said = installed.run("evidence", CHANGE).out
    assert "look at it" in said
    assert "a.py:3: compares" in said


def test_what_was_used_stands_against_its_limit(installed: Installed):
    usage = {"memory_bytes": 512 << 20, "cpu_ms": 9000, "tasks": 50, "wall_ms": 3000}
    limits = {"memory_bytes": 2 << 30, "cpu_ms": 0, "tasks": 200, "wall_ms": 6000}
    doc = checked(installed, usage=usage, limits=limits)
    assert {row["what"]: (row["used"], row["limit"], row["unit"]) for row in doc["used"]} == {
        "memory": (512 << 20, 2 << 30, "bytes"), "tasks": (50, 200, "tasks"), "wall time": (3000, 6000, "ms"),
        "processor time": (9000, 0, "ms"),
    }  # fmt: skip
    said = installed.run("evidence", CHANGE).out
    for shown in ("512 MiB", "2048 MiB", "25 %", "50 %", "3.0 s", "9.0 s"):
        assert shown in said


@pytest.mark.parametrize(
    ("part", "whole", "full"), [(0, 10, 1), (5, 10, BAR // 2), (10, 10, BAR), (99, 10, BAR), (5, 0, 0)]
)
def test_a_bar_is_never_longer_than_its_place(part: int, whole: int, full: int):
    assert bar(part, whole) == "█" * full + "░" * (BAR - full)


def test_denied_attempts_are_those_that_would_have_left_the_guest(installed: Installed):
    record: list[Json] = [
        "connect my program inet 169.254.169.254 80", "connect python inet 127.0.0.1 4000", "connect a inet6 ::1 9",
        "connect python inet 127.0.0.11 53", "connect python unix  0", "exec connect a b c", "clones 3, lost events 0",
        "connect x inet nowhere 1",
    ]  # fmt: skip
    doc = checked(installed, record=record)
    assert [(row["process"], row["address"], row["port"]) for row in doc["network"]] == [
        ("my program", "169.254.169.254", "80"), ("python", "127.0.0.11", "53"), ("x", "nowhere", "1"),
    ]  # fmt: skip
    assert "tried to reach the network, denied" in installed.run("evidence", CHANGE).out


def test_unstable_tests_are_shown_with_the_state_of_their_quarantine(installed: Installed):
    entries: list[Json] = [
        {"test": CLOCK, "until": NOW_S + 86_400, "reason": "reads the clock", "owner": "ada"},
        {"test": "a::old", "until": NOW_S - 1, "reason": "slow", "owner": "bob"},
    ]
    doc = checked(installed, entries, unstable=[CLOCK, "a::old", "a::new"])
    assert [(row["test"], row["quarantine"], row["until"], row["owner"]) for row in doc["unstable"]] == [
        (CLOCK, "set aside", "2027-01-16", "ada"),
        ("a::old", "run out", "2027-01-15", "bob"),
        ("a::new", "none", "", ""),
    ]
    assert "reads the clock" in installed.run("evidence", CHANGE).out


def test_a_room_that_settings_call_unsafe_is_named_and_so_is_one_that_proved_nothing(installed: Installed):
    checked(installed, isolation="unsafe-runc")
    said = installed.run("evidence", CHANGE).out
    assert "unsafe-runc" in said
    assert "this room is no guard" in said


def test_what_others_wrote_is_shown_escaped(installed: Installed):
    bad = "\x1b[31m\u202e[bold]"
    checked(installed, review=[{**LOOK, "msg": bad}], unstable=[bad], notes=[bad], runtime=bad, record=[bad])
    said = installed.run("evidence", CHANGE).out
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize(
    ("evidence", "held_out", "first"),
    [
        ({"assurance": "held-out"}, "True", "held-out: tests that no agent can read passed"),
        (
            {"assurance": "split", "split": 3, "expected": 4}, "False",
            "split: 3 of 4 tests also ran apart from the code (75 %)",
        ),
        ({"assurance": "visible-only"}, "False", "visible-only: tests that the author can read"),
        ({}, "", "visible-only: tests that the author can read"),
    ],
)  # fmt: skip
def test_what_a_verdict_rests_on_is_said_in_words(evidence: dict[str, Json], held_out: str, first: str):
    lines = assurance_words(evidence, held_out)
    assert str(lines[0]).startswith(first)
    assert (NONE_HELD_OUT in lines) == (held_out == "False")


def test_held_out_tests_that_could_not_judge_are_not_passed_over():
    assert "they could not judge" in str(assurance_words({"assurance": "split"}, "True")[-1])


def test_a_share_of_nothing_is_nothing_and_is_never_rounded_up():
    assert (percent(0, 0), percent(1, 0), percent(199, 200), percent(3, 4)) == (0, 0, 99, 75)


def test_an_approver_is_told_what_no_test_proves_and_that_no_test_was_held_out(installed: Installed, monkeypatch):
    seen = {**an_evidence(), "review": [LOOK], "unstable": [CLOCK], "assurance": "visible-only"}
    monkeypatch.setattr("unit.cli.installed.an_evidence", lambda: seen)
    digest = installed.waiting()
    installed.append(
        Event("candidate.checked", {"evidence": installed.put(seen), "passed": True, "held_out": False}),
        Event("approval.requested", {"digest": digest, "quorum": 2}),
    )
    words = ("approve", CHANGE, "--as", "bob", "--sign-with", installed.key("bob"), "--digest", digest)
    answer = installed.json(*words)
    assert answer.code == 0
    assert NONE_HELD_OUT in answer.doc["rests_on"]
    assert (answer.doc["review"], answer.doc["unstable"]) == ([LOOK], [CLOCK])
    said = " ".join(answer.err.split())
    assert NONE_HELD_OUT in said
    assert "LOOK AT review.time_bomb: a.py:3: compares" in said
    assert CLOCK in said


def scanned(installed: Installed, **changes: Json) -> None:
    hit = {"rule": "python.eval", "severity": "warning", "path": "a.py", "line": 7, "msg": "data is run as code"}
    scan = {**Scan("complete", "semgrep 1", "sha256:r", 3, 2, known=4).as_json(), "new": [hit], "unread": ["b.py"]}
    installed.append(Event("candidate.scanned", {"scan": installed.put({**scan, **changes})}))


def test_the_page_tells_what_the_scan_found_and_could_not_read(installed: Installed):
    installed.waiting()
    scanned(installed)
    doc = installed.json("evidence", CHANGE).doc
    assert (doc["scan"]["status"], doc["scan"]["new"][0]["rule"]) == ("complete", "python.eval")
    assert doc["scan"]["digest"].startswith("sha256:")
    said = installed.run("evidence", CHANGE).out
    assert "scan: complete; 2 of 3 changed files read by semgrep 1, 4 old findings" in said
    assert "a.py:7" in said
    assert "not read: b.py" in said


def test_the_page_tells_why_there_was_no_whole_scan(installed: Installed):
    installed.waiting()
    scanned(installed, status="incomplete", why="the engine killed", new=[])
    said = installed.run("evidence", CHANGE).out
    assert "scan: incomplete; " in said
    assert "; the engine killed" in said


def test_a_run_without_a_scan_has_no_line_of_it(installed: Installed):
    installed.waiting()
    assert installed.json("evidence", CHANGE).doc["scan"] == {}
    assert "scan:" not in installed.run("evidence", CHANGE).out
