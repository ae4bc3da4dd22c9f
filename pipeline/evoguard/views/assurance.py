"""How hard a verdict was to forge, in words for the people who rely on it."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Json

NONE_HELD_OUT = (
    "judged by visible tests only: held-out tests are kept per repository address, none for this one"
)  # fmt: skip


def assurance_words(evidence: Mapping[str, Json], held_out: str) -> list[Json]:
    """Return what the verdict rests on, a line each. `held_out` is the event's own word, empty in older logs."""
    expected, split, unproven = (whole(evidence.get(name)) for name in ("expected", "split", "unproven"))
    share = f"{split} of {expected} tests also ran apart from the code ({percent(split, expected)} %)"
    level = evidence.get("assurance")
    if level == "held-out":
        lines: list[Json] = ["held-out: tests that no agent can read passed, apart from the code", share]
    elif level == "split":
        lines = [f"split: {share}"]
    else:
        lines = ["visible-only: tests that the author can read, in the code's own interpreter", share]
    if unproven:
        lines.append(f"{unproven} of {expected} tests were not seen to fail when made false")
    if held_out == "False":
        lines.append(NONE_HELD_OUT)
    elif held_out == "True" and level != "held-out":
        lines.append("this repository has held-out tests, but they could not judge apart from the code here")
    return lines


def percent(part: int, total: int) -> int:
    """Return a share in whole percent, rounded down; of nothing it is 0."""
    return part * 100 // total if total > 0 else 0


def whole(value: Json) -> int:
    """Return a stored number; anything else, and what older evidence lacks, is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
