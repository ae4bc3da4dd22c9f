"""A candidate judged at once, for whoever wrote it: no submission, no state of the guard, no held-out tests."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard.adapters.git.mirror import Mirror
from evoguard.adapters.git.sources import GitSources
from evoguard.adapters.sandbox import GvisorSandbox
from evoguard.adapters.sandbox_cache import VerdictCache, runner_key
from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.domain.component import FILE_NAME, parse
from evoguard.errors import InputError
from evoguard.settings import Settings
from evoguard.views.evidence import laid_out
from evoguard_sandbox import Engine

FOLDER = "judge"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is judged: a head or a patch on a base. `fresh`: run it, also when the very same was judged here before."""

    source: Path
    base: str
    head: str = ""
    patch: bytes | None = None
    fresh: bool = False


async def judge(settings: Settings, wanted: Wanted) -> dict[str, Json]:
    """Return the evidence as `evoguard evidence` shows it, with `passed`, `remembered` and `pool`.

    A pass here is no approval: the guard runs everything again, with its held-out tests and under its policies.
    Raises: InputError as `submit`; ConfigError; UnavailableError when no isolated run took place.
    """
    if bool(wanted.head) == (wanted.patch is not None):
        raise InputError("judge takes a head or a patch, one of them", code="usage", fix="pass --head or --patch")
    folder = tool_cache.own_folder(FOLDER)
    mirror, sources = Mirror(folder / "repos"), GitSources(folder / "repos")
    if wanted.patch is not None:
        got = await mirror.from_patch(wanted.source, base=wanted.base, patch=wanted.patch)
    else:
        got = await mirror.fetch(wanted.source, head=wanted.head, base=wanted.base)
    diff = await sources.diff(got.repo, got.base, got.head)
    rules = parse(await sources.file(got.repo, got.base, FILE_NAME))
    base, candidate = await sources.files(got.repo, got.base), await sources.files(got.repo, got.head)
    sandbox = await asyncio.to_thread(open_sandbox, settings, folder)
    told = (got.repo, got.tree, base, candidate, rules.covering(diff.touched()).lock)
    try:
        known = None if wanted.fresh else await sandbox.remembered(*told)
        evidence = known or await sandbox.run(*told)
        pool = sandbox.pool() if known is None else {}
    finally:
        await sandbox.close()
    doc = evidence.as_json()
    shown = laid_out(doc, quarantine=[entry.as_json() for entry in rules.quarantine], at_s=int(time.time()))
    return {
        "change": f"{got.base[:12]}..{got.head[:12]}, not submitted",
        "evidence": digest_of(canonical(doc)),
        **shown,
        "passed": evidence.green,
        "remembered": known is not None,
        "pool": {name: value if isinstance(value, str | int) else round(value) for name, value in pool.items()},
    }


def open_sandbox(settings: Settings, folder: Path) -> GvisorSandbox:
    """Return the sandbox of a folder of our own. Raises: ConfigError."""
    docker, signing = settings.docker_url, folder / "keys"
    signing.mkdir(mode=0o700, exist_ok=True)
    return GvisorSandbox(
        folder,
        runsc=Path() if docker else tool_cache.runsc_path(settings.runsc),
        layer=tool_cache.layer_dir(settings.layer),
        wall_s=float(settings.suite_wall_s),
        warm=settings.warm_sandboxes,
        engine=Engine(docker, settings.docker_runtime) if docker else None,
        cache=VerdictCache(folder / "verdicts", runner_key(signing)),
    )
