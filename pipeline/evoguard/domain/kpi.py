"""KPI batches: outcomes counted outside the candidate, by new unit and arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json

Arm = Literal["known_good", "candidate"]
Assurance = Literal["self-reported", "host", "edge"]
COUNTED_OUTSIDE: frozenset[Assurance] = frozenset({"host", "edge"})
"""Only batches that were counted outside the version under test may promote it."""


@dataclass(frozen=True, slots=True)
class BadEvent:
    """The first bad outcome of one unit (salted hash of a user) in this rollout."""

    unit: str
    arm: Arm
    kpi: str


@dataclass(frozen=True, slots=True)
class KpiBatch:
    """What one router counted between two posts; `exposed_*` are new units only. Time in unix milliseconds."""

    id: str
    change: str
    component: str
    at: int
    exposed_known_good: int
    exposed_candidate: int
    bad: tuple[BadEvent, ...]
    assurance: Assurance

    @property
    def exposed(self) -> int:
        """Return how many units were new in this batch."""
        return self.exposed_known_good + self.exposed_candidate

    @property
    def share(self) -> float:
        """Return the observed share of new units that met the candidate, 0.0 when nobody was exposed."""
        return self.exposed_candidate / self.exposed if self.exposed else 0.0

    def as_json(self) -> dict[str, Json]:
        """Return the batch as plain JSON; its digest is part of the evidence for a stage."""
        return {
            "id": self.id,
            "change": self.change,
            "component": self.component,
            "at": self.at,
            "exposed": {"known_good": self.exposed_known_good, "candidate": self.exposed_candidate},
            "bad": [{"unit": b.unit, "arm": b.arm, "kpi": b.kpi} for b in self.bad],
            "assurance": self.assurance,
        }
