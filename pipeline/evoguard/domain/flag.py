"""A flag's state: who meets the candidate, until when, decided under which epoch."""

from __future__ import annotations

from dataclasses import dataclass

from evoguard.domain.canonical import Json


@dataclass(frozen=True, slots=True)
class FlagState:
    """What the flag server serves for one flag. `lease_until` is unix seconds; 0 means no lease (promoted or off)."""

    flag: str
    component: str
    change: str
    enabled: bool
    percent: int
    known_good: str
    candidate: str
    lease_until: int
    epoch: int

    def as_json(self) -> dict[str, Json]:
        """Return the state as plain JSON."""
        return {
            "flag": self.flag,
            "component": self.component,
            "change": self.change,
            "enabled": self.enabled,
            "percent": self.percent,
            "known_good": self.known_good,
            "candidate": self.candidate,
            "lease_until": self.lease_until,
            "epoch": self.epoch,
        }
