"""A real Unleash server, wired: the record of flags in front of it, and what keeps it at what the record says."""

from __future__ import annotations

import asyncio

from evoguard.adapters import token_file
from evoguard.adapters.sqlite.flags import SqliteFlagStore
from evoguard.adapters.unleash.admin import Unleash
from evoguard.adapters.unleash.flags import UnleashFlags
from evoguard.adapters.unleash.follow import Follower
from evoguard.domain.canonical import Json
from evoguard.domain.flag import FlagState
from evoguard.errors import EvoguardError, UnavailableError
from evoguard.flags import document
from evoguard.ports.flags import Flags
from evoguard.ports.kill_path import KillPath
from evoguard.ports.latches import Latches
from evoguard.settings import Settings

PROBE = "evoguard-kill-path"
"""No flag has this name: it is asked for to see that the server takes our token."""


def server(settings: Settings) -> Unleash | None:
    """Return the Unleash server of the settings, or None. Raises: ConfigError when it is named by halves."""
    if not settings.unleash_url:
        return None
    token = token_file.read(settings.unleash_token_file, "unleash_token_file", "flags.unleash_token")
    return Unleash(settings.unleash_url, token, project=settings.unleash_project,
                   environment=settings.unleash_environment)  # fmt: skip


def flags(settings: Settings, record: Flags, latches: Latches) -> Flags:
    """Return the record, or the record with the Unleash server of the settings behind it. Raises: ConfigError."""
    at = server(settings)
    return record if at is None else UnleashFlags(record, at, document.feature, latches)


def kill_path(settings: Settings, ours: KillPath) -> KillPath:
    """Return the proof of a kill's way, through the Unleash server as well if there is one. Raises: ConfigError."""
    at = server(settings)
    return ours if at is None else _BothPaths(ours, at)


def follower(settings: Settings, latches: Latches) -> Follower | None:
    """Return what keeps the Unleash server of the settings up to date, not begun. Raises: ConfigError."""
    at = server(settings)
    return None if at is None else Follower(at, _Documents(SqliteFlagStore(settings.database), latches))


class _BothPaths:
    """No rollout opens while either server could not be told of a kill."""

    def __init__(self, ours: KillPath, server: Unleash) -> None:
        self._ours, self._server = ours, server

    async def prove(self) -> None:
        """Return when both answer. Raises: UnavailableError."""
        await self._ours.prove()
        await asyncio.to_thread(self._server.served, PROBE)


class _Documents:
    """Every flag as it is served now; while the database is silent, the rows that it gave last under today's kills."""

    def __init__(self, store: SqliteFlagStore, latches: Latches) -> None:
        self._store, self._latches = store, latches
        self._states: tuple[FlagState, ...] | None = None

    def __call__(self) -> list[dict[str, Json]]:
        """Return them. Raises: UnavailableError while nothing was ever read."""
        try:
            self._states = self._store.rows()[1]
        except EvoguardError as err:
            if self._states is None:
                raise UnavailableError("unleash", "no flag was read yet: the database does not answer") from err
        board = self._latches.board()
        return [document.feature(state, board) for state in self._states or ()]
