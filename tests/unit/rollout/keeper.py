"""The real table of batches in memory, and traffic in any order for it."""

from __future__ import annotations

import json
import sqlite3
from importlib import resources

from hypothesis import strategies as st

from evoguard.adapters import sqlite
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.domain.kpi import BadEvent, KpiBatch, ValueKpi, ValueSeen
from unit.rollout.runs import CHANGE

MARGINS = {"errors": 200, "timeouts": 150}
VALUES = {"latency": ValueKpi(), "tokens": ValueKpi(0, 110)}


class Table:
    """One file's worth of KPI tables; `again()` is another process over the same file."""

    def __init__(self) -> None:
        self.con = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema = resources.files(sqlite).joinpath("schema.sql").read_text(encoding="utf-8")
        self.con.executescript(schema)
        self.kpis = SqliteKpis(self.con)

    def again(self) -> None:
        """Forget everything in memory, as a crash does."""
        self.kpis = SqliteKpis(self.con)

    def post(self, batch: KpiBatch) -> str:
        """Store a batch as the flag server does."""
        doc = batch.as_json()
        assurance = doc.pop("assurance")
        return self.kpis.store(json.dumps(doc), assurance)  # type: ignore[arg-type]


def batches() -> st.SearchStrategy[KpiBatch]:
    """Return batches whose times jump to and fro and whose few units fail again and again, in either arm."""
    event = st.builds(
        BadEvent,
        st.integers(0, 30).map("u{}".format),
        st.sampled_from(("known_good", "candidate")),
        st.sampled_from(("errors", "timeouts", "mood")),
    )
    value = st.builds(
        ValueSeen,
        st.integers(0, 2_000).map("u{}".format),
        st.sampled_from(("known_good", "candidate")),
        st.sampled_from(("latency", "latency", "tokens", "mood")),
        st.integers(0, 9),
    )
    return st.builds(
        KpiBatch,
        id=st.integers(0, 200).map("b{}".format),
        change=st.just(CHANGE),
        component=st.just("scoring"),
        at=st.integers(0, 130_000),
        exposed_known_good=st.integers(0, 90),
        exposed_candidate=st.integers(0, 40),
        bad=st.lists(event, max_size=6).map(tuple),
        values=st.lists(value, max_size=90).map(tuple),
        assurance=st.sampled_from(("edge", "edge", "host", "self-reported")),
    )
