"""What takes a release back, made before anybody meets it and kept where no repository or database is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evoguard.domain.canonical import Digest
from evoguard.domain.flag import FlagState
from evoguard.domain.way_back import WayBack
from evoguard.errors import UnavailableError
from evoguard.ports.forge import Publication


class NoWayBackError(UnavailableError):
    """There is no revert bundle: nothing is widened, and what goes back goes by the refs alone."""

    def __init__(self, message: str) -> None:
        super().__init__("way_back", f"nothing is widened: {message}", fix="withdraw the change, then submit it again")


class WaysBack(Protocol):
    """Revert bundles: one for each release that is not over."""

    async def keep(self, what: Publication, commit: str, *, off: FlagState, digests: Mapping[str, str]) -> Digest:
        """Make the revert of a published commit ahead and store it signed, on the disk; twice is once.

        Raises: UnavailableError when it is not on the disk.
        """

    async def prove(self, digest: str, *, change: str, commit: str) -> WayBack:
        """Return the bundle that takes back exactly this release, proved now.

        Raises: NoWayBackError (`unavailable.way_back`) when there is none; IntegrityError (`way_back.*`) when it is
        not what was signed, or another release's.
        """

    async def take_back(self, digest: str, *, change: str, commit: str) -> str:
        """Put the revert made ahead on the branch and return the tip; `commit` itself when it became known-good.

        Twice is once; it only goes down, so it needs no epoch. Raises: as `prove`; FencedError `revert.conflict` when
        the branch was moved by another hand; UnavailableError (`unavailable.git`).
        """

    async def close(self, digest: str) -> None:
        """Forget the bundle of a release that is over; an unknown one stays so."""
