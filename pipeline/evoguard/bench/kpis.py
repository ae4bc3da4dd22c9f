"""What a look at a rollout costs after a day of KPI batches, one a second.

Baseline of every look: all batches read and added up anew, in the same run, in turn. The first look of a worker is
such a reading; it is shown apart.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.bench import Figure
from evoguard.domain.fold import StageEntry
from evoguard.domain.rollout import Judgement, Plan, judge, judge_tally
from evoguard.errors import IntegrityError

CHANGE = "ch-0123456789ab"
DAY, QUICK = 86_400, 8_640
BAR_LOOK_MS = 10.0
SECOND_MS = 1_000
ENTRIES = (StageEntry(1, 0), StageEntry(10, 3_600_000))
PLAN = Plan(
    stages=(1, 10, 50, 100), margins={"errors": 200}, dwell_s=2 * DAY, disaster_exposures=300,
    evidence_from_percent=10, silent_s=60, change=CHANGE,
)  # fmt: skip


def measure(*, quick: bool = False) -> list[Figure]:
    """Look and read anew in turn, a batch between two looks. Raises: IntegrityError when they differ."""
    return asyncio.run(_measure(QUICK if quick else DAY, 5 if quick else 9))


async def _measure(rows: int, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="evoguard-bench-") as folder:
        con = db.connect(Path(folder) / "evoguard.db", create=True)
        try:
            kpis = SqliteKpis(con)
            con.execute("begin")
            for n in range(rows):
                con.execute("insert into kpi(id, change, component, at, body, assurance) values(?,?,?,?,?,?)", _row(n))
            con.execute("commit")
            first_ms, _ = await _look(kpis, rows * SECOND_MS)
            looks_ms, anew_ms = [], []
            for n in range(rows, rows + rounds):
                kpis.store(_body(n), "edge", now_ms=n * SECOND_MS)
                look, seen = await _look(kpis, (n + 1) * SECOND_MS)
                anew, known = await _anew(kpis, (n + 1) * SECOND_MS)
                if seen != known:
                    raise IntegrityError("a look and a reading of all batches judge differently", code="bench.differs")
                looks_ms.append(look)
                anew_ms.append(anew)
        finally:
            con.close()
    what = f"{rows:,} batches"
    return [
        Figure(f"look at {what}", median(looks_ms), "ms", BAR_LOOK_MS, median(anew_ms),
               note="one new batch since the last look; baseline: all read and added up anew"),
        Figure(f"first look of a worker at {what}", first_ms, "ms", None, median(anew_ms),
               note="once after a start; what was added up is kept in memory only"),
    ]  # fmt: skip


async def _look(kpis: SqliteKpis, now_ms: int) -> tuple[float, Judgement]:
    began = time.perf_counter()
    verdict = judge_tally(PLAN, await kpis.tally(PLAN, ENTRIES, now_ms=now_ms))
    return (time.perf_counter() - began) * 1000, verdict


async def _anew(kpis: SqliteKpis, now_ms: int) -> tuple[float, Judgement]:
    began = time.perf_counter()
    verdict = judge(PLAN, ENTRIES, await kpis.batches(CHANGE), now_ms)
    return (time.perf_counter() - began) * 1000, verdict


def _row(n: int) -> tuple[str, str, str, int, str, str]:
    return f"b{n}", CHANGE, "scoring", n * SECOND_MS, _body(n), "edge"


def _body(n: int) -> str:
    """Return a second of 20 new users, of whom every tenth meets the candidate and one a second fails."""
    bad = {"unit": f"u{n}", "arm": "candidate" if n % 10 == 0 else "known_good", "kpi": "errors"}
    doc = {
        "id": f"b{n}", "change": CHANGE, "component": "scoring", "at": n * SECOND_MS,
        "exposed": {"known_good": 18, "candidate": 2}, "bad": [bad],
    }  # fmt: skip
    return json.dumps(doc)
