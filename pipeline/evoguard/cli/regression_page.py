"""What base and candidate answered to the same requests, for people: every difference, and time and cost beside it."""

from __future__ import annotations

from evoguard.cli.docs import Doc, docs_of
from evoguard.cli.text import line, table

SHOWN = 20


def regression_page(doc: object) -> None:
    """Print a replay; a run without declared requests has none."""
    if not isinstance(doc, dict) or not doc:
        return
    line(f"declared requests: {doc['status']}; {doc['answered']} of {doc['asked']} answered by base and candidate")
    rows = docs_of(doc["rows"])
    table(
        ("component", "request", "found", "base", "candidate", "ms", "ms now"),
        (
            [r["component"], r["case"], r["code"] or "same", *_both(r, "answer"), *_both(r, "wall_us")]
            for r in rows[:SHOWN]
        ),
    )
    if len(rows) > SHOWN:
        line(f"... and {len(rows) - SHOWN} more requests; --json lists them")
    for found in docs_of(doc["findings"])[:SHOWN]:
        where = f"{found['component']} {found['case']}".strip()
        line(f"  {found['code']}: {where}{': ' if where else ''}{found['msg']}")
    line()


def _both(row: Doc, name: str) -> list[object]:
    return [_of(row["base"], name), _of(row["candidate"], name)]


def _of(side: object, name: str) -> object:
    if not isinstance(side, dict):
        return "-"
    value = side[name]
    return f"{value / 1000:.1f}" if isinstance(value, int) else str(value)[:40]
