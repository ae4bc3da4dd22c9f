"""Known vulnerabilities, from a database that somebody imported; the guard fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from evoguard.domain.canonical import Json

Package = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Advice:
    """What a database says of some packages. Only `present` says anything; `damaged`: it is not what was imported."""

    status: Literal["present", "none", "damaged"]
    digest: str = ""
    imported: int = 0
    """Unix seconds, as is `newest`: the last change of any of its entries."""
    newest: int = 0
    entries: int = 0
    rows: Mapping[Package, Sequence[Mapping[str, Json]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Return which database was asked, without what it said."""
        return {
            "status": self.status, "digest": self.digest, "imported": self.imported, "newest": self.newest,
            "entries": self.entries,
        }  # fmt: skip


class Advisories(Protocol):
    """One database, whole or not at all: it is proved against its digest at each use."""

    async def of(self, packages: Iterable[Package]) -> Advice:
        """Return what is known of packages (ecosystem, name). Raises: UnavailableError when the disk refuses."""


class NoAdvisories:
    """Where nobody imported a database: that there is none is said, and judged."""

    async def of(self, packages: Iterable[Package]) -> Advice:
        """Return that there is none."""
        del packages
        return Advice("none")
