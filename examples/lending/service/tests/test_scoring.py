"""What every scoring rule must keep, however clever it gets."""

from __future__ import annotations

import pytest
from lending.figures import NeedsPersonError
from lending.scoring import score


def test_a_solid_business_is_accepted(an_application):
    assert score(an_application())["decision"] == "accept"


def test_a_loan_far_beyond_the_business_is_refused(an_application):
    answer = score(an_application(amount=900_000, revenue=40_000, debts=40_000, profit=0, years=0))
    assert answer["decision"] == "refuse"


@pytest.mark.parametrize("revenue", [1, 1_000, 250_000, 90_000_000])
def test_a_score_is_a_whole_number_from_0_to_100(an_application, revenue):
    total = score(an_application(revenue=revenue))["score"]
    assert isinstance(total, int)
    assert 0 <= total <= 100


def test_more_debts_never_raise_the_score(an_application):
    scores = [score(an_application(debts=debts))["score"] for debts in (0, 20_000, 60_000, 150_000, 400_000)]
    assert scores == sorted(scores, reverse=True)


def test_an_older_business_never_scores_lower(an_application):
    scores = [score(an_application(years=years))["score"] for years in (0, 1, 4, 9, 30)]
    assert scores == sorted(scores)


def test_every_answer_has_a_reason(an_application):
    assert score(an_application())["reason"]


@pytest.mark.parametrize("missing", ["revenue", "amount", "debts", "years"])
def test_a_missing_figure_needs_a_person(an_application, missing):
    with pytest.raises(NeedsPersonError):
        score(an_application(**{missing: None}))
