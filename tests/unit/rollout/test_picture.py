"""A rollout drawn: what each column stands for is what a judge would have known then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard.cli import plot
from evoguard.cli.rollouts import page
from evoguard.domain.fold import StageEntry, tally_of
from evoguard.errors import InputError
from evoguard.views import rollout as view
from house import House
from unit.rollout.runs import a_rng, traffic

MARGINS = {"errors": 200}
STAGES = (StageEntry(1, 0), StageEntry(10, 20_000), StageEntry(50, 40_000))


def batches(seed: int, rates: tuple[float, float] = (0.05, 0.2)):
    rng = a_rng(seed)
    shares = {0: 0.01, 1: 0.1, 2: 0.5}
    return [
        traffic(rng, f"{n}", at=1_000 * n + 500, units=40, share=shares[n // 20], rates=rates) for n in range(60)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_each_column_is_what_was_known_at_its_moment(seed):
    seen = batches(seed)
    course = view.course_of(MARGINS, STAGES, seen, 60_000, 30)
    assert [tally.now_ms for tally in course] == [2_000 * n for n in range(1, 31)]
    for tally in course:
        known = [batch for batch in seen if batch.at <= tally.now_ms]
        entries = tuple(entry for entry in STAGES if entry.entered_at <= tally.now_ms)
        whole = tally_of(MARGINS, entries, known, tally.now_ms)
        assert (tally.stage, tally.before, tally.aborts, tally.promotes) == (
            whole.stage, whole.before, whole.aborts, whole.promotes
        )  # fmt: skip


def test_batches_that_came_late_and_a_rollout_that_ended_at_once_are_drawn():
    late = list(reversed(batches(1)))
    assert view.course_of(MARGINS, STAGES, late, 60_000, 10)[-1].taken == 60
    (only,) = view.course_of(MARGINS, STAGES[:1], [], 0, 1)
    assert only.stage.units == 0
    arm = view.point(only)["kpis"]["errors"]["candidate"]
    assert arm == {"units": 0, "bad": 0, "rate_ppm": None, "low_ppm": 0, "high_ppm": 1_000_000}


@pytest.mark.parametrize(
    ("bad", "units", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 100, 0.0552, 0.1744), (50, 100, 0.4038, 0.5962), (5, 5, 0.5655, 1.0)],
)
def test_the_band_is_wilsons(bad, units, low, high):
    """Worked by hand from the formula in Wilson 1927 with z = 1.96."""
    assert view.wilson(bad, units) == pytest.approx((low, high), abs=5e-4)


@given(units=st.integers(0, 10**6), bad=st.integers(0, 10**6))
def test_a_band_lies_in_what_a_rate_can_be_and_holds_it(units, bad):
    low, high = view.wilson(bad, units)
    assert 0.0 <= low <= high <= 1.0
    if units:
        assert low - 1e-9 <= min(bad, units) / units <= high + 1e-9


def test_columns_are_as_high_as_their_values_and_the_bound_lies_behind_them():
    assert plot.heights([0, 1, 2, 4], 4, 2) == ["   █", " ▄██"]
    assert plot.heights([0, 4], 4, 4, bound=3) == ["┄█", " █", " █", " █"]
    assert plot.heights([9], 4, 1) == ["█"]


def test_arms_are_drawn_over_each_other():
    nothing, half = (None, 0.0, 1.0), (0.5, 0.25, 0.75)
    assert plot.arms([half], [nothing], 1.0, 4) == [" ", plot.CONTROL, " ", " "]
    assert plot.arms([half], [half], 1.0, 4) == [plot.BAND, plot.BOTH, plot.BAND, " "]
    assert plot.arms([nothing], [half], 0.0, 2) == [" ", plot.TREATED]


def test_marks_stand_where_they_begin():
    assert plot.ruler(["1 %"] * 5 + ["10 %"] * 3) == "│1 % │10"


class Reading:
    """A reader over a test's house."""

    def __init__(self, house: House) -> None:
        self.change, self.events, self.artifact = house.queries.change, house.queries.events, house.artifacts.get


async def test_a_rollout_of_the_whole_flow_is_drawn_to_its_end(tmp_path, capsys):
    house = House(tmp_path)
    change = await house.to_watch()
    house.traffic(change, units=500, percent=1)
    running = await view.rollout(Reading(house), house.kpis, change, now_ms=house.clock.now_ms() + 5_000)
    assert (running["ended"], [stage["percent"] for stage in running["stages"]]) == ("", [1])
    await house.promote(change)
    doc = await view.rollout(Reading(house), house.kpis, change, now_ms=house.clock.now_ms())
    assert [stage["percent"] for stage in doc["stages"]] == [1, 10, 50, 98]
    assert len(doc["points"]) == view.POINTS
    assert doc["points"][-1]["candidate"] > doc["points"][0]["candidate"]
    assert doc["ended"] in view.ENDS
    page(doc)
    shown = capsys.readouterr().out
    assert "errors: rate in this stage" in shown
    assert "│1 %" in shown
    assert max(len(row) for row in shown.splitlines() if "┤" in row) <= 100


async def test_before_the_approval_the_units_that_each_stage_needs_are_shown(tmp_path, capsys):
    house = House(tmp_path)
    change = await house.submit()
    await house.drive(change)
    doc = await view.rollout(Reading(house), house.kpis, change, now_ms=1)
    assert [stage["percent"] for stage in doc["needs"]["stages"]] == [1, 10, 50, 98]
    assert (doc["points"], doc["stages"]) == ([], [])
    page(doc)
    assert "new units needed, about" in capsys.readouterr().out


async def test_what_is_unknown_is_not_drawn(tmp_path):
    house = House(tmp_path)
    with pytest.raises(InputError):
        await view.rollout(Reading(house), house.kpis, "ch-000000000000", now_ms=1)
