"""What a change reaches and what the past says of its files, both from the guard's own copy of the repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from evoguard.domain.change import CommitId, Diff
from evoguard.domain.component import ComponentFile
from evoguard.domain.reach import Reach


@dataclass(frozen=True, slots=True)
class Past:
    """What the past says of some files; `known` is False where it is too long to tell."""

    fixes: int
    """Commits of 180 days that mend a fault in one of them."""
    young: bool
    """One of them is new, or younger than 7 days."""
    authors: int
    known: bool = True


class Impact(Protocol):
    """Reads objects; no code of them runs, and what cannot be told is named, never left out."""

    async def reach(self, repo: str, base: CommitId, head: CommitId, *, diff: Diff, rules: ComponentFile) -> Reach:
        """Return what `head` reaches beyond what it changes. Raises: InputError for names; UnavailableError."""

    async def past(
        self, repo: str, base: CommitId, paths: Iterable[str], *, now_s: int, authors: Mapping[str, str]
    ) -> Past:
        """Return what the commits behind `base` say of the files; `authors`: our own merges → who they are of.

        Raises: InputError for a commit that is not here; UnavailableError.
        """
