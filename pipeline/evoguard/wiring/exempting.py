"""What is excepted from the rules in force, counted in the recorded decisions. Nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from evoguard.domain import exceptions
from evoguard.domain.backtest import Recorded
from evoguard.domain.canonical import Json
from evoguard.settings import Settings
from evoguard.views import past
from evoguard.views.reader import moment
from evoguard.wiring.reading import Reading
from evoguard.wiring.rulebook import bundle_in_force
from evoguard.wiring.state import open_state

SOON_DAYS = 14
EXAMPLES = 5
HOLDS = "holds"

Says = Callable[[Mapping[str, Json], Mapping[str, Json]], bool]


async def exemptions(settings: Settings, *, soon_days: int = SOON_DAYS) -> dict[str, Json]:
    """Return each exemption and rule in shadow of the bundle in force, how long it lasts, and where it spoke.

    Raises: ConfigError, IntegrityError.
    """
    loaded, opened = bundle_in_force(settings), open_state(settings)
    try:
        now_s = opened.clock.now_ms() // 1000
        decisions = [one async for one in past.every(Reading(opened))]
    finally:
        opened.close()
    exempt, shadow = exceptions.listed(json.loads(loaded.data), now_s)
    codes = loaded.manifest.codes
    rows = [_exemption(row, decisions, now_s, soon_days) for row in exempt if isinstance(row, Mapping)]
    watching = [_shadow(row, decisions, now_s, codes) for row in shadow if isinstance(row, Mapping)]
    return {
        "bundle": loaded.manifest.digest,
        "decisions": len(decisions),
        "unreadable": sum(one.question is None for one in decisions),
        "exemptions": [*rows],
        "shadow": [*watching],
        "unused": [str(row["id"]) for row in rows if not _count(row["used"])],
        "expiring": [str(row["id"]) for row in rows if row["expiring"]],
        "soon_days": soon_days,
    }


def _exemption(row: Mapping[str, Json], decisions: Sequence[Recorded], now_s: int, soon_days: int) -> dict[str, Json]:
    left = exceptions.days_left(row.get("until"), now_s)
    return {
        **row, "days_left": left, "expiring": row["standing"] == HOLDS and left <= soon_days,
        "used": _spoke(row, decisions, exceptions.lifts),
    }  # fmt: skip


def _shadow(
    row: Mapping[str, Json], decisions: Sequence[Recorded], now_s: int, codes: Mapping[str, Mapping[str, str]]
) -> dict[str, Json]:
    return {
        **row, "days_left": exceptions.days_left(row.get("effective_on"), now_s),
        "severity": codes.get(str(row.get("code")), {}).get("severity", ""),
        "would": _spoke(row, decisions, exceptions.watches),
    }  # fmt: skip


def _spoke(row: Mapping[str, Json], decisions: Sequence[Recorded], says: Says) -> dict[str, Json]:
    """Return in how many decisions and changes an entry set something aside; `allowed`: those that passed with it."""
    found = [(one, hits) for one in decisions if (hits := [note for note in one.notes if says(row, note)])]
    examples: list[Json] = [
        {"change": one.change, "stage": one.stage, "at": moment(one.at_ms), "allow": one.allow,
         "msg": hits[0].get("msg", ""), "path": hits[0].get("path", ""), "more": len(hits) - 1}
        for one, hits in found[-EXAMPLES:]
    ]  # fmt: skip
    return {
        "decisions": len(found), "changes": len({one.change for one, _ in found}),
        "allowed": sum(one.allow for one, _ in found), "last": moment(found[-1][0].at_ms) if found else "",
        "examples": [*reversed(examples)],
    }  # fmt: skip


def _count(spoke: Json) -> int:
    return int(str(spoke["decisions"])) if isinstance(spoke, Mapping) else 0
