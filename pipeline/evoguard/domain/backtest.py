"""What other rules would have said of decisions that were made: arithmetic on two answers to one question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json
from evoguard.domain.verdict import Decision, PolicyStage

Turn = Literal["newly allowed", "no verdict", "newly denied", "other reasons", "unchanged"]
TURNS: tuple[Turn, ...] = ("newly allowed", "no verdict", "newly denied", "other reasons", "unchanged")
"""The worst first: what is newly allowed loosens the guard, and no verdict is a gate that stays shut."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it was stored. `why` says why its question cannot be asked again; then there is none."""

    change: str
    stage: PolicyStage
    at_ms: int
    bundle: str = ""
    question: Mapping[str, Json] | None = None
    allow: bool = False
    denied: frozenset[str] = frozenset()
    """The codes of the findings that denied."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Turned:
    """A recorded decision beside what the other rules say: `fires` are codes that deny now alone, `silent` then."""

    recorded: Recorded
    turn: Turn
    fires: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    why: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON, without the question."""
        then = self.recorded
        return {
            "change": then.change,
            "stage": then.stage,
            "turn": self.turn,
            "fires": list(self.fires),
            "silent": list(self.silent),
            "why": self.why,
        }


def turned(then: Recorded, now: Decision | None, why: str = "") -> Turned:
    """Return what became of a decision; without an answer there is no verdict, and `why` says why."""
    if now is None:
        return Turned(then, "no verdict", why=why or then.why)
    denies = {finding.code for finding in now.deny}
    fires, silent = tuple(sorted(denies - then.denied)), tuple(sorted(then.denied - denies))
    if now.allow != then.allow:
        return Turned(then, "newly allowed" if now.allow else "newly denied", fires, silent)
    return Turned(then, "other reasons" if fires or silent else "unchanged", fires, silent)


def summary(turns: Sequence[Turned], *, most: int) -> dict[str, Json]:
    """Return the counts by turn and by rule, and at most so many of the decisions that turned, the worst first."""
    counts = Counter(one.turn for one in turns)
    fires, silent = (_counted(codes) for codes in ((t.fires for t in turns), (t.silent for t in turns)))
    changed = sorted((t for t in turns if t.turn != "unchanged"), key=lambda t: TURNS.index(t.turn))
    return {
        "decisions": len(turns),
        "turns": {turn: counts[turn] for turn in TURNS},
        "rules": [
            {"code": code, "fires": fires[code], "silent": silent[code]}
            for code in sorted(fires.keys() | silent.keys())
        ],
        "examples": [one.as_json() for one in changed[:most]],
        "omitted": max(0, len(changed) - most),
    }


def loosens(turns: Iterable[Turned]) -> bool:
    """Tell whether anything was newly allowed or has no verdict; both need a person."""
    return any(one.turn in ("newly allowed", "no verdict") for one in turns)


def _counted(many: Iterable[Iterable[str]]) -> Counter[str]:
    return Counter(code for codes in many for code in codes)
