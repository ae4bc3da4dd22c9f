"""What every pricing rule must keep."""

from __future__ import annotations

import pytest
from lending.figures import NeedsPersonError
from lending.pricing import CEILING_PERCENT, price


def test_a_solid_business_pays_less_than_an_indebted_one(an_application):
    assert price(an_application())["rate_percent"] < price(an_application(debts=300_000))["rate_percent"]


def test_a_young_business_never_pays_less_than_an_old_one(an_application):
    rates = [price(an_application(years=years))["rate_percent"] for years in (0, 1, 2, 5, 20)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("debts", [0, 10_000, 10_000_000])
def test_a_rate_stays_between_two_percent_and_the_ceiling(an_application, debts):
    assert 2.0 <= price(an_application(debts=debts))["rate_percent"] <= CEILING_PERCENT


def test_the_instalment_pays_back_more_than_the_loan(an_application):
    assert price(an_application(amount=36_000))["monthly"] * 36 > 36_000


@pytest.mark.parametrize("missing", ["revenue", "amount"])
def test_a_missing_figure_needs_a_person(an_application, missing):
    with pytest.raises(NeedsPersonError):
        price(an_application(**{missing: None}))
