"""An installation whose people may put rules in force; bundles to try it with."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from evoguard.adapters import bundles, keys
from evoguard.adapters.signer import LocalSigner, new_nonce, sign_command
from evoguard.adapters.sqlite import audit
from evoguard.bundle import load
from evoguard.domain.activation import PURPOSE, STREAM, Activation, Signature
from evoguard.domain.canonical import Digest
from evoguard.domain.events import Event
from evoguard.domain.identity import Command
from evoguard.settings import Settings
from evoguard.wiring import activating, desk
from evoguard.wiring.activating import Prepared
from evoguard.wiring.init import init
from evoguard.wiring.rulebook import Rulebook
from evoguard.wiring.state import Opened, open_state
from unit.cli.recorded import edited

SHIPPED = load().manifest.digest
LATER = 4_000_000_000
SOON = int(time.time()) + 3_600


def locks(folder: Path, *names: str) -> Path:
    """Make a bundle of the shipped rules that knows more lock files."""
    known = json.loads(load().data)["change"]
    return edited(folder, {"change": {**known, "locks": sorted([*known["locks"], *names])}})


@dataclass
class Office:
    """One installation with alice, bob, carol and the agent coder, and a bundle that is tighter than the shipped."""

    folder: Path
    opened: Opened = field(init=False)
    tight: Digest = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings.load(self.folder / "state", {"HOME": str(self.folder)})
        init(self.settings)
        self.opened = open_state(self.settings)
        for name, kind, by in (("alice", "person", ""), ("bob", "person", "alice"), ("coder", "agent", "alice")):
            public = keys.generate(self.folder / f"{name}.key")
            desk.register(self.opened, kind, name, public, by=by, pen=self.pen(by) if by else None)  # type: ignore[arg-type]
        self.tight = bundles.keep(self.settings.state, locks(self.folder / "tight", "mix.lock"))

    def pen(self, name: str) -> desk.KeyPen:
        return desk.KeyPen(self.folder / f"{name}.key")

    def prepared(self, bundle: str = "") -> Prepared:
        return asyncio.run(activating.prepare(self.settings, self.opened, bundle or self.tight))

    def sign(self, prepared: Prepared, by: str, key: str = "") -> activating.Signed:
        return activating.sign(self.opened, prepared, by=by, pen=self.pen(key or by))

    def activate(self, bundle: str = "") -> None:
        prepared = self.prepared(bundle)
        for name in ("alice", "bob"):
            self.sign(prepared, name)

    def signature(self, activation: Activation, by: str, key: str = "", *, purpose: str = PURPOSE, expires: int = SOON):
        command = Command(purpose, activation.subject, by, new_nonce(), expires)
        return Signature(by, sign_command(command, keys.load_private(self.folder / f"{key or by}.key")))

    def append(self, event: Event, stream: str = STREAM) -> None:
        """Write into the log past every check, as whoever can write the database does."""
        self.opened.registry.append(stream, event)

    def problems(self) -> list[str]:
        signer = LocalSigner(self.settings.service_key, self.settings.service_pub.read_bytes())
        report = asyncio.run(audit.verify(self.opened.con, signer))
        return [text for text in report.problems if "rules" in text or "person" in text]

    def book(self) -> Rulebook:
        return Rulebook(self.opened, None, Path())  # type: ignore[arg-type]  # nothing is scanned here

    def active(self) -> str:
        return self.book().policies().digest


def loosened(folder: Path) -> Path:
    """Make a bundle whose data say that hardly a path is a guard path and one person is enough."""
    return edited(folder, {"guard": {"globs": ["{nothing,nothing/**}"], "people": 1}})
