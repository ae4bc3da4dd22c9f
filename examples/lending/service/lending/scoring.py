"""Score a business-loan application: the rule that agents may improve."""

from __future__ import annotations

from lending.figures import Application, figure, positive

ACCEPT_FROM = 55
REFUSE_BELOW = 35


def score(application: Application) -> dict[str, object]:
    """Return `{score, decision, reason}`; the score is a whole number from 0 to 100.

    Raises: NeedsPersonError when a figure is missing.
    """
    points = rate(application)
    total = max(0, min(100, round(points)))
    decision, reason = decide(total)
    return {"score": total, "decision": decision, "reason": reason}


def rate(application: Application) -> float:
    """Return the points of an application before they are bounded."""
    revenue = positive(application, "revenue")
    amount = positive(application, "amount")
    years = figure(application, "years")
    debts = figure(application, "debts")
    coverage = min(40.0, 10 * revenue / amount)
    age = min(20.0, 2 * years)
    burden = min(30.0, 30 * debts / revenue)
    return 20 + coverage + age - burden


def decide(total: int) -> tuple[str, str]:
    """Return the decision for a score, and its reason in words for the applicant."""
    if total >= ACCEPT_FROM:
        return "accept", "revenue and age of the business cover the loan"
    if total < REFUSE_BELOW:
        return "refuse", "the loan is too large for the business"
    return "review", "the figures leave room for both answers"
