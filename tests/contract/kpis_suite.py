"""What every `Kpis` adapter owes: fixtures `kpis`, and `post` which stores batches in order of arrival."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evoguard.domain.fold import StageEntry
from evoguard.ports.kpis import Kpis
from unit.rollout.runs import CHANGE, a_batch, a_plan, at_stage
from unit.rollout.whole import whole

MARGINS = {"errors": 200}
PLAN = a_plan(margins=MARGINS, change=CHANGE)
DAY = tuple(a_batch(f"b{n}", at=1_000 * n, good=18, cand=2, bad_good=n % 3, bad_cand=n % 2) for n in range(1, 200))

Post = Callable[..., None]


class KpisSuite:
    async def test_batches_come_back_as_they_came(self, kpis: Kpis, post: Post) -> None:
        post(*DAY)
        assert await kpis.batches(CHANGE) == DAY

    async def test_a_rollout_sees_its_own_batches_only(self, kpis: Kpis, post: Post) -> None:
        post(a_batch("other", change="ch-other", good=9), DAY[0])
        assert await kpis.batches(CHANGE) == (DAY[0],)
        assert await kpis.tally(PLAN, at_stage(10), now_ms=9_000) == whole(MARGINS, at_stage(10), (DAY[0],), 9_000)

    async def test_no_batch_is_a_tally_of_nothing(self, kpis: Kpis) -> None:
        tally = await kpis.tally(PLAN, at_stage(10), now_ms=9_000)
        assert (tally.taken, tally.stage.units, tally.alive_at) == (0, 0, 0)

    async def test_every_look_sees_what_all_batches_say(self, kpis: Kpis, post: Post) -> None:
        for n, batch in enumerate(DAY, start=1):
            post(batch)
            entries = (*at_stage(1), *((StageEntry(10, 50_500),) if n > 50 else ()))
            assert await kpis.tally(PLAN, entries, now_ms=batch.at) == whole(MARGINS, entries, DAY[:n], batch.at)

    @pytest.mark.parametrize("now", [100_000, 60_000, 0])
    async def test_a_clock_gone_back_sees_what_it_would_have_seen(self, kpis: Kpis, post: Post, now: int) -> None:
        post(*DAY)
        await kpis.tally(PLAN, at_stage(10), now_ms=200_000)
        assert await kpis.tally(PLAN, at_stage(10), now_ms=now) == whole(MARGINS, at_stage(10), DAY, now)

    async def test_a_stage_that_began_before_the_last_look_counts_from_its_beginning(
        self, kpis: Kpis, post: Post
    ) -> None:
        post(*DAY)
        await kpis.tally(PLAN, at_stage(10), now_ms=200_000)
        entries = (*at_stage(10), StageEntry(50, 100_000))
        assert await kpis.tally(PLAN, entries, now_ms=200_000) == whole(MARGINS, entries, DAY, 200_000)

    async def test_a_tally_says_on_which_batches_it_rests(self, kpis: Kpis, post: Post) -> None:
        post(*DAY[:5])
        tally = await kpis.tally(PLAN, at_stage(10), now_ms=200_000)
        post(*DAY[5:9])
        assert (await kpis.batches(CHANGE))[: tally.taken] == DAY[:5]

    async def test_without_a_stage_there_is_no_tally(self, kpis: Kpis) -> None:
        with pytest.raises(ValueError, match="stage"):
            await kpis.tally(PLAN, (), now_ms=9_000)
