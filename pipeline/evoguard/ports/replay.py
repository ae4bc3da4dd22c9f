"""The same requests put to base and candidate, apart from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evoguard.domain.cases import Case, Declared
from evoguard.domain.regression import Answers
from evoguard.ports.forge import Blob


@dataclass(frozen=True, slots=True)
class Asked:
    """One component's requests."""

    declared: Declared
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Both sides' answers, one for each that was asked, in order; places that only the candidate tried to reach."""

    base: tuple[Answers, ...]
    candidate: tuple[Answers, ...]
    reached: tuple[str, ...] = ()
    isolation: str = ""
    """Empty when it was not proved for both."""
    behaviour: str = ""
    wall_ms: int = 0


class Replay(Protocol):
    """Where both versions answer: in a sandbox each, without network; no answer of one is in the other's reach."""

    async def replay(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], asked: Sequence[Asked], lock: str = ""
    ) -> Replayed:
        """Put every request to both; a side without answers says why. No error for what code does.

        `lock` names the base's requirements file; both run with what it pins.

        Raises: UnavailableError when no isolated run took place.
        """


class NoReplay:
    """Nothing here can replay: a side without answers, so declared cases are a finding."""

    async def replay(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], asked: Sequence[Asked], lock: str = ""
    ) -> Replayed:
        """Say so."""
        del base, candidate, lock
        nothing = tuple(Answers(why="nothing here puts requests to both versions") for _ in asked)
        return Replayed(nothing, nothing)
