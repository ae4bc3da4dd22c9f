"""The guard's own bare repositories: where they are, what they may be called, how one is made."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from evoguard.adapters.git.runner import Git, shown
from evoguard.errors import InputError

_REPO = re.compile(r"[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{8}\Z")


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

    async def ensure(self, repo: str) -> Git:
        """Make the repository when it is missing: bare, no template, no hooks. A crash leaves a whole one or none.

        Raises: UnavailableError when git cannot make it.
        """
        path = self.path(repo)
        if not path.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
            try:
                await Git(fresh).ok("init", "--quiet", "--bare", "--template=", "--object-format=sha1", "--shared=0700")
                _rename_unless_there(fresh, path)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return Git(path)


def _rename_unless_there(fresh: Path, path: Path) -> None:
    try:
        os.rename(fresh, path)
    except OSError:
        if not path.is_dir():  # another process made it first
            raise
