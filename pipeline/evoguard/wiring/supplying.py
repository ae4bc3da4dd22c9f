"""The database of advisories over a state folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evoguard.adapters.advisories.store import OsvStore
from evoguard.domain.canonical import Json
from evoguard.ports.advisories import Advice
from evoguard.settings import Settings


def take(settings: Settings, source: Path, now_s: int) -> Mapping[str, Json]:
    """Import a database, a zip or a folder, and use it from now on. Raises: InputError, UnavailableError."""
    return OsvStore(settings.advisories_dir).take(source, now_s)


def in_use(settings: Settings) -> Advice:
    """Return which database is in use, proved, without what it says. Raises: UnavailableError."""
    return OsvStore(settings.advisories_dir).look_up(frozenset())
