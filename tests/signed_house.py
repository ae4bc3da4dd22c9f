"""A house whose registrations carry the signatures they need, and whose log is signed and audited."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import audit, roots
from evoguard.domain.canonical import Json
from evoguard.domain.change import ActorKind
from evoguard.domain.events import Event
from evoguard.domain.identity import Identity, Vouch, sponsors_needed, subject_of
from house import House


class SignedHouse(House):
    """What an auditor finds whole; `root_file` is where the newest root is kept."""

    @property
    def root_file(self) -> Path:
        """Return the newest root's file, beside the database."""
        return self.folder / roots.FILE

    def add(self, name: str, kind: str) -> None:
        """Register an identity, vouched for by as many of the first people as it takes; an agent by the last one.

        Whoever vouches for an agent approves none of its changes, and tests have alice approve.
        """
        applicant = self.applicant(name, kind)
        people = sorted(self.registry.people())
        needed = sponsors_needed(applicant.kind, people=len(people), first=not people)
        self.admit(
            applicant, *(self.vouch(applicant, by) for by in (people[-1:] if kind == "agent" else people[:needed]))
        )

    def applicant(self, name: str, kind: str = "person") -> Identity:
        """Return somebody with a fresh key who is not registered."""
        keys.generate(self.folder / f"{name}.key")
        self.pens[name] = keys.load_private(self.folder / f"{name}.key")
        return Identity(name, cast(ActorKind, kind), keys.public_pem(self.pens[name].public_key()).decode())

    def vouch(self, applicant: Identity, by: str, *, key: str = "", life_s: int = 3600) -> Vouch:
        """Return the vouch of one person, signed with their own key or another's."""
        envelope = self.signed(f"{applicant.kind}.add", subject_of(applicant), by, key=key, life_s=life_s)
        return Vouch(applicant, by, envelope)

    def admit(self, applicant: Identity, *vouches: Vouch) -> None:
        """Write the event that registers, whatever its vouches are worth."""
        said: list[Json] = [vouch.as_json() for vouch in vouches]
        body = {"name": applicant.name, "public_pem": applicant.public_pem, "vouches": said}
        self.registry.append("registry", Event(f"{applicant.kind}.added", body, actor=applicant.name))

    def tamper(self, *statements: str) -> None:
        """Change the database as somebody with write access to it alone would: the triggers go first."""
        for trigger in ("events_are_final", "events_stay", "roots_are_final", "roots_stay"):
            self.con.execute(f"drop trigger if exists {trigger}")
        for sql in statements:
            self.con.execute(sql)

    async def sign_root(self) -> bool:
        """Sign the log's heads as the worker does."""
        return await roots.sign_root(self.con, self.ports.signer, self.clock, self.root_file)

    async def problems(self, *, file: bool = True, demanded: bytes | None = None) -> tuple[str, ...]:
        """Audit with the public key alone; return what is wrong."""
        signer = LocalSigner(None, self.public)
        return (await audit.verify(self.con, signer, file=self.root_file if file else None, demanded=demanded)).problems

    async def history(self) -> None:
        """Write what there is to falsify: a rollout, a kill, a held author, a vote's nonce; four signed roots."""
        await self.to_watch()
        await self.sign_root()
        latch = self.latches.kill(scope="component", name="billing")
        self.registry.reconcile(self.latches.board())
        await self.sign_root()
        self.registry.append("kills", Event("author.held", {"author": "coder", "kill": latch.id}, reason="held"))
        nonce = {"nonce": "n" * 24}
        self.registry.append("registry", Event("approval.recorded", nonce))
        await self.sign_root()
        self.registry.append("registry", Event("registry.initialised"))
        await self.sign_root()
        assert await self.problems() == ()
