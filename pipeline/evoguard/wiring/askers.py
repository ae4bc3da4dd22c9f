"""Recorded decisions asked again on every processor: each page of the log goes to a process with rules of its own.

One decision costs milliseconds of which Python holds its lock for half; threads would not shorten ten thousand.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context, parent_process
from pathlib import Path

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.backtest import Recorded, Turned, turned
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.verdict import findings_json
from evoguard.errors import ConfigError, EvoguardError, IntegrityError, UnavailableError
from evoguard.settings import Settings
from evoguard.views import past
from evoguard.wiring.reading import Reading
from evoguard.wiring.rulebook import bundle_in_force
from evoguard.wiring.state import open_state

Asked = list[tuple[int, Turned]]
"""The decisions of one page of the log: the place of each, and how it turns."""
AHEAD = 2
"""Pages that wait for each process: none is idle while another's page is counted."""


def policies(settings: Settings, bundle: Path | None) -> OpaWasmPolicies:
    """Return the rules of a bundle, by default the one in force. Raises: ConfigError, IntegrityError."""
    if bundle is not None and not bundle.is_dir():
        raise ConfigError(
            f"policy: {bundle} is not a folder with a bundle", code="policy.bundle",
            fix="`evoguard policy build SOURCES --out FOLDER` builds one",
        )  # fmt: skip
    if bundle is not None:
        return OpaWasmPolicies(folder=bundle)
    cache = settings.state / "policy-cache" if settings.state.is_dir() else None
    return OpaWasmPolicies(cache, loaded=bundle_in_force(settings))


async def again(rules: OpaWasmPolicies, one: Recorded) -> tuple[Turned, dict[str, Json]]:
    """Ask the same question again. No verdict is an answer here: it is what is asked about."""
    if one.question is None:
        return turned(one, None), {}
    try:
        decision = await rules.decide(one.stage, one.question)
    except EvoguardError as err:
        return turned(one, None, err.message), {}
    told: dict[str, Json] = {"allow": decision.allow, "quorum": decision.quorum}
    told |= {n: findings_json(getattr(decision, n)) for n in ("deny", "escalate", "notes")}
    return turned(one, decision), told


class Asker:
    """The rules and the log, opened once, and what asks one page of it again."""

    def __init__(self, settings: Settings, bundle: Path | None) -> None:
        self.rules, self.opened = policies(settings, bundle), open_state(settings)

    async def ask(self, page: past.Page, since_ms: int) -> Asked:
        """Return how each decision of a page turns. Raises: IntegrityError."""
        rows = past.decisions(Reading(self.opened), page, since_ms)
        return [(place, (await again(self.rules, one))[0]) async for place, one in rows]

    async def pages(self, page: past.Page, since_ms: int) -> AsyncGenerator[Asked, None]:
        """Yield how the decisions of this page and of all behind it turn, asked by this process alone."""
        while page:
            yield await self.ask(page, since_ms)
            page = await past.page(Reading(self.opened), after=page[-1][0])


async def turns(asker: Asker, bundle: Path | None, since_ms: int, after: int) -> AsyncGenerator[Asked, None]:
    """Yield how the decisions behind a place in the log turn, page by page in their order.

    What is more than one page is asked by as many processes as there are processors.
    Raises: IntegrityError; UnavailableError when a process that asked has ended.
    """
    reader, cores = Reading(asker.opened), len(os.sched_getaffinity(0))
    page = await past.page(reader, after=after)
    if cores == 1 or len(page) < past.PAGE:
        async for asked in asker.pages(page, since_ms):
            yield asked
        return
    waiting: deque[Future[Asked]] = deque()
    given = (asker.opened.settings, bundle, asker.rules.digest)
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _mind)
    try:
        while page or waiting:
            while page and len(waiting) < AHEAD * cores:
                waiting.append(pool.submit(_ask, *given, page, since_ms))
                page = await past.page(reader, after=page[-1][0])
            yield await asyncio.wrap_future(waiting.popleft())
    except BrokenProcessPool as err:
        raise UnavailableError("policies", "a process that asked past decisions again has ended") from err
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _mind() -> None:
    """End with the process that asked for this one, however it ends: the queue's own end would never be seen here."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


_mine: list[tuple[Asker, asyncio.Runner]] = []
"""What a process that asks holds from its first page on."""


def _ask(settings: Settings, bundle: Path | None, digest: Digest, page: past.Page, since_ms: int) -> Asked:
    if not _mine:
        _mine.append((Asker(settings, bundle), asyncio.Runner()))
    asker, runner = _mine[0]
    if asker.rules.digest != digest:
        raise IntegrityError("policies: other rules came into force while past decisions were asked again",
                             code="integrity.policies")  # fmt: skip
    # The question stays here: nobody counts it, and it is most of what there is to carry.
    return [
        (place, replace(one, recorded=replace(one.recorded, question=None)))
        for place, one in runner.run(asker.ask(page, since_ms))
    ]
