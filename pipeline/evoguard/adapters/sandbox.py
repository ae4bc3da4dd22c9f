"""gVisor, run directly: the sandbox room's report translated into evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from evoguard.adapters.held_out import HeldOut
from evoguard.adapters.sandbox_evidence import evidence_of, no_layer
from evoguard.domain.evidence import Evidence
from evoguard.domain.verdict import Finding
from evoguard.errors import ConfigError, UnavailableError
from evoguard.ports.forge import Blob
from evoguard_sandbox import Engine, Limits, Pool, Room, SandboxError, Suite, layers, prove, run, sweep
from evoguard_sandbox.trees import read_tree

TRY_AGAIN = frozenset({"layer.fetch_failed", "layer.no_pip", "layer.no_python", "layer.gone", "layer.folder_open"})
"""What is wrong here and not with the lock: no answer, so the change waits."""


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
    ) -> None:
        try:
            self._room = Room.open(state, runsc, layer, engine=engine)
            sweep(self._room)
        except SandboxError as err:
            raise ConfigError(err.message, code=err.code, fix=err.fix) from err
        self._limits = Limits(wall_s=wall_s)
        self._held_out = held_out or HeldOut("")
        self._layers = state / "layers"
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="evoguard-layers")
        self._proving = asyncio.Lock()
        self._proved = False
        self._slots = asyncio.Semaphore(max(1, at_once))
        self._warm, self._pool = warm, None if not warm else Pool(self._room, most=warm)

    async def close(self) -> None:
        """End the sandboxes that stand ready; the next run makes new ones."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = Pool(self._room, most=self._warm)

    def held_out(self, repo: str) -> bool:
        """Tell whether there are held-out tests for a repository."""
        return self._held_out.there(repo)

    async def run(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence:
        """Run the suites in gVisor. Raises: UnavailableError when no isolated run took place."""
        try:
            async with self._proving:
                if not self._proved:
                    await prove(self._room)
                    self._proved = True
            # A thread of its own: a build takes minutes, and rollouts read their plans on the shared ones.
            layer = await asyncio.get_running_loop().run_in_executor(self._builder, self._layer, base, lock)
            with layers.hold(layer) if layer is not None else nullcontext(None) as folder:
                suite = Suite(
                    _files(base), _files(candidate), layer_dirs=(folder,) if folder else (), lock=lock,
                    held_out=self._held_out.files(repo),
                )  # fmt: skip
                async with self._slots:
                    report = await run(suite, limits=self._limits, room=self._room, pool=self._pool)
        except layers.LayerError as err:
            if err.code in TRY_AGAIN:
                raise UnavailableError("sandbox", err.message, fix=err.fix) from err
            return no_layer(tree, Finding(err.code, f"{err.message} ({err.fix})", lock))
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        if not report.ran:
            first = report.findings[0].msg if report.findings else "no reason was given"
            raise UnavailableError("sandbox", f"no isolated run took place: {first}", fix="see `evoguard doctor`")
        return replace(evidence_of(tree, report), layer=layer.digest if layer is not None else "")

    def _layer(self, base: Mapping[str, Blob], lock: str) -> layers.Layer | None:
        """Return the dependencies that the base's lock names, installed once; None when it has none."""
        kept = {path: blob for path, blob in base.items() if path in (lock, *layers.DEFAULT_LOCKS)}
        found = layers.lock_of(read_tree(_files(kept), self._limits), lock)
        return None if found is None else layers.build(found, folder=self._layers, python=self._room.python)


def _files(tree: Mapping[str, Blob]) -> dict[str, tuple[int, bytes]]:
    return {path: (int(blob.mode, 8), blob.data) for path, blob in tree.items()}
