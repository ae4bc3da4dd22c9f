"""A repository's own bundle, read from the base commit's objects, proved by digest and signature, asked in bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import bundles, dsse, keys
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.bundle import Bundle
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.change import CommitId
from evoguard.domain.repository_rules import BUNDLE_TYPE, NamedRules, RepositoryVerdict
from evoguard.domain.verdict import Finding, PolicyStage
from evoguard.errors import AuthError, EvoguardError, InputError, IntegrityError, UnavailableError
from evoguard.ports.artifacts import Artifacts
from evoguard.ports.forge import Sources
from evoguard.ports.queries import Queries

WALL_S = 20.0
"""What compiling and asking may take together; the fuel of a question is about 0.6 s."""
MOST_LOADED = 8
FOR_SIGNER = "evoguard policy build --sign-with KEY, by a registered person"


class RepositoryBundles:
    """Bundles of repositories, compiled once by digest; that each is named and signed is proved at every question."""

    def __init__(self, sources: Sources, queries: Queries, artifacts: Artifacts, cache: Path) -> None:
        self._sources, self._queries, self._artifacts, self._cache = sources, queries, artifacts, cache
        self._loaded: dict[Digest, OpaWasmPolicies] = {}

    async def ask(
        self, repo: str, base: CommitId, named: NamedRules, stage: PolicyStage, question: Mapping[str, Json]
    ) -> RepositoryVerdict:
        """Return what the named bundle of the base commit says, or the finding that refuses. Raises: as the port."""
        try:
            parts = await self._parts(repo, base, named)
            await self._signed(named, parts[bundle.SIGNATURE])
            loaded = _proved(named, parts)
        except (InputError, AuthError, IntegrityError) as err:
            return _refused(named, err.code if err.code.startswith("repository.") else "repository.unreadable", err)
        for part in loaded.to_decide_again:
            await self._artifacts.put(part)
        try:
            rules = await asyncio.wait_for(asyncio.to_thread(self._compiled, loaded), WALL_S)
            decision = await asyncio.wait_for(rules.decide(stage, question), WALL_S)
        except (UnavailableError, IntegrityError) as err:
            return _refused(named, "repository.no_verdict", err)
        except TimeoutError:
            late = UnavailableError("policies", f"no verdict within {WALL_S:.0f} s")
            return _refused(named, "repository.no_verdict", late)
        return RepositoryVerdict(named, decision)

    async def _parts(self, repo: str, base: CommitId, named: NamedRules) -> dict[str, bytes]:
        """Return the files that judging needs, each of at most 1 MiB and none of them a link. Raises: InputError."""
        parts: dict[str, bytes] = {}
        for name in (bundle.MANIFEST, bundle.WASM, bundle.DATA, bundle.SIGNATURE):
            raw = await self._sources.file(repo, base, f"{named.path}/{name}")
            if raw is None:
                raise InputError(f"{named.path}/{name} is not in the base commit", code="repository.missing")
            parts[name] = raw
        return parts

    async def _signed(self, named: NamedRules, envelope: bytes) -> None:
        """Prove that the named person, registered now, signed this digest. Raises: AuthError, InputError."""
        signer = await self._queries.identity(named.signer)
        if signer is None or signer.kind != "person" or signer.revoked:
            raise AuthError(f"{named.signer} is not a registered person", code="repository.signer", fix=FOR_SIGNER)
        try:
            key = keys.load_public(signer.public_pem.encode())
            body = dsse.unseal(dsse.strict_json(envelope), BUNDLE_TYPE, key)
        except (AuthError, InputError) as err:
            raise AuthError(
                f"{named.signer} did not sign it: {err.message}", code="repository.signature", fix=FOR_SIGNER
            ) from err
        if body != bundles.signed_for(named.bundle):
            raise AuthError("the signature is about another bundle", code="repository.signature", fix=FOR_SIGNER)

    def _compiled(self, loaded: Bundle) -> OpaWasmPolicies:
        digest = loaded.manifest.digest
        if digest not in self._loaded:
            while len(self._loaded) >= MOST_LOADED:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[digest] = OpaWasmPolicies(self._cache, loaded=loaded)
        return self._loaded[digest]


def _proved(named: NamedRules, parts: Mapping[str, bytes]) -> Bundle:
    """Return the bundle of these parts. Raises: IntegrityError when they are not the one that is named."""
    loaded = bundle.to_judge(parts[bundle.MANIFEST], parts[bundle.WASM], parts[bundle.DATA])
    if loaded.manifest.digest != named.bundle:
        raise IntegrityError("it is another bundle than the component file names", code="repository.changed")
    return loaded


def _refused(named: NamedRules, code: str, err: EvoguardError) -> RepositoryVerdict:
    why = f"the repository's own rules decide nothing, so nothing goes on: {err.message}"
    return RepositoryVerdict(named, why=Finding(code, why[:500], named.path, named.bundle))
