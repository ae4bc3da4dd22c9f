"""Following one change until it ends or pauses; ends by itself, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evoguard.cli import exit_codes
from evoguard.cli.text import line, note
from evoguard.domain.events import StoredEvent
from evoguard.errors import UnavailableError
from evoguard.ports.queries import ChangeRow
from evoguard.views.changes import found
from evoguard.views.reader import moment
from evoguard.views.story import step
from evoguard.wiring.reading import Reading
from evoguard.wiring.state import Opened

Until = Literal["paused", "done"]
LOOK_S = 0.25
IDLE_HINT_S = 5.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What to follow. `timeout_s` 0 means as long as it takes."""

    change: str
    until: Until = "done"
    timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One event, as JSON or as a line."""

    stored: StoredEvent

    def as_json(self) -> dict[str, object]:
        """Return the event as one object of the stream."""
        return {"change": self.stored.stream.removeprefix("change/"), **step(self.stored)}

    def line(self) -> str:
        """Return the event as one line."""
        event = self.stored.event
        facts = " ".join(
            f"{k}={event.body[k]}" for k in ("percent", "run", "passed", "allow", "step", "code") if k in event.body
        )
        return f"{moment(self.stored.at)}  {event.type:<20} {event.actor:<12} {facts} {event.reason[:200]}".rstrip()


@dataclass(frozen=True, slots=True)
class End:
    """How the watch ended; `exit` is the exit code."""

    why: Literal["ended", "paused", "timeout"]
    status: str
    outcome: str
    detail: str
    exit: int

    def as_json(self) -> dict[str, object]:
        """Return the end as the last object of the stream."""
        return {
            "watch": self.why,
            "status": self.status,
            "outcome": self.outcome,
            "detail": self.detail,
            "exit": self.exit,
        }

    def tell(self) -> None:
        """Print the end as one line."""
        line(f"{self.why}: {self.status}" + (f" ({self.detail})" if self.detail else ""))


async def watched(opened: Opened, what: Watch, *, on_step: Callable[[Step], object]) -> End:
    """Report every event once, in order, and return how it ended.

    Raises: InputError for an unknown change, IntegrityError for a broken stream. A locked database is waited for.
    """
    reader, began, shown, detail = Reading(opened), time.monotonic(), 0, ""
    hinted = False
    row = await found(reader, what.change)
    while True:
        try:
            row = await found(reader, what.change)
            for stored in (await reader.events(f"change/{what.change}"))[shown:]:
                shown += 1
                on_step(Step(stored))
        except UnavailableError as err:
            note(f"... {err.message}")
        if end := _end(row, what, time.monotonic() - began):
            return end
        if row.detail != detail and row.detail.startswith(("tried ", "stopped: ")):
            note(f"... {row.detail}")
        detail = row.detail
        if row.status == "submitted" and not hinted and time.monotonic() - began > IDLE_HINT_S:
            hinted = True
            note("... nobody takes it up; does `evoguard serve` run on this state?")
        await asyncio.sleep(LOOK_S)


def _end(row: ChangeRow, what: Watch, passed_s: float) -> End | None:
    if row.outcome:
        return End("ended", row.status, row.outcome, row.detail, exit_codes.of_standing(row.status, row.outcome))
    if what.until == "paused" and row.status == "waiting for approval":
        return End("paused", row.status, "", row.detail, exit_codes.WAITING)
    if row.detail.startswith("stopped: "):  # the worker will never touch it again by itself
        return End("ended", row.status, "", row.detail, exit_codes.ERROR)
    if what.timeout_s and passed_s >= what.timeout_s:
        waiting = row.status == "waiting for approval"
        return End("timeout", row.status, "", row.detail, exit_codes.WAITING if waiting else exit_codes.TRANSIENT)
    return None
