"""Counters differenced, and the batches that come of it. Pure: the same counters give the same batches, ids and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from evoguard.domain.canonical import Json
from evoguard.domain.kpi import Arm
from evoguard.errors import EvoguardError

ARMS: tuple[Arm, ...] = ("known_good", "candidate")
MOST_BAD_A_BATCH = 1_000
MOST_EXPOSED_A_BATCH = 1_000_000
ByArm = Mapping[Arm, int]
NONE: ByArm = {"known_good": 0, "candidate": 0}


class UncountedError(EvoguardError):
    """A look that tells nothing: no batch comes of it. With `anew`, what was read is a first look."""

    code = "prometheus.uncounted"
    retryable = True

    def __init__(self, code: str, message: str, *, anew: bool = False) -> None:
        super().__init__(message, code=f"prometheus.{code}")
        self.anew = anew


@dataclass(frozen=True, slots=True)
class Counters:
    """Every counter as one scrape left it; `at` is the time of that scrape, in unix milliseconds."""

    at: int
    exposed: ByArm
    bad: Mapping[str, ByArm]


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch under way: its id, and of each KPI and arm the number of the first event and how many there are."""

    id: str
    at: int
    exposed: ByArm
    bad: Mapping[str, Mapping[Arm, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known of one rollout: the last counters, what of them is not in a batch yet, and what was told."""

    change: str
    counters: Counters | None = None
    sequence: int = 0
    """How many batches were made."""
    bad_told: Mapping[str, ByArm] = field(default_factory=dict)
    """How many bad events got a unit, by KPI and arm."""
    exposed_left: ByArm = field(default_factory=lambda: NONE)
    bad_left: Mapping[str, ByArm] = field(default_factory=dict)
    at: int = 0
    """Time of the counters from which the rest was counted."""
    pending: Pending | None = None
    refused: str = ""
    """Why nothing more is told about this rollout; empty while all is well."""

    def counted(self, now: Counters, *, most_per_s: int) -> Told:
        """Return it with what was counted since the last counters. Raises: UncountedError as `differenced`."""
        if self.counters is None:
            raise ValueError("the first look counts nothing")
        exposed, bad = differenced(self.counters, now, most_per_s=most_per_s)
        left = {kpi: _plus(self.bad_left.get(kpi, NONE), count) for kpi, count in bad.items()}
        return replace(
            self, counters=now, at=now.at, exposed_left=_plus(self.exposed_left, exposed),
            bad_left={**self.bad_left, **left},
        )  # fmt: skip

    def batched(self) -> Told:
        """Return it with the next batch pending, the same one when nothing is left; bad outcomes go first.

        Exposures never go before bad outcomes that were counted with them, and known-good's bad ones not before the
        candidate's: whatever is cut off after a batch, the candidate does not look better than it is.
        """
        if self.pending is not None or not (any(self.exposed_left.values()) or self._any_bad()):
            return self
        bad: dict[str, dict[Arm, tuple[int, int]]] = {}
        room, told, left = MOST_BAD_A_BATCH, dict(self.bad_told), dict(self.bad_left)
        for arm in ("candidate", "known_good"):
            for kpi in sorted(left):
                count = min(room, left[kpi][arm])
                first = told.get(kpi, NONE)[arm]
                room -= count
                left[kpi] = {**left[kpi], arm: left[kpi][arm] - count}
                told[kpi] = {**told.get(kpi, NONE), arm: first + count}
                bad.setdefault(kpi, {})[arm] = (first, count)
        waits = any(any(count.values()) for count in left.values())
        exposed = NONE if waits else {arm: min(self.exposed_left[arm], MOST_EXPOSED_A_BATCH) for arm in ARMS}
        sequence = self.sequence + 1
        return replace(
            self, sequence=sequence, bad_told=told, bad_left=left,
            exposed_left={arm: self.exposed_left[arm] - exposed[arm] for arm in ARMS},
            pending=Pending(_name("batch", self.change, sequence), self.at, exposed, bad),
        )  # fmt: skip

    def _any_bad(self) -> bool:
        return any(any(count.values()) for count in self.bad_left.values())


def body_of(pending: Pending, change: str, component: str) -> dict[str, Json]:
    """Return the batch as the door takes it. A unit is made of change, KPI, arm and number: a replay adds none."""
    events: list[Json] = [
        {"unit": _name("unit", change, kpi, arm, number), "arm": arm, "kpi": kpi}
        for arm in ("candidate", "known_good")
        for kpi in sorted(pending.bad)
        for first, count in [pending.bad[kpi].get(arm, (0, 0))]
        for number in range(first, first + count)
    ]
    return {
        "id": pending.id, "component": component, "change": change, "at": pending.at,
        "exposed": {arm: pending.exposed[arm] for arm in ARMS}, "bad": events,
    }  # fmt: skip


def differenced(before: Counters, now: Counters, *, most_per_s: int) -> tuple[ByArm, Mapping[str, ByArm]]:
    """Return new units and bad outcomes between two scrapes, by arm.

    A counter of requests that went down began anew, and with it all counters of its arm: they count from zero.
    Raises: UncountedError `.clock` for scrapes out of order, `.reset` for bad outcomes that alone went down, `.flood`
    for more units than `most_per_s` allows, `.more_bad` for more bad ones than units.
    """
    if now.at <= before.at:
        raise UncountedError("clock", "this scrape is not after the last one")
    exposed: dict[Arm, int] = {}
    bad: dict[str, dict[Arm, int]] = {kpi: {} for kpi in now.bad}
    for arm in ARMS:
        anew = now.exposed[arm] < before.exposed[arm]
        exposed[arm] = now.exposed[arm] - (0 if anew else before.exposed[arm])
        if exposed[arm] * 1_000 > most_per_s * (now.at - before.at):
            text = f"{exposed[arm]} new units of {arm} are more than {most_per_s} a second"
            raise UncountedError("flood", text, anew=True)
        for kpi, counts in now.bad.items():
            bad[kpi][arm] = _bad_since(before.bad[kpi][arm], counts[arm], anew, f"{kpi} of {arm}")
    for kpi, counted in bad.items():
        for arm in ARMS:
            if counted[arm] > exposed[arm]:
                text = f"{kpi}: {counted[arm]} bad of {exposed[arm]} units of {arm}"
                raise UncountedError("more_bad", text)
    return exposed, bad


def _bad_since(before: int, now: int, anew: bool, what: str) -> int:
    if anew:
        return now
    if now < before:
        raise UncountedError("reset", f"{what} went down, and the requests did not", anew=True)
    return now - before


def _plus(one: ByArm, other: ByArm) -> ByArm:
    return {arm: one[arm] + other[arm] for arm in ARMS}


def _name(kind: str, *parts: str | int) -> str:
    return f"p{kind[0]}-" + sha256("\0".join(["evoguard.prometheus", kind, *map(str, parts)]).encode()).hexdigest()[:32]
