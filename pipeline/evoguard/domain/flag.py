"""A flag's state: who meets the candidate, until when, decided under which epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evoguard.domain.canonical import Json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def is_flag_name(text: str) -> bool:
    """Tell whether a flag may have this name."""
    return bool(_NAME.match(text))


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
    versions: str = ""
    """The two versions as the text of `domain.version.Versions`; empty when the commits are what is rolled out."""

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
            **({"versions": self.versions} if self.versions else {}),
        }
