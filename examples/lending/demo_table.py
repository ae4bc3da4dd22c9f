"""The table at the end of the demo: what each proposal met, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proposals import Proposal
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evoguard.domain.events import StoredEvent

WHAT = {
    "p1": "a better rule, with its own test",
    "p2": "passes every test, fails 20 % in production",
    "p3a": "edits conftest to get green",
    "p3b": "exits 0 early inside the module",
    "p4a": "posts a secret out while tests run",
    "p4b": "edits policies/",
    "p5": "hides its errors in its own counters",
    "p6": "a good one, killed by a person",
}


@dataclass
class Row:
    """One proposal's line."""

    name: str
    change: str = ""
    ended: str = ""
    where: str = ""
    why: str = ""
    met: str = ""
    seconds: str = ""
    note: str = ""

    def fill(self, proposal: Proposal, change: str, events: tuple[StoredEvent, ...], router: dict[str, Any]) -> None:
        """Read the line from the change's events and the router's own counts."""
        last = events[-1].event
        self.change = change
        self.ended = last.type.removeprefix("change.").replace("_", "-")
        self.where = str(last.body.get("step", "")) or _stage(events)
        self.why = self.note or last.reason
        counts = (router.get("rollouts") or {}).get(change) or {}
        arms = counts.get("exposed") or {}
        bad = counts.get("bad") or {}
        if arms:
            self.met = f"{arms.get('candidate', 0)} of {sum(arms.values())}, {_bad(bad, 'candidate')} bad"
            if proposal.name == "p5":
                own = counts.get("self_reported") or {}
                self.met += f" (it says {own.get('errors', '?')})"
        self.seconds = f"{(events[-1].at - _opened(events)) / 1000:.1f}"


def _bad(bad: dict[str, Any], arm: str) -> int:
    value = bad.get(arm, 0)
    return int(value) if isinstance(value, int) else sum(int(v) for v in value.values())


def _stage(events: tuple[StoredEvent, ...]) -> str:
    percents = [e.event.body["percent"] for e in events if "percent" in e.event.body]
    return f"at {percents[-1]} %" if percents else ""


def _opened(events: tuple[StoredEvent, ...]) -> int:
    return next((e.at for e in events if e.event.type == "rollout.opened"), events[0].at)


def show(rows: list[Row], expected: dict[str, str], notes: list[str], seconds: float) -> bool:
    """Print table and notes; tell whether every proposal ended as it must."""
    table = Table(title="What became of the proposals", expand=False)
    for column in ("", "proposal", "must end", "ended", "where", "users met it", "s", "why"):
        table.add_column(column, overflow="fold", max_width=46)
    good = True
    for row in rows:
        right = row.ended == expected[row.name]
        good = good and right
        ended = f"[green]{row.ended}[/]" if right else f"[bold red]{row.ended}[/]"
        table.add_row(
            row.name, WHAT[row.name], expected[row.name], ended, row.where, row.met, row.seconds, escape(row.why[:230])
        )
    console = Console(width=None if Console().is_terminal else 170)
    console.print(table)
    for note in notes:
        console.print(f"  {escape(note)}", highlight=False)
    console.print(
        "  SDKs poll every second here: a kill reaches a user within one poll. The 1 % stage catches disasters only.",
        highlight=False,
    )
    console.print(
        f"  {'all proposals ended as they must' if good else 'NOT as it must be'} in {seconds:.0f} s", highlight=False
    )
    return good
