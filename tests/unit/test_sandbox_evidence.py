"""The sandbox's report in the guard's words: bounded, whole numbers, nothing believed that was not proved."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evoguard.adapters.sandbox_evidence import MAX_NUMBER, MAX_REVIEW, MAX_UNSTABLE, evidence_of
from evoguard.domain.canonical import canonical
from evoguard.domain.evidence import Usage, review_codes
from evoguard_sandbox.types import Behaviour, Finding, Limits, SuiteReport, TestResult
from evoguard_sandbox.types import Usage as Used

TESTS = (TestResult("tests/test_a.py::test_a", "passed", 3),)
REPORT = SuiteReport(
    passed=True, outcome="finished", findings=(), tests=TESTS, new_tests=(), expected=("tests/test_a.py::test_a",),
    counts={"passed": 1}, behaviour=Behaviour("recorded"), runsc="runsc", kernel="Linux version 4.4.0",
    limits_mode="host", wall_ms=900, attempts=1, output="", verdict="pass", isolation="gvisor",
)  # fmt: skip


def test_isolation_is_what_the_room_proved_and_no_kernel_stands_in_for_it():
    assert evidence_of("t", REPORT).green
    unproved = evidence_of("t", replace(REPORT, isolation=""))
    assert (unproved.isolation, unproved.green) == ("", False)


@pytest.mark.parametrize(("isolation", "green"), [("unsafe-runc", True), ("docker", False), ("gvisor2", False)])
def test_only_rooms_with_a_known_kind_of_name_are_left_to_the_policies(isolation, green):
    seen = evidence_of("t", replace(REPORT, isolation=isolation))
    assert (seen.isolation, seen.green) == (isolation, green)


def test_findings_for_people_are_bounded_and_make_nothing_red():
    many = tuple(Finding("review.differs", f"f({n})") for n in range(300))
    seen = evidence_of("t", replace(REPORT, review=many))
    assert (len(seen.review), seen.green) == (MAX_REVIEW, True)
    assert review_codes(seen.as_json()) == list(seen.review_codes) == ["review.differs"]


def test_more_unstable_tests_than_are_told_leave_a_word_that_no_quarantine_covers():
    ids = tuple(f"a.py::test_{n}" for n in range(MAX_UNSTABLE + 7))
    told = evidence_of("t", replace(REPORT, unstable=ids)).unstable
    assert len(told) == MAX_UNSTABLE + 1
    assert told[-1] == "and 7 more"
    assert "::" not in told[-1]


def test_ids_are_told_in_the_form_that_policies_read():
    assert evidence_of("t", replace(REPORT, unstable=("a.py::cafe\u0301",))).unstable == ("a.py::caf\u00e9",)


def test_what_was_used_and_what_one_may_use_are_whole_bounded_numbers():
    used = Used(memory_bytes=1 << 80, cpu_ms=-5, tasks=61)
    seen = evidence_of("t", replace(REPORT, usage=used), Limits(wall_s=1.5))
    assert seen.usage == Usage(MAX_NUMBER, 0, 61, 900)
    assert seen.limits == Usage(2 << 30, 0, 341, 1500)
    assert evidence_of("t", REPORT).limits == Usage()
    assert json.loads(canonical(seen.as_json()))["usage"]["tasks"] == 61


@pytest.mark.parametrize("doc", [{}, {"review": None}, {"review": "text"}, {"review": [1, None]}, {"review": []}])
def test_evidence_of_an_older_version_names_nothing_to_look_at(doc):
    assert review_codes(doc) == []


def test_evidence_names_the_image_whatever_a_kernel_calls_itself():
    runtime = evidence_of("t", replace(REPORT, kernel="x" * 500), image="sha256:" + "0" * 64).runtime
    assert runtime.startswith("runsc; kernel xxx")
    assert runtime.endswith("; image sha256:" + "0" * 64)
    assert len(runtime) < 300
