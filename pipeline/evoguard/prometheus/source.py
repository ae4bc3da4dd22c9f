"""The source: one look after the other at the counters, each told at the guard's KPI door or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from evoguard.domain.canonical import Json
from evoguard.prometheus.asking import Prometheus
from evoguard.prometheus.counting import Counters, Told, UncountedError, body_of
from evoguard.prometheus.keeping import Keeper
from evoguard.prometheus.settings import SourceSettings

NEVER = (400, 404, 409, 410, 413, 422)
"""Answers to a batch that will not be taken however often it comes."""
MOST_BATCHES = 20
Rollout = Callable[[], Awaitable[str]]
"""Names the change that the flag serves now; empty: none. Raises UncountedError when nobody can tell."""
Post = Callable[[Mapping[str, Json]], Awaitable[int]]
"""Posts one batch and returns the status of the answer, 0 without one."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one look: a stable code, a text for people, and the batches that were told or would be."""

    code: str
    text: str
    change: str = ""
    batches: tuple[Mapping[str, Json], ...] = ()

    @property
    def well(self) -> bool:
        """Tell whether nothing was wrong, whether or not there was something to tell."""
        return self.code in ("told", "baseline", "no_rollout", "no_new_scrape", "no_traffic")

    def as_json(self) -> dict[str, object]:
        """Return it as plain JSON."""
        return {"look": self.code, "text": self.text, "change": self.change, "batches": list(self.batches)}


class Source:
    """Looks at the counters of the rollout that the flag names. What cannot be counted is not told: silence holds."""

    def __init__(
        self, settings: SourceSettings, prometheus: Prometheus, keeper: Keeper, rollout: Rollout, post: Post
    ) -> None:
        self._settings = settings
        self._prometheus = prometheus
        self._keeper = keeper
        self._rollout = rollout
        self._post = post
        self._told: Told | None = None

    async def look(self, now_ms: int) -> Look:
        """Count what is new and tell it. Raises: ConfigError for a state that cannot be read, UnavailableError."""
        change = ""
        try:
            change = await self._rollout()
            if not change:
                self._forget()
                return Look("no_rollout", "the flag serves no candidate")
            told = self._of(change)
            if told.refused:
                return Look("refused", told.refused, change)
            if told.pending is not None:  # one under way goes first, and alone: nothing queues
                return await self._tell(told)
            found = self._counted(told, await self._prometheus.read(now_ms), now_ms)
        except UncountedError as err:
            return Look(err.code, err.message, change)
        return found if isinstance(found, Look) else await self._tell(found)

    async def run(self, stop: asyncio.Event, now_ms: Callable[[], int], say: Callable[[Look], None]) -> None:
        """Look every `look_s` seconds until `stop`. Raises: as `look`."""
        while not stop.is_set():
            say(await self.look(now_ms()))
            try:
                await asyncio.wait_for(stop.wait(), self._settings.look_s)
            except TimeoutError:
                continue

    def _of(self, change: str) -> Told:
        """Return what is known of the rollout; one that came after another begins with a first look."""
        if self._told is None or self._told.change != change:
            came_after = self._told is not None
            self._forget()
            told = self._keeper.load(change)
            self._told = replace(told, counters=None) if came_after else told
        return self._told

    def _forget(self) -> None:
        """Let the counters of the last rollout go: what is counted meanwhile belongs to another, or to none."""
        if self._told is not None and self._told.counters is not None:
            self._keep(replace(self._told, counters=None))

    def _counted(self, told: Told, now: Counters, now_ms: int) -> Told | Look:
        """Return what is known with what is new, or why there is nothing to tell. Raises: UncountedError."""
        before = told.counters
        gap = before is not None and now_ms - before.at > self._settings.most_gap_s * 1_000
        if before is None or gap or set(before.bad) != set(now.bad):
            self._keep(replace(told, counters=now))
            return Look("baseline", "the first look: counted is what comes after it", told.change)
        if before.at == now.at:
            return Look("no_new_scrape", "the target was not scraped since the last look", told.change)
        try:
            return told.counted(now, most_per_s=self._settings.most_per_s)
        except UncountedError as err:
            if err.anew:
                self._keep(replace(told, counters=now))
            raise

    async def _tell(self, told: Told) -> Look:
        """Tell all that is left. It is kept before it is told: a crash between the two tells the very same again."""
        sent: list[Mapping[str, Json]] = []
        for _ in range(MOST_BATCHES):
            told = told.batched()
            self._keep(told)
            if told.pending is None:
                break
            body = body_of(told.pending, told.change, self._settings.component)
            status = await self._post(body)
            if status in NEVER:
                why = f"the guard refused a batch ({status}): nothing more is told about this rollout"
                if status == 409:
                    why += "; it holds another one of this number: the state was lost, is old, or two sources count"
                self._keep(replace(told, refused=why))
                return Look("refused", why, told.change, tuple(sent))
            if not 200 <= status < 300:
                return Look("undelivered", f"the guard did not take a batch ({status})", told.change, tuple(sent))
            sent.append(body)
            told = self._told = replace(told, pending=None)  # not kept yet: told twice, the door takes it once
        if not sent:
            return Look("no_traffic", "no request since the last scrape", told.change)
        return Look("told", _summary(sent), told.change, tuple(sent))

    def _keep(self, told: Told) -> None:
        self._keeper.save(told)
        self._told = told


def _summary(batches: list[Mapping[str, Json]]) -> str:
    bad = sum(len(batch["bad"]) for batch in batches if isinstance(batch["bad"], list))
    met = [batch["exposed"] for batch in batches if isinstance(batch["exposed"], dict)]
    known_good, candidate = (sum(int(str(one[arm])) for one in met) for arm in ("known_good", "candidate"))
    return f"{known_good} new units of known-good, {candidate} of the candidate, {bad} bad outcomes"
