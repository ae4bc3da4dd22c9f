"""Count outcomes by arm outside the versions, and post them as KPI batches until they are acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

Arm = Literal["known_good", "candidate"]
ARMS: tuple[Arm, Arm] = ("known_good", "candidate")
POST_EVERY_S = 0.3
MOST_PENDING = 2_000
NEVER = (400, 404, 409, 410, 413, 422)
"""Answers to a batch that will not be taken however often it comes."""
KPI, VALUE_KPI = "errors", "latency"
MOST_VALUES = 1_000
"""What a batch has room for beside its bad events; users beyond that are counted and give no value."""


def by_arm() -> dict[str, int]:
    """Return a zero for each arm."""
    return dict.fromkeys(ARMS, 0)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A candidate that some users meet, as the flag's payload names it."""

    change: str
    component: str
    known_good: str
    candidate: str


@dataclass
class Counts:
    """What was seen of one rollout. A unit (salted hash of a user) is exposed once and bad once, ever.

    An exposure belongs to the arm that the unit met first, a bad outcome to the arm that gave it.
    """

    rollout: Rollout
    salt: bytes
    exposed: dict[str, int] = field(default_factory=by_arm)
    bad: dict[str, int] = field(default_factory=by_arm)
    requests: dict[str, int] = field(default_factory=by_arm)
    fallbacks: int = 0
    first_candidate_at: float = 0.0
    last_candidate_at: float = 0.0
    self_reported: dict[str, int] | None = None
    open: bool = True
    _units: set[bytes] = field(default_factory=set)
    _bad_units: set[bytes] = field(default_factory=set)
    _new: dict[str, int] = field(default_factory=by_arm)
    _new_bad: list[dict[str, str]] = field(default_factory=list)
    _new_values: list[dict[str, str | int]] = field(default_factory=list)
    _latency: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, user: str, arm: Arm, *, bad: bool, ms: float) -> None:
        """Count one answered request of a user."""
        unit = hmac.digest(self.salt, f"{self.rollout.change}:{user}".encode(), "sha256")
        self.requests[arm] += 1
        if arm == "candidate":
            self.last_candidate_at = time.time()
            self.first_candidate_at = self.first_candidate_at or self.last_candidate_at
        if unit not in self._units:
            self._units.add(unit)
            self.exposed[arm] += 1
            self._new[arm] += 1
            if len(self._new_values) < MOST_VALUES:
                value = round(1000 * ms)  # microseconds: a whole millisecond would make most of them equal
                self._new_values.append({"unit": unit.hex(), "arm": arm, "kpi": VALUE_KPI, "value": value})
        if bad and unit not in self._bad_units:
            self._bad_units.add(unit)
            self.bad[arm] += 1
            self._new_bad.append({"unit": unit.hex(), "arm": arm, "kpi": KPI})
        latency = self._latency.setdefault(arm, {"count": 0, "sum": 0, "max": 0})
        whole = round(ms)
        latency["count"] += 1
        latency["sum"] += whole
        latency["max"] = max(latency["max"], whole)

    def batch(self) -> dict[str, object] | None:
        """Return what is new since the last call, None when no request was answered."""
        if not self._latency:
            return None
        taken: dict[str, object] = {
            "id": secrets.token_hex(12),
            "component": self.rollout.component,
            "change": self.rollout.change,
            "at": int(time.time() * 1000),
            "exposed": self._new,
            "bad": self._new_bad,
            "values": self._new_values,
            "latency_ms": self._latency,
        }
        self._new, self._new_bad, self._new_values, self._latency = by_arm(), [], [], {}
        return taken

    def as_json(self) -> dict[str, object]:
        """Return the totals. `self_reported` is the candidate's own word, shown for comparison and never counted."""
        return {
            "change": self.rollout.change,
            "component": self.rollout.component,
            "known_good": self.rollout.known_good,
            "candidate": self.rollout.candidate,
            "open": self.open,
            "requests": self.requests,
            "exposed": self.exposed,
            "bad": self.bad,
            "fallbacks": self.fallbacks,
            "first_candidate_at": round(self.first_candidate_at, 3),
            "last_candidate_at": round(self.last_candidate_at, 3),
            "self_reported": self.self_reported,
        }


class Counting:
    """The counts of every recent rollout, and the post office that delivers them."""

    def __init__(self, url: str, token: str, http: aiohttp.ClientSession) -> None:
        self._url = f"{url}/kpi"
        self._headers = {"Authorization": token}
        self._http = http
        # The same after a restart, unknown to versions: users stay one unit each, and nobody can hash a guess.
        self._salt = hashlib.sha256(b"lending.router.unit\0" + token.encode()).digest()
        self._pending: deque[dict[str, object]] = deque()
        self.rollouts: dict[str, Counts] = {}
        self.posted = 0
        self.dropped = 0
        self.refused = 0

    def of(self, rollout: Rollout) -> Counts:
        """Return the counts of a rollout, new ones the first time."""
        if rollout.change not in self.rollouts:
            self.rollouts[rollout.change] = Counts(rollout, self._salt)
            for change in list(self.rollouts)[:-50]:
                if not self.rollouts[change].open:
                    del self.rollouts[change]
        return self.rollouts[rollout.change]

    def collect(self) -> None:
        """Close the current batches; the oldest ones are dropped, and counted as dropped, when nobody takes them."""
        for counts in self.rollouts.values():
            taken = counts.batch()
            if taken is not None:
                self._pending.append(taken)
        while len(self._pending) > MOST_PENDING:
            self._pending.popleft()
            self.dropped += 1

    async def deliver(self) -> None:
        """Post pending batches, oldest first, until one is not acknowledged; that one stays, with its id."""
        while self._pending:
            batch = self._pending[0]
            try:
                async with self._http.post(
                    self._url, json=batch, headers=self._headers, timeout=aiohttp.ClientTimeout(total=3)
                ) as answer:
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError):
                return
            if 200 <= status < 300:
                self.posted += 1
            elif status in NEVER:
                self.refused += 1
            else:
                return
            if self._pending and self._pending[0] is batch:
                self._pending.popleft()

    async def run(self) -> None:
        """Collect and deliver every `POST_EVERY_S` seconds, for ever; a slow post never makes a batch longer."""

        async def collecting() -> None:
            while True:
                await asyncio.sleep(POST_EVERY_S)
                self.collect()

        async def delivering() -> None:
            while True:
                await asyncio.sleep(POST_EVERY_S)
                await self.deliver()

        async with asyncio.TaskGroup() as group:
            group.create_task(collecting())
            group.create_task(delivering())

    async def finish(self) -> None:
        """Deliver what is left, once."""
        self.collect()
        await self.deliver()

    def as_json(self) -> dict[str, object]:
        """Return the state of the post office."""
        return {
            "posted": self.posted, "pending": len(self._pending), "dropped": self.dropped, "refused": self.refused,
        }  # fmt: skip
