"""The post office: KPI batches go to the guard until they are acknowledged, each under the id it had first."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import aiohttp

from evoguard.edge.counting import Batch, Counts
from evoguard.errors import UnavailableError

POST_EVERY_S = 0.25
POST_S = 3.0
NEVER = (400, 404, 409, 410, 413, 422)
"""Answers to a batch that will not be taken however often it comes."""
MOST_ROLLOUTS = 50


class Delivery:
    """The counts of every recent rollout, and at most one batch of each under way.

    What is not acknowledged stays one batch; what is seen meanwhile is added up, so nothing queues without a bound.
    A batch that the guard refuses for good is a loss: the rollout it belongs to is `tainted`, its candidate is
    withdrawn from everybody, and nothing more is posted for it, so that the guard holds and then ends it.
    """

    def __init__(self, url: str, token: str, journals: Path, http: aiohttp.ClientSession) -> None:
        self._url = f"{url}/kpi"
        self._headers = {"Authorization": token}
        self._journals = journals
        self._http = http
        # The same after a restart, unknown to versions: users stay one unit each, and nobody can hash a guess.
        self._salt = sha256(b"evoguard.edge.unit\0" + token.encode()).digest()
        self._under_way: dict[str, Batch] = {}
        self.rollouts: dict[str, Counts] = {}
        self.tainted: set[str] = set()
        self.posted = self.refused = 0

    def of(self, change: str, component: str) -> Counts | None:
        """Return the counts of a rollout, None when nothing can be counted for it: then nobody may meet it."""
        if change in self.tainted:
            return None
        if change not in self.rollouts:
            counts = Counts(change, component, self._salt, self._journals / sha256(change.encode()).hexdigest()[:32])
            try:
                counts.open()
            except UnavailableError:
                return None
            self.rollouts[change] = counts
            for old in list(self.rollouts)[:-MOST_ROLLOUTS]:
                self.rollouts.pop(old).close()
        counts = self.rollouts[change]
        return counts if not counts.lost else None

    async def deliver(self) -> None:
        """Post what is new of each rollout, once; what is not acknowledged is posted again at the next call."""
        for change, counts in list(self.rollouts.items()):
            if change in self.tainted:
                continue
            batch = self._under_way.get(change) or counts.batch()
            if batch is None:
                continue
            self._under_way[change] = batch
            status = await self._post(batch)
            if 200 <= status < 300:
                self.posted += 1
                del self._under_way[change]
            elif status in NEVER:
                self.refused += 1
                self.tainted.add(change)
                del self._under_way[change]

    async def run(self) -> None:
        """Deliver every `POST_EVERY_S` seconds, for ever."""
        while True:
            await asyncio.sleep(POST_EVERY_S)
            await self.deliver()

    async def finish(self) -> None:
        """Deliver what is left, once, and close the journals."""
        await self.deliver()
        for counts in self.rollouts.values():
            counts.close()

    def as_json(self) -> dict[str, object]:
        """Return what was posted and what was lost."""
        return {
            "posted": self.posted, "under_way": len(self._under_way), "refused": self.refused,
            "tainted": sorted(self.tainted), "rollouts": [counts.as_json() for counts in self.rollouts.values()],
        }  # fmt: skip

    async def _post(self, batch: Batch) -> int:
        """Return the status of the answer, 0 without one."""
        timeout = aiohttp.ClientTimeout(total=POST_S)
        try:
            async with self._http.post(self._url, json=batch, headers=self._headers, timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0
