"""Latches: kills that were asked for, each absorbing until two people lift it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json

Scope = Literal["all", "component", "flag"]
MAX_EPOCH = 2**40
"""No installation kills that often; a latch with a higher number was made to end the numbering."""
MAX_LEAP = 1_000_000
"""How far one latch may be above every number that is trusted without it."""

DRILL_FLAG = "drill-"
"""What the flag of a rehearsal is called, with twelve hexadecimal digits behind it."""
_DRILL = re.compile(r"drill-[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class Latch:
    """One kill: what it covers, since which epoch, who asked and why. Time in unix seconds."""

    id: str
    epoch: int
    scope: Scope
    name: str
    reason: str
    by: str
    at: int
    signed: str = ""
    """The DSSE envelope of a person's signed kill, or empty: an unsigned kill holds, it does not quarantine."""
    lifted: bool = False

    def covers(self, *, component: str, flag: str) -> bool:
        """Tell whether this kill is about the component or flag."""
        if self.scope == "all":
            return True
        return self.name == (component if self.scope == "component" else flag) and bool(self.name)

    @property
    def is_drill(self) -> bool:
        """Tell whether it covers nothing but a flag that was made for a rehearsal."""
        return self.scope == "flag" and bool(_DRILL.match(self.name))

    def as_json(self) -> dict[str, Json]:
        """Return the latch as plain JSON, as its file holds it."""
        return {
            "v": 1,
            "id": self.id,
            "epoch": self.epoch,
            "scope": self.scope,
            "name": self.name,
            "reason": self.reason,
            "by": self.by,
            "at": self.at,
            "signed": self.signed,
        }


def highest_believed(epochs: Iterable[int], *, trusted: int = 0) -> int:
    """Return the highest of `epochs` and `trusted` that no latch leaps to; what is above it numbers nothing.

    `trusted` is what event log and git say. Whoever may write latches may write a number next to the last one: the next
    kill could then get no higher one, so that nothing decided before it would be fenced off.
    """
    highest = min(trusted, MAX_EPOCH)
    for epoch in sorted(epochs):
        if epoch > min(highest + MAX_LEAP, MAX_EPOCH):
            break
        highest = max(highest, epoch)
    return highest


@dataclass(frozen=True, slots=True)
class LatchBoard:
    """Every kill ever seen. `unreadable` names files that could not be read: then everything is killed."""

    latches: tuple[Latch, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def epoch(self) -> int:
        """Return the newest epoch of any kill, lifted or not; 0 when there was none."""
        return max((latch.epoch for latch in self.latches), default=0)

    def killed(self, *, component: str, flag: str) -> bool:
        """Tell whether the component or flag is killed now; an unreadable latch kills everything."""
        return bool(self.unreadable) or any(
            not latch.lifted and latch.covers(component=component, flag=flag) for latch in self.latches
        )

    def fence(self, *, component: str, flag: str) -> int:
        """Return the epoch below which nothing decided for this scope may ever be served, also after a lift."""
        return max((x.epoch for x in self.latches if x.covers(component=component, flag=flag)), default=0)

    def first(self, *, component: str, flag: str) -> Latch | None:
        """Return the oldest kill in force for this scope."""
        found: Iterable[Latch] = (x for x in self.latches if not x.lifted and x.covers(component=component, flag=flag))
        return min(found, key=lambda latch: latch.epoch, default=None)
