"""What people may set aside, and what a component file must say of it."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime

import pytest

from evoguard.domain.quarantine import MOST, quarantines

GOOD = {"test": "tests/test_a.py::test_a", "until": date(2027, 1, 31), "reason": "reads the clock", "owner": "ada"}


def test_an_entry_ends_with_the_first_second_of_the_day_that_it_names():
    text = '[[q]]\ntest = "tests/test_a.py::test_a"\nuntil = 2027-01-31\nreason = "reads the clock"\nowner = "ada"\n'
    (entry,) = quarantines(tomllib.loads(text)["q"])
    assert entry.until == datetime(2027, 1, 31, tzinfo=UTC).timestamp()
    assert entry.as_json() == {**GOOD, "until": entry.until}


def test_no_entries_are_none():
    assert quarantines([]) == ()


def test_an_id_is_read_in_the_form_that_policies_compare():
    (entry,) = quarantines([{**GOOD, "test": "a.py::test[cafe\u0301]"}])
    assert entry.test == "a.py::test[caf\u00e9]"


@pytest.mark.parametrize(
    "value",
    [
        None, {}, "x", [None], [{}], ["x"], [{**GOOD, "more": 1}],
        [{k: v for k, v in GOOD.items() if k != "owner"}], [{k: v for k, v in GOOD.items() if k != "until"}],
        [{**GOOD, "until": "2027-01-31"}], [{**GOOD, "until": 1_800_000_000}], [{**GOOD, "until": date(1, 1, 1)}],
        [{**GOOD, "until": datetime(2027, 1, 31, tzinfo=UTC)}], [{**GOOD, "test": "tests/test_a.py"}],
        [{**GOOD, "test": "**"}], [{**GOOD, "test": ""}], [{**GOOD, "test": "a::b" + "x" * 2000}],
        [{**GOOD, "reason": "  "}], [{**GOOD, "owner": ""}], [{**GOOD, "owner": 7}], [{**GOOD, "reason": "a\0"}],
        [GOOD, GOOD], [{**GOOD, "test": f"a::{n}"} for n in range(MOST + 1)],
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_words_for_a_person(value):
    with pytest.raises(ValueError, match=r"policy\.quarantine"):
        quarantines(value)
