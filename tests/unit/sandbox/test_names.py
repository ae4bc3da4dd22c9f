from __future__ import annotations

import pytest

from evoguard_sandbox.judging.evidence import function_of


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
