"""What was seen of one rollout, by unit and arm; nothing that is lost can make the candidate look better."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from evoguard.domain.kpi import Arm
from evoguard.errors import UnavailableError

MOST_UNITS = 500_000
MOST_WAITING_BAD = 20_000
MOST_BAD_A_BATCH = 1_000
MOST_LINE = 300
MOST_WAITING_VALUES = 20_000
MOST_VALUES_A_BATCH = 400
"""With as many bad events as a batch may have it stays below the guard's bound of bytes."""
NO_VALUES: Mapping[str, int] = {}
LOST_KPI = "errors"
Batch = dict[str, object]


def by_arm() -> dict[Arm, int]:
    """Return a zero for each arm."""
    return {"known_good": 0, "candidate": 0}


@dataclass
class Counts:
    """The units of one rollout. A unit is exposed once, and bad once a KPI, ever.

    Before an outcome counts it is in the journal, so an edge that was killed counts no unit as new again and tells
    every bad outcome again; the guard takes each of them once. Exposures that were not told by then are gone: fewer
    units are less evidence. The same holds beyond the bounds: units are no longer exposed, bad ones still are told,
    those of the candidate before those of known-good. Each loss is in `lost`, and told as a failure of the candidate.
    """

    change: str
    component: str
    salt: bytes
    journal: Path
    lost: int = 0
    requests: dict[Arm, int] = field(default_factory=by_arm)
    exposed: dict[Arm, int] = field(default_factory=by_arm)
    bad: dict[Arm, int] = field(default_factory=by_arm)
    _units: set[str] = field(default_factory=set)
    _bad: set[tuple[str, str]] = field(default_factory=set)
    _new: dict[Arm, int] = field(default_factory=by_arm)
    _waiting: dict[Arm, deque[tuple[str, str]]] = field(
        default_factory=lambda: {"known_good": deque(), "candidate": deque()}
    )
    _values: deque[tuple[str, Arm, str, int]] = field(default_factory=deque)
    _moved: bool = False
    _told_lost: int = 0
    _file: IO[bytes] | None = None

    def open(self) -> None:
        """Read what an earlier edge counted. Raises: UnavailableError when the journal cannot be read or written."""
        try:
            self._recall()
            handle = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            self._file = os.fdopen(handle, "ab", buffering=0)
        except OSError as err:
            raise UnavailableError("edge", "the journal of counted units cannot be opened") from err

    def close(self) -> None:
        """Close the journal."""
        if self._file is not None:
            self._file.close()

    def count(self, user: str, arm: Arm, kpis: Iterable[str], values: Mapping[str, int] = NO_VALUES) -> None:
        """Count one outcome of a user; `kpis` names what was bad about it, `values` what it cost by KPI.

        A unit's first outcome gives its values. Those that have no place are dropped: of both arms, whatever they are.
        """
        unit = hmac.digest(self.salt, f"{self.change}:{user}".encode("utf-8", "surrogateescape"), "sha256").hex()
        self.requests[arm] += 1
        self._moved = True
        new = unit not in self._units
        fresh = [kpi for kpi in kpis if (unit, kpi) not in self._bad]
        if not new and not fresh:
            return
        if not self._write(unit, arm, fresh):
            self.lost += 1  # not known after a crash: it must not be exposed now, nor good
        elif new and len(self._units) < MOST_UNITS:
            self._units.add(unit)
            self.exposed[arm] += 1
            self._new[arm] += 1
            for kpi, value in values.items():
                if len(self._values) < MOST_WAITING_VALUES:
                    self._values.append((unit, arm, kpi, value))
        elif new:
            self.lost += 1
        for kpi in fresh:
            self._wait(unit, arm, kpi)

    def batch(self) -> Batch | None:
        """Return what is new since the last call, with an id of its own; None when nothing was seen."""
        waits = any(self._waiting.values()) or self._values
        if not self._moved and not waits and self._told_lost == self.lost:
            return None
        events: list[dict[str, str]] = []
        for arm in ("candidate", "known_good"):
            waiting = self._waiting[arm]
            while waiting and len(events) < MOST_BAD_A_BATCH:
                unit, kpi = waiting.popleft()
                events.append({"unit": unit, "arm": arm, "kpi": kpi})
        while self._told_lost < self.lost and len(events) < MOST_BAD_A_BATCH:
            self._told_lost += 1  # whatever it was, it counts against the candidate
            events.append({"unit": f"lost-{self._told_lost}", "arm": "candidate", "kpi": LOST_KPI})
        # exposures never go before bad outcomes that were seen with them, and none go after a loss
        told = not any(self._waiting.values()) and not self.lost
        new, later = (self._new, by_arm()) if told else (by_arm(), self._new)
        self._new, self._moved = later, False
        values = self._some_values()
        return {
            "id": secrets.token_hex(12), "component": self.component, "change": self.change,
            "at": int(time.time() * 1000), "exposed": new, "bad": events,
            **({"values": values} if values else {}),
        }  # fmt: skip

    def _some_values(self) -> list[dict[str, object]]:
        """Return the values of the next batch, in the order in which they were seen; none after a loss."""
        if self.lost:
            self._values.clear()
        some = [self._values.popleft() for _ in range(min(MOST_VALUES_A_BATCH, len(self._values)))]
        return [{"unit": unit, "arm": arm, "kpi": kpi, "value": value} for unit, arm, kpi, value in some]

    def as_json(self) -> dict[str, object]:
        """Return the totals."""
        return {
            "change": self.change, "component": self.component, "requests": self.requests, "exposed": self.exposed,
            "bad": self.bad, "lost": self.lost,
        }  # fmt: skip

    def _wait(self, unit: str, arm: Arm, kpi: str) -> None:
        if sum(map(len, self._waiting.values())) >= MOST_WAITING_BAD:
            self.lost += 1
            if arm == "known_good":
                return
            if self._waiting["known_good"]:
                self._waiting["known_good"].pop()
            else:
                return  # twenty thousand bad units of the candidate wait already, and exposures wait behind them
        if len(self._bad) < MOST_UNITS:
            self._bad.add((unit, kpi))
        self.bad[arm] += 1
        self._waiting[arm].append((unit, kpi))

    def _write(self, unit: str, arm: Arm, kpis: list[str]) -> bool:
        line = json.dumps([unit, arm, kpis]).encode() + b"\n"
        if self._file is None:
            return False
        with suppress(OSError, ValueError):
            return self._file.write(line) == len(line)
        return False

    def _recall(self) -> None:
        with suppress(FileNotFoundError), self.journal.open("rb") as file:
            while line := file.readline(MOST_LINE):
                with suppress(ValueError, TypeError, KeyError):
                    unit, arm, kpis = json.loads(line)
                    self._units.add(str(unit))
                    for kpi in kpis:
                        self._wait(str(unit), arm, str(kpi))
