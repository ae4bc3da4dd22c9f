"""The worker's seat: the real flow over the real parts, with what sandbox and scanner saw dictated by the attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from evoguard.domain.canonical import digest_of
from evoguard.domain.evidence import Evidence, TestResult
from evoguard.domain.scan import Hit, Scan, Standing
from evoguard.errors import EvoguardError
from evoguard.flow.runs import advance
from evoguard.ports.forge import Blob
from evoguard.ports.replay import Asked, Replayed
from evoguard.wiring import flow
from evoguard.wiring.rulebook import RulesNow
from evoguard.wiring.state import Opened

GREEN: Mapping[str, object] = {
    "passed": True, "isolation": "gvisor", "behaviour": "recorded", "expected": 3, "run": 3, "failed": 0,
    "tests": tuple(TestResult(f"tests/test_scoring.py::test_{n}", "passed", 1) for n in range(3)), "findings": (),
    "assurance": "split", "split": 3, "verdict": "pass",
}  # fmt: skip


@dataclass
class Told:
    """Stands where sandbox and scanner do and says what the attack had them see; green and clean by default."""

    seen: dict[str, object] = field(default_factory=dict)
    hits: tuple[Hit, ...] = ()
    scanned: bool = True
    replayed: Replayed = field(default_factory=lambda: Replayed((), ()))

    def held_out(self, repo: str) -> bool:  # noqa: ARG002  (the port's)
        """Have no held-out tests."""
        return False

    async def close(self) -> None:
        """Have nothing to give back."""

    async def run(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence:
        """Say what was seen of this tree."""
        del repo, base, candidate, lock
        return Evidence(**{"tree": tree, **GREEN, **self.seen})  # type: ignore[arg-type]  # real fields, named by attacks

    async def replay(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], asked: Sequence[Asked], lock: str = ""
    ) -> Replayed:
        """Say what both answered."""
        del base, candidate, asked, lock
        return self.replayed

    async def scan(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]
    ) -> Scan:
        """Say what the scanner found."""
        del base, candidate
        standing: Standing = "complete" if self.scanned else "incomplete"
        return Scan(standing, "dictated", digest_of(b"rules"), len(changed), len(changed), self.hits)


class Driver:
    """Drives changes as the worker does; `refused` is the code of what a part last raised."""

    def __init__(self, opened: Opened, told: Told) -> None:
        self.ports, self.book = flow.dictated(opened, told, told)
        self._app = flow.app(opened)
        self.refused = ""

    async def drive(self, change: str) -> None:
        """Drive once; an error of a part is kept as its code, for the worker would note it and try again."""
        self.refused = ""
        try:
            await advance(self._app, replace(self.ports, policies=RulesNow(self.book)), change)
        except EvoguardError as err:
            self.refused = err.code
