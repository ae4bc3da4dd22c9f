from __future__ import annotations

import pytest

from evoguard_sandbox.judging import facts
from evoguard_sandbox.judging.evidence import function_of
from evoguard_sandbox.reports.found import Found
from evoguard_sandbox.shown import shown_name


@pytest.mark.parametrize(
    ("test_id", "name"),
    [
        ("tests/test_x.py::test_a", "test_a"),
        ("tests/test_x.py::TestA::test_a[b::c.py::d[e]]", "test_a"),
        ("tests/test_[x].py::test_a", "test_a"),
        ("tests/test_[x].py::TestA::test_a[1]", "test_a"),
        ("tests/a[b]/test_x.py::test_a[c]", "test_a"),
        ("TestA::test_a", "test_a"),
        ("test_a", "test_a"),
        ("docs/a[b].txt::a.txt", "a.txt"),
    ],
)
def test_a_tests_function_is_found_whatever_its_file_is_called(test_id, name):
    assert function_of(test_id) == name


def test_names_that_are_alike_for_long_stay_two_and_bounded():
    one, two = (shown_name("x" * 5000 + end, 100) for end in "ab")
    assert one != two
    assert len(one) == len(two) == 99
    assert one.startswith("x" * 80)
    assert shown_name("a\x1b", 100) == "a\\x1b"
    # Escaped they are longer than the bound, and alike up to it.
    one, two = (shown_name("\x1b" * 90 + end, 100) for end in "ab")
    assert one != two
    assert len(one) <= 100


@pytest.mark.parametrize("characters", ["x", "\x1b"])
def test_two_reports_of_tests_whose_names_are_alike_for_long_are_no_forgery(characters):
    reading = facts._Reading("key")
    for end in "ab":
        reading.believe({"k": "test", "id": "t.py::t" + characters * 1100 + end, "o": "passed", "ms": 1, "why": ""})
    assert len(reading.tests) == 2


def test_a_foreign_report_keeps_names_apart_that_are_alike_for_long():
    found = Found(10)
    for end in "ab":
        found.add(["group", "x" * 5000 + end], "passed")
    assert len({test.id for test in found.done()}) == 2
    assert not any(test.id.endswith("(2)") for test in found.done())
