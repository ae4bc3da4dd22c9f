"""A look for known faults in what a change adds; no code of it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from evoguard.domain.scan import Scan
from evoguard.ports.forge import Blob


class Scanner(Protocol):
    """Reads hostile files, so it works in a sandbox like everything that does."""

    async def scan(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]
    ) -> Scan:
        """Return what is new in the changed files, pairs of (path at the base or empty, path now).

        What could not be looked at is part of the answer. Raises: UnavailableError when no sandbox could be started.
        """
