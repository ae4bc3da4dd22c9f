"""A calendar that would stay open in silence is not taken; one that is whole is, and so is none."""

from __future__ import annotations

import pytest

from evoguard.domain import calendar

HOURS = {"days": ["friday"], "from": 15, "to": 24, "reason": "the weekend begins"}
SPAN = {"from": "2026-12-20", "to": "2027-01-03", "reason": "holidays"}
TABLE = {"closed": [HOURS], "freezes": [SPAN], "low_risk": 100, "people": 2}


def wrong(**change: object) -> str:
    return calendar.wrong({"calendar": {**TABLE, **change}})


def test_what_is_whole_is_taken_and_so_is_none():
    assert calendar.wrong({"calendar": TABLE}) == calendar.wrong({}) == wrong(closed=[], freezes=[]) == ""
    assert wrong(freezes=[{**SPAN, "to": "2026-12-20"}]) == ""


@pytest.mark.parametrize(
    "change",
    [{"days": []}, {"days": ["Friday"]}, {"days": "friday"}, {"days": ["fri"]}, {"from": 24}, {"from": -1},
     {"from": True}, {"to": 15}, {"to": 25}, {"to": "24"}, {"reason": ""}, {"reason": None}, {"reason": "x" * 201},
     {"zone": "CET"}],
    ids=str,
)  # fmt: skip
def test_hours_that_never_come_are_told(change):
    assert wrong(closed=[HOURS, {**HOURS, **change}]).startswith("data.calendar.closed[1]: ")


@pytest.mark.parametrize(
    "change",
    [{"from": "2026-12-32"}, {"from": "20.12.2026"}, {"from": 20261220}, {"from": "20261220"}, {"to": "2026-12-19"},
     {"to": "2100-01-01"}, {"from": "1969-12-31"}, {"reason": ""}, {"days": 3}],
    ids=str,
)  # fmt: skip
def test_a_span_of_no_days_is_told(change):
    assert wrong(freezes=[{**SPAN, **change}]).startswith("data.calendar.freezes[0]: ")


@pytest.mark.parametrize(
    "table",
    [None, [], {}, {**TABLE, "holidays": []}, {**TABLE, "closed": {}}, {**TABLE, "closed": [None]},
     {**TABLE, "freezes": [7]}, {**TABLE, "closed": [HOURS] * 101}, {**TABLE, "low_risk": -1},
     {**TABLE, "low_risk": 1001}, {**TABLE, "people": 0}, {**TABLE, "people": True},
     {key: TABLE[key] for key in ("closed", "freezes", "people")}],
    ids=str,
)  # fmt: skip
def test_a_table_of_another_shape_is_not_taken(table):
    assert calendar.wrong({"calendar": table})
