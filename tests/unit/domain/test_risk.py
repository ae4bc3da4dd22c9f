"""The floor: whole points that nothing more can lower."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard import bundle
from evoguard.domain import risk
from evoguard.domain.canonical import Json
from evoguard.domain.risk import (
    HARD,
    SUMMED,
    Features,
    Risk,
    Row,
    floor_of,
    raised,
    risk_from,
    unmeasured,
    weights_from,
)

DATA: Any = bundle.load().numbers
SHIPPED = weights_from(DATA)
COUNTED = [f.name for f in fields(Features) if f.name != "place_class"]
VALUE = st.one_of(st.integers(0, 60), st.integers(0, 10_000))
MEASURED = st.builds(Features, **dict.fromkeys(COUNTED, VALUE))
STEPS = st.lists(st.tuples(st.integers(1, 9_000), st.integers(0, 1_000)), min_size=1, max_size=6).map(
    lambda rows: [
        [at, points]
        for at, points in zip(sorted({a for a, _ in rows}), sorted(p for _, p in rows), strict=False)
    ]
)  # fmt: skip


def with_steps(**steps: object) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    data["risk"]["steps"].update(steps)
    return data


@settings(deadline=None)
@given(MEASURED, st.sampled_from(COUNTED), st.integers(0, 5_000))
def test_nothing_more_lowers_the_floor(features: Features, name: str, more: int) -> None:
    grown = replace(features, **{name: getattr(features, name) + more})
    assert floor_of(grown, SHIPPED).floor >= floor_of(features, SHIPPED).floor


@settings(deadline=None)
@given(MEASURED, st.sampled_from([*SUMMED, *HARD]), st.integers(0, 5_000), STEPS)
def test_nor_does_it_under_any_weights_that_are_taken(features: Features, name: str, more: int, steps: object) -> None:
    data = with_steps(**{name: steps})
    if risk.wrong(data):  # what is never free may not be made free
        return
    grown = replace(features, **{name: getattr(features, name) + more})
    assert floor_of(grown, weights_from(data)).floor >= floor_of(features, weights_from(data)).floor


@settings(deadline=None)
@given(MEASURED, st.one_of(st.none(), st.integers(-5, 5_000)))
def test_a_model_raises_and_never_lowers(features: Features, opinion: int | None) -> None:
    floor = floor_of(features, SHIPPED)
    judged = replace(floor, model=opinion)
    assert floor.floor == judged.floor <= judged.value <= 1_000
    assert judged.value == max(judged.floor, min(1_000, opinion or 0))


@settings(deadline=None)
@given(MEASURED, STEPS)
def test_other_weights_reach_what_waits_only_where_they_are_heavier(features: Features, steps: object) -> None:
    before = floor_of(features, SHIPPED)
    after = raised(risk_from(before.as_json()), weights_from(with_steps(lines=steps)), [])
    assert after.floor >= max(before.floor, 0)
    now = weights_from(with_steps(lines=steps)).points("lines", features.lines)
    assert after.rows[0].points == max(before.rows[0].points, now)
    assert risk_from(before.as_json()) == before


def test_a_place_that_became_delicate_reaches_what_waits() -> None:
    after = raised(floor_of(Features(), SHIPPED), SHIPPED, ["lib/auth.py"])
    assert after.floor == 200


@pytest.mark.parametrize(
    "doc", [None, 7, {}, {"features": []}, {"features": [7]}, {"features": [{"value": "1", "points": 1}]}]
)
def test_a_record_that_cannot_be_read_is_of_the_highest(doc: Json) -> None:
    assert risk_from(doc).value == 1_000


@settings(deadline=None)
@given(st.sets(st.text("abz/._", min_size=1, max_size=12)), st.sets(st.text("abz/._", min_size=1, max_size=12)))
def test_more_paths_are_never_a_lesser_place(some: set[str], more: set[str]) -> None:
    assert SHIPPED.place(some)[0] <= SHIPPED.place(some | more)[0]


def test_a_guard_path_is_1000_under_any_weights() -> None:
    none = {name: [] for name in SUMMED + HARD if name not in risk.NEVER_FREE}
    assert floor_of(Features(guard_paths=1), weights_from(with_steps(**none))).floor == 1_000


@pytest.mark.parametrize("name", risk.NEVER_FREE)
def test_what_was_not_seen_costs_points_under_any_weights(name: str) -> None:
    assert floor_of(Features(**{name: 1}), SHIPPED).floor > 0
    for steps in ([], [[1, 0]], [[2, 10]]):
        assert risk.wrong(with_steps(**{name: steps}))


def test_what_nobody_measured_is_the_highest() -> None:
    assert unmeasured("lost").value == 1_000


def test_hard_lines_are_a_least_and_no_part_of_the_sum() -> None:
    rows = (Row("a", 1, 300), Row("b", 1, 400), Row("c", 1, 600, hard=True), Row("d", 1, 500, hard=True))
    assert Risk(rows).floor == 700
    assert Risk(rows[1:]).floor == 600
    assert Risk((*rows, Row("e", 1, 900))).floor == 1_000


@pytest.mark.parametrize(
    ("path", "points"),
    [
        ("lending/scoring.py", 0), ("shop/auth/views.py", 200), ("auth.py", 200), ("Shop/AUTH/x.py", 200),
        ("lib/author.py", 0), ("db/migrations/0001.py", 200), ("Dockerfile", 150), ("a/pyproject.toml", 150),
        ("requirements.lock", 150), ("requirements-dev.txt", 150), ("api/v1.py", 100), ("x.proto", 100),
        ("checkout.go", 200), ("docs/a.md", 0), ("tests/conftest.py", 150),
    ],
)  # fmt: skip
def test_places_that_ship(path: str, points: int) -> None:
    assert SHIPPED.place([path])[0] == points


@pytest.mark.parametrize(
    "steps",
    [
        None, {}, [1], [[1]], [[1, 2, 3]], [[0, 1]], [[1, 1001]], [[1, -1]], [["1", 2]], [[True, 2]], [[2, 5], [1, 6]],
        [[1, 5], [2, 4]], [[1, 5], [1, 6]], [[n, n] for n in range(1, 22)], [[10**10, 1]],
    ],
    ids=str,
)  # fmt: skip
def test_weights_that_could_fall_or_are_none_are_not_taken(steps: object) -> None:
    assert "data.risk.steps.lines" in risk.wrong(with_steps(lines=steps))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": None}, {"steps": {}}, {"places": None}, {"places": {"a": {"points": 1}}},
        {"places": {"a": {"points": 1, "globs": []}}}, {"places": {"a": {"points": 1, "globs": ["["]}}},
        {"places": {"a": {"points": 1, "globs": ["a" * 201]}}}, {"places": {"a": {"points": 1001, "globs": ["a"]}}},
        {"places": {str(n): {"points": 1, "globs": ["a"]} for n in range(51)}},
        {"first_percent": {}}, {"first_percent": [{"from": 300}]}, {"step_times": [{"from": 300, "most": 0}]},
        {"step_times": [{"from": "300", "most": 5}]}, {"people": [{"from": 1, "people": True}]},
    ],
    ids=str,
)  # fmt: skip
def test_tables_of_another_shape_are_not_taken(change: dict[str, object]) -> None:
    assert risk.wrong({"risk": {**DATA["risk"], **change}})
    assert risk.wrong({"risk": 7})


def test_a_bundle_from_before_risk_is_no_broken_one() -> None:
    assert risk.wrong({}) == ""
    with pytest.raises(ValueError, match=r"data\.risk"):
        weights_from({})
