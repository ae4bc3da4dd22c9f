"""gVisor, run directly: the sandbox room's report translated into evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from evoguard.adapters.held_out import HeldOut
from evoguard.adapters.sandbox_cache import VerdictCache
from evoguard.adapters.sandbox_evidence import evidence_of, no_layer
from evoguard.adapters.sandbox_layers import TRY_AGAIN, Dependencies, dependencies
from evoguard.adapters.sandbox_replay import groups, replayed
from evoguard.domain.evidence import Evidence
from evoguard.domain.verdict import Finding
from evoguard.errors import ConfigError, UnavailableError
from evoguard.ports.forge import Blob
from evoguard.ports.replay import Asked, Replayed
from evoguard_sandbox import (
    Engine,
    Job,
    JobReport,
    Limits,
    Pool,
    Room,
    SandboxError,
    Suite,
    SuiteReport,
    execute,
    layers,
    prove,
    run,
    sweep,
)
from evoguard_sandbox.judging.cached import key_of, may_be_kept
from evoguard_sandbox.replaying import replay
from evoguard_sandbox.review import review

LEAST_CPU_S = 240
REPLAY_S = 60.0
REMEMBERED = "this is what an earlier full run of the very same inputs said; nothing was run again"


class GvisorSandbox:
    """Opened once a process: finds gVisor, proves it at the first run, and sweeps what a killed process left behind."""

    def __init__(  # noqa: PLR0913  (each is one setting)
        self,
        state: Path,
        *,
        runsc: Path,
        layer: Path,
        wall_s: float,
        at_once: int = 2,
        warm: int = 0,
        held_out: HeldOut | None = None,
        engine: Engine | None = None,
        cache: VerdictCache | None = None,
    ) -> None:
        try:
            self._room = Room.open(state, runsc, layer, engine=engine)
            sweep(self._room)
        except SandboxError as err:
            raise ConfigError(err.message, code=err.code, fix=err.fix) from err
        self._limits = Limits(wall_s=wall_s, cpu_s=max(LEAST_CPU_S, int(2 * wall_s)))
        self._held_out = held_out or HeldOut("")
        self._state = state
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="evoguard-layers")
        self._cache = cache
        self._proving = asyncio.Lock()
        self._proved = False
        self._slots = asyncio.Semaphore(max(1, at_once))
        self._warm, self._pool = warm, None if not warm else Pool(self._room, most=warm)

    async def close(self) -> None:
        """End the sandboxes that stand ready; the next run makes new ones."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = Pool(self._room, most=self._warm)

    def pool(self) -> dict[str, str | int | float]:
        """Return how many sandboxes are kept ready just now, why, and what that has cost and brought; {} without."""
        return self._pool.choice() if self._pool is not None else {}

    def held_out(self, repo: str) -> bool:
        """Tell whether there are held-out tests for a repository."""
        return self._held_out.there(repo)

    async def run(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence:
        """Run the suites in gVisor, always; what came out is remembered. Raises: UnavailableError when nothing ran."""
        try:
            async with self._proving:
                if not self._proved:
                    await prove(self._room)
                    self._proved = True
            async with self._suite(repo, base, candidate, lock) as (suite, found):
                key = await self._key(suite)
                async with self._slots:
                    await asyncio.to_thread(self._room.verify)
                    report = await self._judged(suite)
                if self._cache is not None and key is not None and may_be_kept(report):
                    await asyncio.to_thread(self._cache.put, key, report)
        except layers.LayerError as err:
            if err.code in TRY_AGAIN:
                raise UnavailableError("sandbox", err.message, fix=err.fix) from err
            return no_layer(tree, Finding(err.code, f"{err.message} ({err.fix})", lock))
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        if not report.ran:
            first = report.findings[0].msg if report.findings else "no reason was given"
            raise UnavailableError("sandbox", f"no isolated run took place: {first}", fix="see `evoguard doctor`")
        return _with(evidence_of(tree, report, self._limits, self._room.image), found)

    async def execute(self, job: Job, limits: Limits) -> JobReport:
        """Run one command of our own over untrusted files. Raises: UnavailableError when no isolated run took place."""
        try:
            async with self._slots:
                await asyncio.to_thread(self._room.verify)
                return await execute(job, limits=limits, room=self._room)
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err

    async def replay(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], asked: Sequence[Asked], lock: str = ""
    ) -> Replayed:
        """Put requests to both trees, in a sandbox each. Raises: UnavailableError when no isolated run can be had."""
        try:
            async with self._suite("", base, candidate, lock) as (suite, _), self._slots:
                await asyncio.to_thread(self._room.verify)
                sides = await replay(
                    self._room, self._pool, replace(self._limits, wall_s=min(REPLAY_S, self._limits.wall_s)),
                    (_files(base), _files(candidate)), groups(asked),
                    hidden={one.declared.file for one in asked}, layer_dirs=suite.layer_dirs,
                )  # fmt: skip
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        return replayed(*sides, len(asked))

    async def remembered(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence | None:
        """Return what an earlier `run` here said of the very same inputs, or None. Nothing is run.

        For a second look and for dry runs: `run` never reads it, so a full fresh run comes before every approval. It
        tells no bit of held-out tests that an earlier submission was not told.
        """
        if self._cache is None:
            return None
        try:
            async with self._suite(repo, base, candidate, lock) as (suite, held):
                key = await self._key(suite)
                report = await asyncio.to_thread(self._cache.get, key) if key is not None else None
        except SandboxError:
            return None  # without its layer there is nothing to remember, and `run` says why
        if report is None or not may_be_kept(report):
            return None
        found = evidence_of(tree, report, self._limits, self._room.image)
        return _with(replace(found, notes=(*found.notes, REMEMBERED)), held)

    async def _judged(self, suite: Suite) -> SuiteReport:
        """Run the suite; of a candidate that passes, say as well what no test can prove."""
        report = await run(suite, limits=self._limits, room=self._room, pool=self._pool)
        if not report.passed:
            return report
        seen = await review(suite, limits=self._limits, room=self._room, pool=self._pool)
        return replace(report, review=seen.findings, compared=(seen.calls, seen.functions))

    @asynccontextmanager
    async def _suite(
        self, repo: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str
    ) -> AsyncIterator[tuple[Suite, Dependencies]]:
        """Hold the dependencies, and yield the suite with what is installed for it. Raises: LayerError."""
        # A thread of its own: a build takes minutes, and rollouts read their plans on the shared ones.
        found = await asyncio.get_running_loop().run_in_executor(
            self._builder, dependencies, self._room, self._state, self._limits, base, candidate, lock
        )
        with ExitStack() as held:
            own, others = (
                (held.enter_context(layers.hold(layer)),) if layer is not None else ()
                for layer in (found.base, found.candidate)
            )
            yield Suite(
                _files(base), _files(candidate), layer_dirs=own, lock=lock, held_out=self._held_out.files(repo),
                candidate_layer_dirs=others if found.changed and found.refused is None else None,
                early=True,
            ), found  # fmt: skip

    async def _key(self, suite: Suite) -> str | None:
        """Return what a verdict on this suite is remembered under, or None when none is."""
        if self._cache is None:
            return None
        try:
            return await asyncio.to_thread(key_of, suite, limits=self._limits, room=self._room)
        except (SandboxError, OSError):
            return None  # what cannot be read has no key; whether it can be run is for the run to say


def _with(evidence: Evidence, found: Dependencies) -> Evidence:
    """Return evidence with the dependencies that judged; a changed lock that cannot be installed is a no."""
    notes = (*evidence.notes, *([found.note] if found.note else []))
    named = replace(evidence, layer=found.base.digest if found.base is not None else "", notes=notes)
    if found.refused is None:
        return named
    verdict = "fail" if named.verdict == "pass" else named.verdict
    return replace(named, passed=False, verdict=verdict, findings=(*named.findings, found.refused))


def _files(tree: Mapping[str, Blob]) -> dict[str, tuple[int, bytes]]:
    return {path: (int(blob.mode, 8), blob.data) for path, blob in tree.items()}
