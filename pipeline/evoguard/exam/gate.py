"""One row of the exam: a gate, how it is taken out, the attack that it stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from evoguard.exam.hall import Hall, Seen
from evoguard.exam.surgery import Removal

Attack = Callable[[Hall], Awaitable[Seen]]


@dataclass(frozen=True, slots=True)
class Gate:
    """What is examined. The first line of the attack's docstring says what the attacker does."""

    name: str
    removal: Removal | tuple[Removal, ...]
    attack: Attack
    finding: str
    """What the gate says when it refuses: the beginning of a code, or of the words where nothing carries one."""
    backed_by: tuple[str, ...] = ()
    """Gates that refuse the same attack. Each is examined itself; the attack goes through once all are out."""

    @property
    def removals(self) -> tuple[Removal, ...]:
        """Return all that is taken out; a gate that is asked at two places is one gate."""
        return self.removal if isinstance(self.removal, tuple) else (self.removal,)

    @property
    def what(self) -> str:
        """Return what the attacker does."""
        return (self.attack.__doc__ or "").strip().splitlines()[0].rstrip(".")
