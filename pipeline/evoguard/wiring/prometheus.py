"""The Prometheus source, wired: the flag server names the rollout and takes the batches, files keep what was told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from evoguard.adapters import durable
from evoguard.domain.canonical import Json
from evoguard.edge.flagging import view
from evoguard.edge.settings import tokens_of
from evoguard.prometheus.asking import Prometheus, fetched, open_session
from evoguard.prometheus.counting import UncountedError
from evoguard.prometheus.keeping import Keeper
from evoguard.prometheus.settings import SourceSettings, load
from evoguard.prometheus.source import Look, Source


async def once(file: Path, *, dry: bool) -> Look:
    """Look once. With `dry` nothing is posted or kept. Raises: InputError, ConfigError, UnavailableError."""
    async with opened(load(file), dry=dry) as source:
        return await source.look(_now_ms())


async def follow(file: Path, stop: asyncio.Event, say: Callable[[Look], None], *, dry: bool) -> None:
    """Look again and again until `stop`. Raises: as `once`."""
    async with opened(load(file), dry=dry) as source:
        await source.run(stop, _now_ms, say)


@asynccontextmanager
async def opened(settings: SourceSettings, *, dry: bool) -> AsyncIterator[Source]:
    """Yield the source of these settings, alone with its state folder. Raises: InputError, ConfigError."""
    tokens = tokens_of(settings.tokens)
    keeper = Keeper(settings.state, None if dry else _write)
    with keeper.alone():
        async with open_session() as http:
            guard = _Guard(settings, http, tokens, dry=dry)
            yield Source(settings, Prometheus(settings, http), keeper, guard.rollout, guard.post)


class _Guard:
    """The flag server, as a client that may read flags and post batches."""

    def __init__(
        self, settings: SourceSettings, http: aiohttp.ClientSession, tokens: Mapping[str, str], *, dry: bool
    ) -> None:
        self._settings = settings
        self._http = http
        self._tokens = tokens
        self._dry = dry

    async def rollout(self) -> str:
        """Return the change that the flag serves, empty while it serves none. Raises: UncountedError."""
        s = self._settings
        url, token = f"{s.guard}/api/client/features/{s.flag}", self._tokens["flags.read"]
        status, raw = await fetched(self._http, url, timeout_s=s.timeout_s, given={}, token=token)
        if status == 404:
            return ""
        try:
            seen = view(json.loads(raw)) if status == 200 else None
        except (ValueError, RecursionError):
            seen = None
        if seen is None:
            raise UncountedError("guard", f"the flag server does not say what is rolled out ({status})")
        if not seen.on(time.time()):
            return ""
        if seen.component != s.component:
            raise UncountedError("guard", f"the flag is of another component: {seen.component[:80]}")
        return seen.change

    async def post(self, body: Mapping[str, Json]) -> int:
        """Return the status of the door's answer, 0 without one; a dry run asks nobody."""
        if self._dry:
            return 202
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        headers = {"Authorization": self._tokens["kpi.write"]}
        try:
            async with self._http.post(
                f"{self._settings.guard}/kpi", json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0


def _write(folder: Path, name: str, raw: bytes) -> None:
    durable.write(folder, name, raw, mode=0o600, replace=True)


def _now_ms() -> int:
    return int(time.time() * 1_000)
