"""How many sandboxes to keep ready: from the history of what was asked for. Arithmetic; times are handed in.

A sandbox that is taken can be replaced only `start_s` later, so what comes within that time must stand ready: what is
usually asked for together, and what arrives meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

HOUR_S = 3600.0
"""How far back the rate looks: an arrival of an hour ago counts 1/e of one of now."""
Way = Literal["just in time", "kept warm", "predicted"]
WAYS: tuple[Way, ...] = ("just in time", "kept warm", "predicted")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class History:
    """What was asked for of one make. `weight` is the decayed number of sandboxes asked for until `last_s`."""

    weight: float = 0.0
    last_s: float = -math.inf
    group: int = 0
    """How many were asked for since `group_s`; `burst`: the most that were ever asked for so, halved each hour."""
    group_s: float = -math.inf
    burst: float = 0.0

    def arrived(self, now_s: float, *, start_s: float) -> History:
        """Return the history with one more asked for now; within `start_s` of each other they are one group."""
        together = now_s - self.group_s < start_s
        group = self.group + 1 if together else 1
        since = self.group_s if together else now_s
        return History(self._left(now_s) + 1.0, now_s, group, since, max(float(group), self._burst(now_s)))

    def rate(self, now_s: float) -> float:
        """Return how many are asked for each second, over the last hour."""
        return self._left(now_s) / HOUR_S

    def together(self, now_s: float) -> int:
        """Return how many are usually asked for at once; 0 when none ever was."""
        return max(1, round(self._burst(now_s))) if self.last_s > -math.inf else 0

    def quiet(self, now_s: float, *, quiet_s: float) -> bool:
        """Tell whether nothing was asked for in the last `quiet_s` seconds."""
        return now_s - self.last_s > quiet_s

    def _left(self, now_s: float) -> float:
        return self.weight * math.exp(-max(0.0, now_s - self.last_s) / HOUR_S) if self.weight else 0.0

    def _burst(self, now_s: float) -> float:
        return self.burst * 0.5 ** (max(0.0, now_s - self.last_s) / HOUR_S) if self.burst else 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """What should stand ready of one make: `together` for the next arrival, `meanwhile` for those that follow it."""

    together: int
    meanwhile: int
    size: int = 1
    """Sandboxes in one of it: two for a pair."""

    @property
    def count(self) -> int:
        """Return how many in all."""
        return self.together + self.meanwhile


def need(history: History, now_s: float, *, start_s: float, quiet_s: float, size: int = 1) -> Need:
    """Return what should stand ready: ceil(rate x start_s) more than what one arrival takes; nothing when it is quiet.

    Source: notes on the pool's size, ceil(rate x start) + 1; the 1 is what one arrival takes at once.
    """
    if history.quiet(now_s, quiet_s=quiet_s):
        return Need(0, 0, size)
    return Need(history.together(now_s), math.ceil(history.rate(now_s) * start_s), size)


def share(needs: Mapping[Key, Need], most: int) -> dict[Key, int]:
    """Return how many of each to keep, at most `most` sandboxes in all: one arrival's worth of each first, then more.

    What comes first in `needs` goes first. One whose turn does not fit any more is passed over.
    """
    kept, left = dict.fromkeys(needs, 0), most
    for part in ("together", "meanwhile"):
        for key, wanted in needs.items():
            more = min(getattr(wanted, part), left // wanted.size)
            kept[key] += more
            left -= more * wanted.size
    return kept


def way(needs: Sequence[Need], kept: int) -> tuple[Way, str]:
    """Return how the pool is run just now, and why in words."""
    if not kept:
        return (
            "just in time",
            "nothing was asked for lately, so nothing stands ready: each is started when it is wanted",
        )
    if any(wanted.meanwhile > 1 for wanted in needs):
        return "predicted", "so many are asked for that more come while one is started: those stand ready, too"
    return "kept warm", "what one verdict takes stands ready for the next"
