"""Builders for tests about kills: orders, a real folder, and parts that work, raise or hang."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evoguard.adapters import latch_files
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.signer import LocalSigner
from evoguard.domain.latch import Latch, Scope
from evoguard.kill import Acknowledgement, KillParts, LiftParts
from unit.signing.people import Registry, a_signer

NOW = 1_790_000_000
NOBODY = 65534


def an_order(scope: Scope = "all", name: str = "", **changes: object) -> Latch:
    asked: dict[str, object] = {"reason": "error rate", "by": "ada", "at": NOW, **changes}
    return Latch(id="", epoch=0, scope=scope, name=name, **asked)  # type: ignore[arg-type]  (tests send wrong types too)


def a_folder(top: Path) -> Path:
    latch_files.prepare(top / "kill")
    return top / "kill"


@dataclass
class Plant:
    """A kill folder with everything around it; what the parts did is in `did`."""

    folder: Path
    registry: Registry = field(default_factory=Registry)
    did: list[str] = field(default_factory=list)

    def latches(self) -> FileLatches:
        return FileLatches(self.folder, self.registry)

    def parts(self, **changes: object) -> KillParts:
        async def flags_off(latch: Latch) -> None:
            self.did.append(f"flags_off {latch.epoch}")

        async def acknowledge(latch: Latch) -> Acknowledgement:
            self.did.append(f"acknowledge {latch.epoch}")
            return Acknowledgement(off=("lending-scoring",), epoch=latch.epoch)

        async def revert(latch: Latch) -> tuple[str, ...]:
            self.did.append(f"revert {latch.epoch}")
            return ("scoring",)

        def write(latch: Latch) -> Latch:
            made = latch_files.write_latch(self.folder, latch, lock_s=60)
            self.did.append(f"latch {made.epoch}")
            return made

        given: dict[str, object] = {
            "latches": write,
            "flags_off": flags_off,
            "acknowledge": acknowledge,
            "revert": revert,
            **changes,
        }
        return KillParts(**given)  # type: ignore[arg-type]  (tests replace parts by broken ones)

    def lifting(self, latches: FileLatches | None = None, signer: LocalSigner | None = None) -> LiftParts:
        board = latches or self.latches()
        return LiftParts(
            board=board.board,
            lifters=board.lifters,
            identity=self.registry.asks,
            signer=signer or a_signer(self.folder.parent),
            write=lambda kill_id, person, envelope: latch_files.write_lift(self.folder, kill_id, person, envelope),
        )


@dataclass
class Hanging:
    """A part that never answers, as a frozen disk or database does: it blocks its thread, not only its task."""

    release: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, _latch: Latch) -> None:
        self.release.wait()

    def write(self, latch: Latch) -> Latch:
        self.release.wait()
        return latch


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be an account that owns nothing, where the tests run as root; elsewhere folder modes suffice."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
