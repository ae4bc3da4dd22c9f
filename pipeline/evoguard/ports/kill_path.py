"""Whether a kill would be served at once."""

from __future__ import annotations

from typing import Protocol


class KillPath(Protocol):
    """The way from a kill to what users meet."""

    async def prove(self) -> None:
        """Return when a kill that is filed now would be served at once.

        Raises: UnavailableError (`unavailable.kill_path`) saying what is missing, with the mend.
        """
