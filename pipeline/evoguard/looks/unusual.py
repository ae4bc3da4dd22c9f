"""Everything about the code of a change that people are told to look at: one door to the looks that compare two trees.

None of it proves a fault, so none of it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evoguard.domain.scan import Hit
from evoguard.looks.guards import lost
from evoguard.looks.leaks import leaks
from evoguard.looks.literals import loosened
from evoguard.looks.losses import losses
from evoguard.looks.protections import touched
from evoguard.looks.trees import pruned
from evoguard.looks.turns import turns

SETTINGS, UNREAD = "build.package_settings", "guard.not_compared"
MOST_HITS, MOST_OF_ONE = 30, 5
"""So many are told of one change, and of one rule. `lost` and `touched` bound themselves."""
_SETTINGS = re.compile(
    r"(.*/)?(\.npmrc|\.yarnrc(\.yml)?|pip\.(conf|ini)|\.pypirc|uv\.toml|\.condarc|\.gemrc|bunfig\.toml|\.netrc"
    r"|nuget\.config|\.cargo/config(\.toml)?|\.mvn/.*|\.bundle/config)",
    re.IGNORECASE,
)


def unusual(
    base: Mapping[str, bytes], head: Mapping[str, bytes], changed: Sequence[tuple[str, str]]
) -> tuple[Hit, ...]:
    """Return what is unusual in a change. `changed`: (path at the base or empty, path now) of each file still there."""
    trees = pruned(base, head, changed)
    found = _settings(base, head, changed)
    for look in (losses, loosened, leaks, turns):
        try:
            found += look(base, head, changed, trees)
        except (RecursionError, MemoryError):
            found.append(Hit(UNREAD, "warning", changed[0][1], 0, "a part of the change is too deep to be compared"))
    told: list[Hit] = []
    times: dict[str, int] = {}
    for hit in found:
        times[hit.rule] = times.get(hit.rule, 0) + 1
        if times[hit.rule] <= MOST_OF_ONE:
            told.append(hit)
    return (*lost(base, head, changed), *touched(base, head, changed, trees), *told[:MOST_HITS])


def _settings(base: Mapping[str, bytes], head: Mapping[str, bytes], changed: Sequence[tuple[str, str]]) -> list[Hit]:
    said = "settings of a package manager decide where packages come from and what they may run"
    rows = [now for was, now in changed if _SETTINGS.fullmatch(now) and base.get(was) != head.get(now)]
    return [Hit(SETTINGS, "warning", path, 1, said) for path in rows]
