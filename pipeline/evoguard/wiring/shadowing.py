"""Recorded live requests put to two versions at once: no submission, no state of the guard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard.adapters.git.mirror import Mirror
from evoguard.adapters.git.sources import GitSources
from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.domain.cases import Declared
from evoguard.domain.component import FILE_NAME, parse
from evoguard.domain.shadow import recorded, summary
from evoguard.errors import InputError
from evoguard.flow.regress import outcome
from evoguard.ports.replay import Asked
from evoguard.settings import Settings
from evoguard.wiring.judging import FOLDER, open_sandbox

DECLARE = f"declare [component.NAME.cases] in {FILE_NAME} of the base (docs/adr/0019-before-one-percent.md)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recording, and the two commits that answer it."""

    recording: bytes
    source: Path
    base: str
    head: str
    component: str = ""


async def shadow(settings: Settings, wanted: Wanted) -> dict[str, Json]:
    """Return what differs request by request, a summary, and digests of recording and evidence; `same` when nothing.

    Raises: InputError; ConfigError; UnavailableError when no isolated run took place.
    """
    folder = tool_cache.own_folder(FOLDER)
    got = await Mirror(folder / "repos").fetch(wanted.source, head=wanted.head, base=wanted.base)
    sources = GitSources(folder / "repos")
    declared = chosen(parse(await sources.file(got.repo, got.base, FILE_NAME)).cases(), wanted.component)
    try:
        cases, lines = recorded(wanted.recording, declared.kind)
    except ValueError as err:
        raise InputError(f"the recording cannot be used: {err}", code="shadow.recording",
                         fix="write it as docs/adr/0019-before-one-percent.md has it") from err  # fmt: skip
    base, candidate = await sources.files(got.repo, got.base), await sources.files(got.repo, got.head)
    rules = parse(await sources.file(got.repo, got.base, FILE_NAME))
    lock = next(one.lock for one in rules.components if one.name == declared.component)
    asked = [Asked(declared, cases)]
    sandbox = await asyncio.to_thread(open_sandbox, settings, folder)
    try:
        seen = await sandbox.replay(base, candidate, asked, lock)
    finally:
        await sandbox.close()
    found = outcome(asked, seen, (), {})
    doc: dict[str, Json] = {
        "recording": digest_of(wanted.recording), "lines": lines, "replayed": len(cases),
        "base": got.base, "head": got.head, "tree": got.tree, "declared": declared.as_json(),
        "summary": summary(found), **found.as_json(),
    }  # fmt: skip
    return {**doc, "evidence": digest_of(canonical(doc)), "same": found.status == "complete" and not found.findings}


def chosen(declared: Sequence[Declared], component: str) -> Declared:
    """Return the component that is asked: the one that is named, or the only one. Raises: InputError."""
    fits = [one for one in declared if component in ("", one.component)]
    if len(fits) == 1:
        return fits[0]
    names = ", ".join(one.component for one in declared) or "none"
    what = "no component to ask" if not fits else "more than one component"
    raise InputError(f"{what}; with [cases] at the base: {names}", code="shadow.component",
                     fix="pass --component NAME" if fits else DECLARE)  # fmt: skip
