"""What a bundle excepts: named when it is not whole, and where it stands at a moment."""

from __future__ import annotations

import pytest

from evoguard.domain.exceptions import constitution, listed, wrong

CODES = {"a.one": {"severity": "deny"}, "a.two": {"severity": "escalate"}, "a.fixed": {"severity": "constitution"}}
ROW = {
    "id": "EX-1", "code": "a.one", "scope": {"repo": "lending", "component": "", "path": "src/**"},
    "reason": "a move", "owner": "ada", "approved_by": ["ada", "bob"], "until": "2026-10-01",
}  # fmt: skip
SHADOW = {"code": "a.two", "effective_on": "2026-10-01"}
DATA = {"constitution": ["a.fixed"], "exemptions": [ROW], "shadow": [SHADOW], "limits": {"exemption_days": 90}}
DAY = 1_790_812_800  # 2026-10-01


def test_whole_data_has_nothing_wrong():
    assert constitution(CODES) == ["a.fixed"]
    assert wrong(DATA, CODES) == []
    assert wrong({"constitution": ["a.fixed"], "exemptions": [], "shadow": []}, CODES) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"code": "a.fixed"}, "'a.fixed' is no rule"),
        ({"code": "a.none"}, "'a.none' is no rule"),
        ({"code": None}, "is no rule"),
        ({"id": ""}, "id must be said"),
        ({"reason": 5}, "reason must be said"),
        ({"owner": ""}, "owner must be said"),
        ({"approved_by": ["ada"]}, "2 different people"),
        ({"approved_by": ["ada", "ADA", ""]}, "2 different people"),
        ({"approved_by": "ada bob"}, "2 different people"),
        ({"scope": {}}, "scope has the texts"),
        ({"scope": {"repo": "", "component": "", "path": "x"}}, "a repository or a component"),
        ({"scope": {"repo": 1, "component": "", "path": ""}}, "scope has the texts"),
        ({"until": "2026-13-01"}, "until is a day"),
        ({"until": "20261001"}, "until is a day"),
        ({"until": "2100-01-01"}, "until is a day"),
        ({"until": 5}, "until is a day"),
        ({"more": 1}, "it has the keys"),
    ],
)
def test_an_exemption_that_is_not_whole_is_named(change, says):
    (told,) = wrong({**DATA, "exemptions": [ROW, {**ROW, **change}]}, CODES)
    assert told.startswith("exemptions[1]: ")
    assert says in told


@pytest.mark.parametrize("row", [{}, {**SHADOW, "code": "a.fixed"}, {**SHADOW, "effective_on": "soon"}, "a.two"])
def test_a_shadow_that_is_not_whole_is_named(row):
    (told,) = wrong({**DATA, "shadow": [row]}, CODES)
    assert told.startswith("shadow[0]: ")


def test_the_constitution_is_what_the_rules_say_it_is():
    for said in ([], ["a.fixed", "a.one"], None):
        assert wrong({**DATA, "constitution": said}, CODES) == ["`constitution` must be ['a.fixed']"]


@pytest.mark.parametrize(
    ("now", "exempt", "shadow"),
    [
        (DAY - 1, "holds", "holds"),
        (DAY, "run out", "run out"),
        (DAY - 90 * 86_400, "holds", "holds"),
        (DAY - 90 * 86_400 - 1, "too far ahead: does not hold yet", "holds"),
    ],
)
def test_where_it_stands(now, exempt, shadow):
    exemptions, shadows = listed(DATA, now)
    assert (exemptions[0]["standing"], shadows[0]["standing"]) == (exempt, shadow)
    assert listed({"exemptions": [{"until": "x"}], "shadow": 3}, now)[0][0]["standing"].startswith("not whole")
