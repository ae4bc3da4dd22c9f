"""The circuit breaker of an author: open while held, half-open until some releases in a row came out well, then closed.

Open is the hold itself (`author.held`): submissions are refused and no rollout of the author's widens. Two people who
lift it make it half-open: the author may propose, and each rollout takes smaller steps than the plan that was approved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from evoguard.domain.rollout import Plan

CLEAN_RELEASES = 3
"""Releases in a row that close it again."""
FIRST_PERCENT, DWELLS, STRICTER = 1, 4, 5
"""What a half-open rollout begins with, and how many times a dwell and a promotion's evidence it takes."""

Standing = Literal["closed", "half-open", "open"]


def standing(*, held: bool, clean: int | None) -> Standing:
    """Return how far an author is trusted. `clean`: releases since the last hold, None when there never was one."""
    if held:
        return "open"
    return "closed" if clean is None or clean >= CLEAN_RELEASES else "half-open"


def cautious(plan: Plan) -> Plan:
    """Return the plan of a half-open author: from the smallest stage on, each stage longer and on stronger evidence.

    No stage is larger, no dwell shorter and no bound weaker than in `plan`; a window too short for it ends the rollout.
    """
    return replace(
        plan,
        stages=tuple(sorted({FIRST_PERCENT, *plan.stages})),
        dwell_s=DWELLS * plan.dwell_s,
        bake_s=DWELLS * plan.bake_s,
        promote_alpha=plan.promote_alpha / STRICTER,
    )
