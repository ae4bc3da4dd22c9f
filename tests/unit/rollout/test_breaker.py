from __future__ import annotations

import itertools

import pytest

from evoguard.domain.breaker import CLEAN_RELEASES, DWELLS, STRICTER, cautious, standing
from evoguard.domain.rollout import Plan

PLAN = Plan((10, 50, 98), {"errors": 200}, dwell_s=60, disaster_exposures=300, evidence_from_percent=10, silent_s=600,
            bake_s=100, holdback_percent=2)  # fmt: skip


def test_whoever_is_held_is_open_whatever_came_before():
    assert {standing(held=True, clean=n) for n in (None, 0, 99)} == {"open"}


def test_it_is_closed_again_after_some_clean_releases_and_never_before():
    assert standing(held=False, clean=None) == "closed"
    assert [standing(held=False, clean=n) for n in range(CLEAN_RELEASES)] == ["half-open"] * CLEAN_RELEASES
    assert standing(held=False, clean=CLEAN_RELEASES) == "closed"


def test_a_cautious_plan_begins_with_the_smallest_stage_and_takes_longer_on_stronger_evidence():
    found = cautious(PLAN)
    assert found.stages == (1, 10, 50, 98)
    assert (found.dwell_s, found.bake_s) == (DWELLS * 60, DWELLS * 100)
    assert found.promote_alpha == pytest.approx(PLAN.promote_alpha / STRICTER)


@pytest.mark.parametrize("stages", [tuple(s) for n in (1, 2, 3) for s in itertools.combinations((1, 5, 50, 98), n)])
def test_no_step_of_a_cautious_plan_is_wider_than_one_of_the_plan(stages):
    def steps(plan: Plan) -> int:
        return max(b - a for a, b in itertools.pairwise((0, *plan.stages)))

    whole = Plan(stages, {}, dwell_s=1, disaster_exposures=1, evidence_from_percent=1, silent_s=1)
    found = cautious(whole)
    assert found.stages[0] == 1
    assert set(whole.stages) <= set(found.stages)
    assert steps(found) <= steps(whole)
