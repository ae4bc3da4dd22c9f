"""Price a business loan: the yearly interest rate of an application."""

from __future__ import annotations

from lending.figures import Application, figure, positive

BASE_PERCENT = 4.5
CEILING_PERCENT = 14.0


def price(application: Application) -> dict[str, object]:
    """Return `{rate_percent, monthly}`; the rate is yearly, the instalment is for 36 months.

    Raises: NeedsPersonError when a figure is missing.
    """
    amount = positive(application, "amount")
    rate = min(CEILING_PERCENT, BASE_PERCENT + surcharge(application))
    monthly = amount * (1 + 3 * rate / 100) / 36
    return {"rate_percent": round(rate, 2), "monthly": round(monthly, 2)}


def surcharge(application: Application) -> float:
    """Return the percent points that the risk of this business adds."""
    revenue = positive(application, "revenue")
    debts = figure(application, "debts")
    years = figure(application, "years")
    leverage = min(6.0, 4 * debts / revenue)
    youth = max(0.0, 3 - years) * 0.8
    return leverage + youth
