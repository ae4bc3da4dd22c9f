"""The rules in force: what the log says of them, loaded once a bundle and believed only when two people signed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import bundles, token_file
from evoguard.adapters.floored import FlooredPolicies
from evoguard.adapters.opa_server import OpaServerPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.scanners.semgrep import Run, Semgrep
from evoguard.adapters.signer import read_command
from evoguard.adapters.sqlite import event_log
from evoguard.adapters.sqlite.sponsors import Registrations
from evoguard.authoring.exporting import exported
from evoguard.bundle import Bundle
from evoguard.domain.activation import STREAM, InForce
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.events import StoredEvent
from evoguard.domain.scan import Scan
from evoguard.domain.verdict import Decision, Floor, PolicyStage
from evoguard.errors import IntegrityError, UnavailableError
from evoguard.ports.forge import Blob
from evoguard.settings import Settings
from evoguard.wiring.state import Opened, open_state

MOST_LOADED = 4
"""Bundles held compiled besides the shipped one: the one in force, and those that a rollback goes between."""


def in_force(opened: Opened, stream: tuple[StoredEvent, ...] | None = None) -> InForce:
    """Return what the log says is in force. Raises: IntegrityError when an activation or a person does not prove."""
    rules, known = InForce(opened.verifier()), Registrations()
    stored = event_log.read(opened.con, STREAM) if stream is None else stream
    registry = event_log.read(opened.con, "registry") if stored else ()
    problems = [why for item in registry if (why := known.problem(item))]
    problems += [why for item in stored if (why := rules.take(item, known.people.get, read_command))]
    if problems:
        raise IntegrityError(
            f"the rules in force cannot be told: {problems[0]}", code="policy.unproved",
            fix="restore the database; `evoguard audit verify` says more",
        )  # fmt: skip
    return rules


def folder_in_force(settings: Settings) -> Path | None:
    """Return where the bundle in force is kept; None for the one that ships, also where no guard is set up.

    Raises: IntegrityError when the log does not prove it; ConfigError.
    """
    if not settings.database.exists():
        return None
    opened = open_state(settings)
    try:
        return folder_of(settings, in_force(opened).bundle)
    finally:
        opened.close()


def other_side(settings: Settings) -> tuple[Path | None, str]:
    """Return the bundle that others are held against where none is named, proved, and in words which one that is.

    It is the one in force; where no guard is set up, the one that ships. Raises: as `folder_in_force`.
    """
    folder = folder_in_force(settings)
    proved(settings, folder)
    if folder is not None:
        return folder, "the one in force here"
    why = "which is in force here" if settings.database.exists() else f"for there is no guard in {settings.state}"
    return None, f"the one that ships, {why}"


def folder_of(settings: Settings, digest: Digest | None) -> Path | None:
    """Return where a bundle is kept; None for the one that ships."""
    shipped = digest in (None, bundle.load().manifest.digest)
    return None if digest is None or shipped else bundles.place(settings.state, digest)


def bundle_in_force(settings: Settings) -> Bundle:
    """Return the bundle in force, proved. Raises: as `folder_in_force`."""
    return proved(settings, folder_in_force(settings))


def proved(settings: Settings, folder: Path | None) -> Bundle:
    """Return the shipped bundle, or a kept one, whose folder is called by its digest. Raises: IntegrityError."""
    return bundle.load() if folder is None else bundles.kept(settings.state, Digest(f"sha256:{folder.name}"))


def exported_for_opa(settings: Settings, folder: Path | None) -> tuple[Digest, bytes]:
    """Return the digest of a bundle, by default the one in force, and the file that an OPA server loads.

    Raises: IntegrityError, ConfigError.
    """
    place = folder or folder_in_force(settings)
    loaded = bundle.load(folder) if folder is not None else proved(settings, place)
    return loaded.manifest.digest, exported(loaded, bundle.sources(place))


class Rulebook:
    """The worker's rules: the log is asked at each drive, a bundle is compiled once."""

    def __init__(self, opened: Opened, run: Run, engine: Path) -> None:
        self._opened, self._run, self._engine = opened, run, engine
        self._cache = opened.settings.state / "policy-cache"
        self.shipped = OpaWasmPolicies(self._cache)
        self._own: dict[Digest, OpaWasmPolicies | OpaServerPolicies] = {}

    def policies(self) -> FlooredPolicies:
        """Return the rules in force now. Raises: IntegrityError when they cannot be proved, or are not there."""
        digest = in_force(self._opened).bundle or self.shipped.digest
        if digest not in self._own:
            while len(self._own) >= MOST_LOADED:
                self._own.pop(next(iter(self._own)))
            self._own[digest] = self._loaded(digest)
        return FlooredPolicies(self._own[digest], self.shipped)

    def _loaded(self, digest: Digest) -> OpaWasmPolicies | OpaServerPolicies:
        settings, shipped = self._opened.settings, digest == self.shipped.digest
        loaded = self.shipped.bundle if shipped else bundles.kept(settings.state, digest)
        if settings.opa_url:
            return OpaServerPolicies(settings.opa_url, loaded, token=_token(settings))
        return self.shipped if shipped else OpaWasmPolicies(self._cache, loaded=loaded)

    def version(self) -> int:
        """Return a number that grows with every activation; nothing is proved by it."""
        sql = "select count(*) from events where stream=? and type='policy.activated'"
        return int(self._opened.con.execute(sql, (STREAM,)).fetchone()[0])

    def scanner(self, loaded: Bundle) -> Semgrep:
        """Return the scanner with a bundle's rules."""
        return Semgrep(self._run, self._engine, loaded.scan)


class RulesNow:
    """The rules in force for one drive, looked up at the first question, so that a rollout never waits for them.

    It is both ports that depend on the bundle, `Policies` and `Scanner`: one drive decides under one bundle.
    """

    def __init__(self, book: Rulebook) -> None:
        self._book = book

    @cached_property
    def _now(self) -> FlooredPolicies:
        try:
            return self._book.policies()
        except IntegrityError as err:  # tried again: people may restore what is missing, and the gate stays shut
            raise UnavailableError("policies", err.message, fix=err.fix) from err

    @property
    def digest(self) -> Digest:
        """Return the identity of the bundle in force. Raises: UnavailableError when it cannot be proved."""
        return self._now.digest

    @property
    def data(self) -> Mapping[str, Json]:
        """Return the numbers and lists of the rules in force. Raises: as `digest`."""
        return self._now.data

    async def decide(self, stage: PolicyStage, question: Mapping[str, Json]) -> Decision:
        """Return the decision. Raises: as the port."""
        return await self._now.decide(stage, question)

    async def floor(self, stage: PolicyStage, question: Mapping[str, Json]) -> Floor | None:
        """Return what the shipped constitution says. Raises: as the port."""
        return await self._now.floor(stage, question)

    async def scan(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]
    ) -> Scan:
        """Return what is new in the changed files, by the scan rules of the bundle in force. Raises: as the port."""
        return await self._book.scanner(self._now.own.bundle).scan(base, candidate, changed)


def opa_ready(settings: Settings) -> Digest:
    """Return the bundle in force when the OPA server that settings name has it. Raises: EvoguardError."""
    loaded = bundle_in_force(settings)
    asyncio.run(OpaServerPolicies(settings.opa_url, loaded, token=_token(settings)).ready())
    return loaded.manifest.digest


def _token(settings: Settings) -> str:
    """Return the OPA server's token, or an empty text for none. Raises: ConfigError."""
    path = settings.opa_token_file
    return token_file.read(path, "opa_token_file", "policy.opa_token") if path else ""


def keep_to_decide_again(opened: Opened, loaded: Bundle) -> None:
    """Keep what a stranger needs to decide again, for the day when other rules are in force."""
    for part in loaded.to_decide_again:
        opened.artifacts.keep(part)
