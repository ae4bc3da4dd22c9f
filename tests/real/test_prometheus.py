"""The source as its own process between a real Prometheus server and the real flag server, to the real decision."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from contract.flags_suite import House
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.domain.fold import StageEntry
from evoguard.domain.rollout import Judgement, judge_tally
from real.prometheus_place import Front, prometheus
from unit.rollout.runs import CHANGE, a_plan

pytestmark = pytest.mark.skipif(not os.environ.get("EVOGUARD_PROMETHEUS"), reason="there is no Prometheus server")
DEADLINE_S = 40.0
PLAN = a_plan(margins={"errors": 200}, change=CHANGE, dwell_s=0, silent_s=60)
SETTINGS = """
component = "scoring"
flag = "lending"
guard = "{guard}"
tokens = "{folder}/kpi-tokens.json"
state = "{folder}/kpi-state"
prometheus = "{prometheus}"
stateless = true
most_per_s = 1000
scrape_s = 1
look_s = 0.5
exposed = 'sum by (arm) (front_requests_total)'
up = 'up{{job="front"}}'
[bad]
errors = '''sum by (arm) (front_requests_total{{code=~"5.."}})
            or 0 * sum by (arm) (front_requests_total)'''
"""


class Source:
    """The process, and the codes of its looks as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, *codes: str) -> str:
        """Read looks until one has one of these codes."""
        seen: list[str] = []
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while not seen or seen[-1] not in codes:
                raw = await self._process.stdout.readline()
                assert raw, f"the source ended after {seen}"
                seen.append(json.loads(raw).get("look", raw.decode()))
        return seen[-1]


@asynccontextmanager
async def source(house: House, guard: str, server: str) -> AsyncIterator[Source]:
    with closing(connect(house.database)) as con:
        secret = tokens.issue(con, "kpi.write", "prometheus", "host")
    file = house.folder / "kpi-tokens.json"
    file.write_text(json.dumps({"flags.read": house.read_token, "kpi.write": secret}))
    file.chmod(0o600)
    path = house.folder / "kpis.toml"
    path.write_text(SETTINGS.format(guard=guard, folder=house.folder, prometheus=server))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "evoguard", "--json", "kpi", "prometheus", str(path), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Source(process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def judged(house: House, entry: StageEntry) -> tuple[Judgement, int, int]:
    """Return the decision now, how many batches it rests on, and how many units met the candidate."""
    with closing(connect(house.database)) as con:
        tally = await SqliteKpis(con).tally(PLAN, (entry,), now_ms=int(time.time() * 1_000))
    return judge_tally(PLAN, tally), tally.taken, tally.stage.candidate


@asynccontextmanager
async def rollout(folder: Path, fails_one_in: int) -> AsyncIterator[tuple[House, Front, Source, StageEntry]]:
    """Everything at a stage of 10 %, after the first batch was told."""
    house = House(folder)
    await house.write()
    async with Front(fails_one_in).open() as front, prometheus(folder, front.port) as server:
        entry = StageEntry(10, int(time.time() * 1_000))
        with house.serving() as guard:
            async with source(house, guard, server) as running:
                await running.until("baseline")
                await running.until("told")
                yield house, front, running, entry


async def test_a_candidate_of_which_a_fifth_fails_is_taken_back(tmp_path: Path) -> None:
    async with rollout(tmp_path, 5) as (house, _front, running, entry):
        found, _, _ = await judged(house, entry)
        async with asyncio.timeout(DEADLINE_S):
            while found.action != "abort":
                await running.until("told")
                found, _, _ = await judged(house, entry)
    assert found.code == "rollout.kpi_worse"


async def test_a_healthy_one_goes_on_and_without_samples_nothing_is_told_and_it_holds(tmp_path: Path) -> None:
    async with rollout(tmp_path, 50) as (house, front, running, entry):
        units = 0
        while units < 150:
            await running.until("told")
            found, _, units = await judged(house, entry)
            assert found.action == "hold"
        front.arms = ("known_good",)
        assert await running.until("prometheus.arms") == "prometheus.arms"
        front.arms = ("known_good", "candidate")
        await running.until("told")
        await front.end()
        await running.until("prometheus.down")
        _, before, _ = await judged(house, entry)
        for _ in range(4):
            await running.until("prometheus.down")
        found, taken, _ = await judged(house, entry)
        assert (taken, found.action) == (before, "hold")
        late = StageEntry(10, int(time.time() * 1_000))  # nothing was counted since: no stage is left on it
        assert (await judged(house, late))[0].code == "rollout.no_data"
        front.good, front.bad = ({"known_good": 0, "candidate": 0} for _ in range(2))
        await front.begin()  # a front that began anew counts from zero
        await running.until("told")
        found, more, grown = await judged(house, entry)
        assert (found.action, more > taken) == ("hold", True)
        assert units < grown <= front.met_candidate
