"""The guard's own bare repositories: where they are, what they may be called, how one is made."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters.git.quarantine import move_objects, remove_abandoned, sync
from evoguard.adapters.git.runner import Git, shown
from evoguard.errors import InputError

_FRESH = "new-"
_EVER = ("refs/evoguard/epoch", "refs/evoguard/branch", "packed-refs")
"""A repository of ours without any of these never had a publication, not even one that a crash cut short."""
_REPO = re.compile(r"[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{8}\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """A repository that may be new: then it has a temporary name, which nobody lists, until it is kept."""

    git: Git
    place: Path

    def keep(self) -> None:
        """Give a new repository its place; when another process was first, its objects join that one."""
        if self.git.git_dir == self.place:
            return
        try:
            os.rename(self.git.git_dir, self.place)
        except OSError:
            if not self.place.is_dir():
                raise
            move_objects(self.git.git_dir / "objects", self.place / "objects")
        sync(self.place.parent)


class Store:
    """The folder of all our bare repositories (`repos/<repo>.git`, each 0700)."""

    def __init__(self, repos_dir: Path) -> None:
        self.folder = repos_dir

    def path(self, repo: str) -> Path:
        """Return where a repository is or would be. Raises: InputError `repo.unknown` for any other name."""
        if not _REPO.match(repo):
            raise InputError(f"{shown(repo, 60)!r} names no repository", code="repo.unknown", fix="evoguard repos")
        return self.folder / f"{repo}.git"

    def git(self, repo: str) -> Git:
        """Return git in an existing repository. Raises: InputError `repo.unknown`."""
        path = self.path(repo)
        if not path.is_dir():
            raise InputError(f"nothing was fetched into {repo!r}", code="repo.unknown", fix="submit a change first")
        return Git(path)

    def repos(self) -> tuple[str, ...]:
        """Return the names of all repositories."""
        if not self.folder.is_dir():
            return ()
        names = (p.name.removesuffix(".git") for p in self.folder.iterdir() if p.name.endswith(".git"))
        return tuple(sorted(name for name in names if _REPO.match(name)))

    def released(self) -> tuple[str, ...]:
        """Return the repositories where something may have been published, and those that look broken.

        It is told from names alone, without git: what a sender may fill with thousands of mirrors never slows a kill.
        """
        return tuple(repo for repo in self.repos() if not _never_released(self.path(repo)))

    @contextlib.asynccontextmanager
    async def entry(self, repo: str) -> AsyncIterator[Entry]:
        """Give the repository, or a new one (bare, no template, no hooks) that is gone after the block unless kept.

        Raises: UnavailableError when git cannot make it.
        """
        place = self.path(repo)
        if place.is_dir():
            yield Entry(Git(place), place)
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_abandoned(self.folder, _FRESH)
        fresh = Path(tempfile.mkdtemp(prefix=_FRESH, dir=self.folder))
        try:
            await Git(fresh).ok("init", "--quiet", "--bare", "--template=", "--object-format=sha1", "--shared=0700")
            yield Entry(Git(fresh), place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _never_released(repository: Path) -> bool:
    """Tell whether a whole repository never had a publication; whatever cannot be told counts as one that had."""
    if not ((repository / "HEAD").is_file() and all((repository / name).is_dir() for name in ("objects", "refs"))):
        return False
    return all(_missing(repository / name) for name in _EVER)


def _missing(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
