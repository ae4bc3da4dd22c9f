"""The examination itself: each attack with the gate, and without it, on an installation of its own each time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from evoguard.domain.canonical import Json
from evoguard.errors import EvoguardError, InputError
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen, copied
from evoguard.exam.surgery import Cut, removed
from evoguard.exam.table import GATES

MEMORY = "/dev/shm"  # noqa: S108  (a folder that mkdtemp makes for this user alone)
"""Where the installations stand when they can: what a disk does with a sync is not examined, and takes minutes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was seen of one gate. `why` is empty when it holds the attack, alone, and nothing else does."""

    gate: Gate
    stopped: Seen
    gone: Seen
    why: str

    def as_json(self) -> dict[str, Json]:
        """Return the result as plain JSON."""
        places: list[Json] = [one.place for one in self.gate.removals]
        return {
            "gate": self.gate.name, "places": places, "removed": "; ".join(str(one) for one in self.gate.removals),
            "attack": self.gate.what, "finding": self.stopped.said, "without": self.gone.said,
            "backed_by": [*self.gate.backed_by], "ok": not self.why, "why": self.why,
        }  # fmt: skip


class Examiner:
    """Makes one installation and copies it for every attack; all of it is gone at the end of the block."""

    def __init__(self, gates: Sequence[Gate] = GATES) -> None:
        self._gates: Mapping[str, Gate] = {gate.name: gate for gate in gates}
        self._made = TemporaryDirectory(prefix="evoguard-exam-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self._n = 0

    def __enter__(self) -> Examiner:
        mask = os.umask(0o077)
        Hall(Path(self._made.name) / "template").close()
        os.umask(mask)
        return self

    def __exit__(self, *_: object) -> None:
        self._made.cleanup()

    def examine(self, gate: Gate) -> Result:
        """Attack with all gates, with this one alone, with all but this one, and with none of those that hold it.

        Raises: InputError when a gate that is said to back this one is not in the table.
        """
        others = [self._named(name) for name in gate.backed_by]
        behind = [one for other in others for one in other.removals]
        whole = self._seen(gate, ())
        alone = self._seen(gate, behind) if others else whole
        hidden = self._seen(gate, gate.removals) if others else None
        gone = self._seen(gate, (*behind, *gate.removals))
        return Result(gate, alone, gone, _why(gate, (whole, alone, hidden, gone)))

    def _named(self, name: str) -> Gate:
        if name not in self._gates:
            raise InputError(f"{name} backs a gate and is not examined itself", code="exam.not_examined")
        return self._gates[name]

    def _seen(self, gate: Gate, without: Iterable[object]) -> Seen:
        self._n += 1
        hall = copied(Path(self._made.name) / "template", Path(self._made.name) / str(self._n))
        try:
            with removed(without):  # type: ignore[arg-type]  # removals of gates
                return asyncio.run(gate.attack(hall))  # type: ignore[arg-type]  # a coroutine function's answer
        except EvoguardError as err:
            if err.code == "exam.gate_gone":
                raise
            return Seen(False, err.code)
        except Exception as err:  # noqa: BLE001  (what breaks opens nothing, and proves no gate either)
            return Seen(False, f"broke: {type(err).__name__}: {err}"[:200])
        finally:
            hall.close()


def _why(gate: Gate, seen: tuple[Seen, Seen, Seen | None, Seen]) -> str:
    """Return what is wrong with a gate, or an empty text."""
    whole, alone, hidden, gone = seen
    if whole.through:
        return f"the attack goes through with the gate in place: {whole.said}"
    if alone.through:
        return (
            f"the attack goes through once {', '.join(gate.backed_by)} is out: this gate holds nothing ({alone.said})"
        )
    if not alone.said.startswith(gate.finding):
        return f"something else refuses: {alone.said} instead of {gate.finding}"
    if hidden is not None and hidden.through:
        return f"the attack goes through without it, though {', '.join(gate.backed_by)} should hold"
    if not gone.through:
        return f"the attack is still refused without it, by what the table does not name: {gone.said}"
    return ""


def examine(
    names: Sequence[str] = (), *, tell: Callable[[Result], None] = lambda _: None, gates: Sequence[Gate] = GATES
) -> dict[str, Json]:
    """Examine all gates, or the named ones, and return what was seen and what was not looked at.

    Raises: InputError for a name that is no gate; IntegrityError when a gate is not where the table says.
    """
    from evoguard.exam.unexamined import unexamined

    known = {gate.name: gate for gate in gates}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"there is no gate {unknown[0][:60]!r}", code="exam.unknown", fix="`evoguard exam gates --list`"
        )
    began, results = time.monotonic(), list[Result]()
    with Examiner(gates) as examiner:
        for gate in [known[name] for name in names] or gates:
            results.append(examiner.examine(gate))
            tell(results[-1])
    left = unexamined(gates)
    return {
        "gates": [result.as_json() for result in results], "examined": len(results),
        "held": sum(not result.why for result in results), "ok": all(not result.why for result in results),
        "wall_s": round(time.monotonic() - began), "not_examined": [*left],
    }  # fmt: skip


def places(gates: Sequence[Gate]) -> set[tuple[str, str]]:
    """Return (place, expression) of every condition that is taken out."""
    return {(one.place, one.of) for gate in gates for one in gate.removals if isinstance(one, Cut)}
