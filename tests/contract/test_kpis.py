"""The suite of the port on the one SQLite file, and what only a file can do wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contract.kpis_suite import DAY, MARGINS, PLAN, KpisSuite, Post
from evoguard.adapters.sqlite import kpis as module
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.domain.fold import Fold
from evoguard.errors import IntegrityError, UnavailableError
from unit.rollout.keeper import Table
from unit.rollout.runs import a_batch, at_stage
from unit.rollout.whole import whole

STAGE = at_stage(10)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def kpis(table: Table) -> SqliteKpis:
    return table.kpis


@pytest.fixture
def post(table: Table) -> Post:
    def posted(*batches) -> None:
        for batch in batches:
            table.post(batch)

    return posted


class TestSqliteKpis(KpisSuite):
    pass


async def steps(table: Table, now: int) -> int:
    """Return how many steps of SQLite's own machine a look takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    table.con.set_progress_handler(step, 1)
    await table.kpis.tally(PLAN, STAGE, now_ms=now)
    table.con.set_progress_handler(None, 0)
    return count


async def test_a_look_costs_the_new_batches_whatever_came_before(table: Table, post: Post):
    post(*DAY[:10])
    await steps(table, 200_000)
    post(DAY[10])
    early = await steps(table, 200_000)
    post(*DAY[11:-1])
    everything = await steps(table, 200_000)
    post(DAY[-1])
    assert await steps(table, 200_000) == early < everything / 20


async def test_another_worker_over_the_same_file_sees_the_same(table: Table, post: Post):
    post(*DAY[:100])
    await table.kpis.tally(PLAN, STAGE, now_ms=100_000)
    table.again()
    post(*DAY[100:])
    assert await table.kpis.tally(PLAN, STAGE, now_ms=200_000) == whole(MARGINS, STAGE, DAY, 200_000)


async def test_a_batch_sent_again_after_a_look_changes_nothing(table: Table, post: Post):
    post(*DAY)
    before = await table.kpis.tally(PLAN, STAGE, now_ms=200_000)
    assert [table.post(batch) for batch in DAY[:3]] == ["repeated"] * 3
    assert await table.kpis.tally(PLAN, STAGE, now_ms=200_000) == before


@pytest.mark.parametrize("body", ["{}", "", "not json", '{"v":2}'])
async def test_an_unreadable_batch_stops_every_look_until_it_can_be_read(table: Table, post: Post, body: str):
    post(*DAY[:5])
    await table.kpis.tally(PLAN, STAGE, now_ms=200_000)
    post(*DAY[5:])
    kept = table.con.execute("select body from kpi where seq=9").fetchone()[0]
    table.con.execute("update kpi set body=? where seq=9", (body,))
    for _ in range(2):
        with pytest.raises(IntegrityError):
            await table.kpis.tally(PLAN, STAGE, now_ms=200_000)
    table.con.execute("update kpi set body=? where seq=9", (kept,))
    assert await table.kpis.tally(PLAN, STAGE, now_ms=200_000) == whole(MARGINS, STAGE, DAY, 200_000)


async def test_a_database_that_gives_no_answer_gives_no_tally_although_one_is_remembered(table: Table, post: Post):
    post(*DAY)
    await table.kpis.tally(PLAN, STAGE, now_ms=200_000)
    table.con.execute("alter table kpi rename to away")
    with pytest.raises(UnavailableError):
        await table.kpis.tally(PLAN, STAGE, now_ms=200_000)


@pytest.mark.parametrize("where", ["take", "enter", "tally"])
async def test_a_look_that_was_interrupted_half_way_leaves_nothing_half_counted(
    table: Table, post: Post, monkeypatch: pytest.MonkeyPatch, where: str
):
    post(*DAY[:50])
    await table.kpis.tally(PLAN, STAGE, now_ms=200_000)
    post(*DAY[50:])
    work = getattr(Fold, where)

    def interrupted(*args, **kwargs) -> None:
        work(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Fold, where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            await table.kpis.tally(PLAN, STAGE, now_ms=200_000)
    assert await table.kpis.tally(PLAN, STAGE, now_ms=200_000) == whole(MARGINS, STAGE, DAY, 200_000)


async def test_a_rollout_that_was_forgotten_for_others_is_read_anew(
    table: Table, post: Post, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MAX_FOLDS", 2)
    post(*DAY, *(a_batch(f"o{n}", change=f"ch-{n}", good=5) for n in range(3)))
    for n in range(3):
        await table.kpis.tally(replace(PLAN, change=f"ch-{n}"), STAGE, now_ms=200_000)
        assert await table.kpis.tally(PLAN, STAGE, now_ms=200_000) == whole(MARGINS, STAGE, DAY, 200_000)


async def test_more_batches_than_are_read_at_once_are_all_read(
    table: Table, post: Post, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_CHUNK", 7)
    post(*DAY)
    assert await table.kpis.tally(PLAN, STAGE, now_ms=200_000) == whole(MARGINS, STAGE, DAY, 200_000)
