"""What other rules would have said of decisions that were made: arithmetic on two answers to one question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    repository: str = ""
    """The bundle of the repository's own that was asked beside; it is not asked again here."""
    notes: tuple[Mapping[str, Json], ...] = ()
    """What the decision told without deciding by it: what is exempt, what a rule in shadow would have said."""


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


@dataclass(slots=True)
class Tally:
    """What became of decisions, added up one by one: as large for a million as for a hundred.

    Of each kind of turn the first `most` examples are kept; nothing of an unchanged decision is.
    """

    most: int
    turns: Counter[str] = field(default_factory=Counter)
    fires: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Json]] = field(default_factory=dict)
    own: int = 0
    """Decisions that rules of the repository's own were asked about as well; those are not asked again."""

    def add(self, one: Turned) -> None:
        """Count one decision."""
        self.turns[one.turn] += 1
        self.own += bool(one.recorded.repository)
        self.fires.update(one.fires)
        self.silent.update(one.silent)
        kept = self.examples.setdefault(one.turn, []) if one.turn != "unchanged" else None
        if kept is not None and len(kept) < self.most:
            kept.append(one.as_json())

    @property
    def decisions(self) -> int:
        """Return how many were counted."""
        return self.turns.total()

    @property
    def loosens(self) -> bool:
        """Tell whether anything was newly allowed or has no verdict; both need a person."""
        return bool(self.turns["newly allowed"] or self.turns["no verdict"])

    def summary(self) -> dict[str, Json]:
        """Return the counts by turn and by rule, and at most so many of the decisions that turned, the worst first."""
        shown = [row for turn in TURNS for row in self.examples.get(turn, [])][: self.most]
        changed = self.decisions - self.turns["unchanged"]
        return {
            "decisions": self.decisions,
            "turns": {turn: self.turns[turn] for turn in TURNS},
            "rules": [
                {"code": code, "fires": self.fires[code], "silent": self.silent[code]}
                for code in sorted(self.fires.keys() | self.silent.keys())
            ],
            "examples": [*shown],
            "omitted": changed - len(shown),
        }

    def as_json(self) -> dict[str, Json]:
        """Return it whole, to go on with later."""
        counts = {name: dict(getattr(self, name)) for name in ("turns", "fires", "silent")}
        examples: dict[str, Json] = {turn: [*rows] for turn, rows in self.examples.items()}
        return {**counts, "own": self.own, "examples": examples}

    @classmethod
    def from_json(cls, doc: Mapping[str, Json], *, most: int) -> Tally:
        """Return what `as_json` gave. Raises: ValueError for anything else."""
        made = cls(most)
        for name in ("turns", "fires", "silent"):
            counts = doc.get(name)
            if not isinstance(counts, Mapping) or not all(type(n) is int and n >= 0 for n in counts.values()):
                raise ValueError(f"{name} is no table of counts")
            getattr(made, name).update(counts)
        own, kept = doc.get("own"), doc.get("examples")
        if type(own) is not int or own < 0:
            raise ValueError("own is no count")
        made.own = own
        if not isinstance(kept, Mapping) or not kept.keys() | made.turns.keys() <= {*TURNS}:
            raise ValueError("another kind of turn")
        made.examples = {turn: [*rows] for turn, rows in kept.items() if isinstance(rows, list)}
        return made
