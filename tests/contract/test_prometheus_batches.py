"""Batches of the Prometheus source through the real door: kept as counted by the host, and judged as any others."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path

import pytest

from contract.flags_suite import House
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.cli import main
from evoguard.domain.rollout import judge_tally
from evoguard.prometheus.counting import Told, body_of
from evoguard.prometheus.settings import load
from evoguard.wiring.prometheus import once, opened
from unit.prometheus.places import ERRORS, EXPOSED, NOW, UP, FakePrometheus, counters
from unit.rollout.runs import CHANGE, a_plan, at_stage
from unit.rollout.whole import whole

MARGINS = {"errors": 200}
SETTINGS = """
component = "scoring"
flag = "lending"
guard = "{guard}"
tokens = "{folder}/kpi-tokens.json"
state = "{folder}/kpi-state"
prometheus = "http://127.0.0.1:1"
stateless = {stateless}
most_per_s = 1000
exposed = '{exposed}'
up = '{up}'
[bad]
errors = 'errors_total'
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def host_token(house: House) -> str:
    with closing(connect(house.database)) as con:
        return tokens.issue(con, "kpi.write", "prometheus", "host")


def settings(house: House, guard: str, *, stateless: bool = True) -> str:
    file = house.folder / "kpi-tokens.json"
    file.write_text(json.dumps({"flags.read": house.read_token, "kpi.write": host_token(house)}))
    file.chmod(0o600)
    given = {"guard": guard, "folder": house.folder, "exposed": EXPOSED, "up": UP, "stateless": str(stateless).lower()}
    path = house.folder / "kpis.toml"
    path.write_text(SETTINGS.format(**given))
    return str(path)


@pytest.mark.parametrize(("bad", "action"), [(1, "hold"), (200, "abort")])
async def test_batches_come_back_as_they_were_told_and_are_judged(house: House, bad: int, action: str):
    token, told, sent = host_token(house), Told(CHANGE, counters(0)), []
    async with house.client() as client:
        for second in range(1, 21):
            now = counters(second * 1_000, good=900 * second, cand=100 * second, bad_good=9 * second,
                           bad_cand=bad * second // 10)  # fmt: skip
            told = told.counted(now, most_per_s=1_000).batched()
            assert told.pending is not None
            sent.append(body_of(told.pending, CHANGE, "scoring"))
            told = Told(CHANGE, now, told.sequence, told.bad_told)
            for status in (202, 200):
                answer = await client.post("/kpi", json=sent[-1], headers={"Authorization": token})
                assert answer.status_code == status
    with closing(connect(house.database)) as con:
        kpis, plan = SqliteKpis(con), a_plan(margins=MARGINS, change=CHANGE)
        kept = await kpis.batches(CHANGE)
        assert [{**batch.as_json()} for batch in kept] == [{**body, "assurance": "host"} for body in sent]
        tally = await kpis.tally(plan, at_stage(10), now_ms=21_000)
        assert tally == whole(MARGINS, at_stage(10), kept, 21_000)
        assert (tally.stage.known_good, tally.stage.candidate) == (18_000, 2_000)
        found = judge_tally(plan, tally)
        assert (found.action if found.code != "rollout.evidence" else "hold") == action


async def looks(file: Path, code: str, change: str = "") -> None:
    """Look until it comes to this: the flag server reads its rows in turns."""
    for _ in range(200):
        look = await once(file, dry=False)
        if (look.code, look.change) == (code, change):
            return
        await asyncio.sleep(0.05)
    assert (look.code, look.change) == (code, change)


async def test_the_flag_server_names_the_rollout_and_without_one_nobody_is_asked(house: House):
    with house.serving() as url:
        file = Path(settings(house, url))
        await looks(file, "no_rollout")
        await house.write()
        await looks(file, "prometheus.unreachable", CHANGE)
        await house.write(flag="other", component="billing")
        file.write_text(file.read_text().replace('flag = "lending"', 'flag = "other"'))
        await looks(file, "prometheus.guard")
        house.latches.kill()
        await looks(file, "no_rollout")
    await looks(file, "prometheus.unreachable")


async def test_a_dry_run_counts_and_neither_posts_nor_keeps(house: House):
    async with FakePrometheus().open() as server:
        with house.serving() as url:
            file = Path(settings(house, url))
            file.write_text(file.read_text().replace("http://127.0.0.1:1", server.url).replace("errors_total", ERRORS))
            await house.write()
            await looks(file, "prometheus.stale", CHANGE)
            async with opened(load(file), dry=True) as source:
                assert (await source.look(NOW)).code == "baseline"
                server.shows(NOW + 1_000, good=90, cand=10, bad_cand=1)
                look = await source.look(NOW + 1_000)
    assert (look.code, [one["exposed"] for one in look.batches]) == ("told", [{"known_good": 90, "candidate": 10}])
    assert list((house.folder / "kpi-state").glob("*.json")) == []
    with closing(connect(house.database)) as con:
        assert con.execute("select count(*) from kpi").fetchone() == (0,)


def test_the_command_says_what_a_look_came_to(house: House, capsys: pytest.CaptureFixture[str]):
    with house.serving() as url:
        file = settings(house, url)
        assert main(["kpi", "prometheus", file, "--once", "--dry-run", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["look"], said["batches"], said["dry_run"]) == ("no_rollout", [], True)
        assert not (house.folder / "kpi-state").exists()
    assert main(["kpi", "prometheus", file, "--once"]) == 8
    assert "prometheus.unreachable" in capsys.readouterr().out
    assert main(["kpi", "prometheus", settings(house, url, stateless=False), "--once", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "prometheus.stateless"
