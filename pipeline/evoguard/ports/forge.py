"""Git as the guard sees it: objects to read, and release refs moved by compare-and-swap only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from evoguard.domain.change import CommitId, Diff, TreeId


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of a tree: git mode (`100644`, `100755`, `120000`) and exact bytes."""

    mode: str
    data: bytes


class Sources(Protocol):
    """Read-only access to fetched objects; nothing is checked out, no filter or hook ever runs."""

    async def diff(self, repo: str, base: CommitId, head: CommitId) -> Diff:
        """Return what `head` changes against `base`, bounded; raises InputError for names that may not exist."""

    async def file(self, repo: str, commit: CommitId, path: str) -> bytes | None:
        """Return one file's bytes (at most 1 MiB), or None when the commit has no such file."""

    async def files(self, repo: str, commit: CommitId) -> Mapping[str, Blob]:
        """Return every file of the tree. Raises: InputError beyond 20,000 files or 200 MB, or for unsafe names."""


@dataclass(frozen=True, slots=True)
class ReleaseRefs:
    """Where a component's refs stand; an empty text means the ref does not exist."""

    tip: str = ""
    known_good: str = ""
    previous: str = ""
    rollout: str = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """A commit to publish: its tree is exactly `tree`, on top of `base`, decided under `epoch`. `at` is unix s."""

    repo: str
    component: str
    branch: str
    change: str
    base: CommitId
    head: CommitId
    tree: TreeId
    message: str
    at: int
    epoch: int


class Forge(Protocol):
    """Release refs. Every move is one transaction that also verifies the kill epoch."""

    async def refs(self, repo: str, component: str, branch: str) -> ReleaseRefs:
        """Return where the component's refs stand now."""

    async def publish(self, what: Publication) -> CommitId:
        """Publish by compare-and-swap on the approved base; publishing the same thing again returns the same commit.

        Raises: FencedError when the branch moved (`fenced.base_moved`) or a kill raised the epoch (`fenced.epoch`).
        """

    async def promote(self, what: Publication, commit: CommitId) -> None:
        """Make `commit` the known-good of the component and close its rollout ref. Raises: FencedError as publish."""

    async def revert(self, repo: str, component: str, branch: str, *, reason: str) -> CommitId | None:
        """Bring the branch's tree back to known-good by a revert commit; None when there is nothing to revert.

        Reverting twice is reverting once. It only goes down, so it needs no epoch.
        """

    async def retreat(self, repo: str, component: str, branch: str, *, killed: str, reason: str) -> CommitId | None:
        """Take back a finished release that was killed: tree and known-good are those of the release before it.

        None when `killed` is not known-good, when something newer is rolled out, or when nothing was before it.
        """
