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
class ValueKpi:
    """A KPI of values, of which higher is worse, as the component file declares it. All in percent."""

    tolerance_percent: int = 5
    """So much higher than known-good is no reason to abort."""
    margin_percent: int = 125
    """So many percent of known-good's values are proved not to be reached before a stage widens."""
    spread_percent: int = 60
    """Standard deviation of the values' logarithm; only to foresee how many a stage needs."""

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {
            "tolerance_percent": self.tolerance_percent,
            "margin_percent": self.margin_percent,
            "spread_percent": self.spread_percent,
        }


@dataclass(frozen=True, slots=True)
class ValueSeen:
    """The first value of one unit in this rollout: whole milliseconds, tokens, or millionths of a dollar."""

    unit: str
    arm: Arm
    kpi: str
    value: int


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
    values: tuple[ValueSeen, ...] = ()

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
        values: list[Json] = [{"unit": v.unit, "arm": v.arm, "kpi": v.kpi, "value": v.value} for v in self.values]
        return {
            "id": self.id,
            "change": self.change,
            "component": self.component,
            "at": self.at,
            "exposed": {"known_good": self.exposed_known_good, "candidate": self.exposed_candidate},
            "bad": [{"unit": b.unit, "arm": b.arm, "kpi": b.kpi} for b in self.bad],
            "assurance": self.assurance,
            **({"values": values} if values else {}),  # a batch without any keeps the digest that it always had
        }
