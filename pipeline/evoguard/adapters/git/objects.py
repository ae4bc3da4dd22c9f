"""Objects of our own repositories, read through GitPython: by id, by size first, one persistent `cat-file` a batch.

GitPython is opened on our bare repositories only, never on a submitter's, and with the same environment as every git.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evoguard.adapters.git.runner import ENVIRONMENT, SETTINGS
from evoguard.errors import UnavailableError

if TYPE_CHECKING:
    from git import Repo

_SILENCED = {"GIT_CONFIG_COUNT": "0", "GIT_CONFIG_PARAMETERS": "", "GIT_ALTERNATE_OBJECT_DIRECTORIES": ""}
"""What GitPython would inherit from the operator's environment and this must not read."""


class Objects:
    """One open repository of ours; single-threaded, for as long as one question takes."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo

    def blob(self, oid: str) -> bytes:
        """Return a blob's exact bytes; ask for its size first. Raises: UnavailableError when it cannot be read."""
        found, kind, _, data = self._repo.git.get_object_data(oid)
        if (_text(found), _text(kind)) != (oid, "blob"):
            raise UnavailableError("git", f"object {oid[:12]} is not the file it should be")
        return data

    def find(self, commit: str, path: str) -> tuple[str, int, str] | None:
        """Return id, size in bytes and git mode of the file at `path` in a commit, or None when there is no file."""
        try:
            entry = self._repo.commit(commit).tree / path
        except KeyError:
            return None
        return (entry.hexsha, entry.size, f"{entry.mode:06o}") if entry.type == "blob" else None


def _text(header: str | bytes) -> str:
    """Return a header field as text; GitPython promises text and gives the pipe's bytes."""
    return header.decode("ascii") if isinstance(header, bytes) else header


@contextlib.contextmanager
def open_objects(repository: Path) -> Iterator[Objects]:
    """Open a repository of ours and close it again. Raises: UnavailableError when it cannot be read."""
    from git import Repo
    from git.exc import GitError, ODBError

    try:
        with Repo(repository) as repo:
            repo.git.update_environment(**ENVIRONMENT, **_SILENCED, GIT_DIR=str(repository))
            repo.git.set_persistent_git_options(c=list(SETTINGS))
            yield Objects(repo)
    except (GitError, ODBError, OSError, ValueError) as err:
        raise UnavailableError("git", f"{repository.name} cannot be read") from err


def read_blobs(repository: Path, oids: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of each blob by id, each read once. Raises: UnavailableError when one cannot be read."""
    with open_objects(repository) as objects:
        return {oid: objects.blob(oid) for oid in dict.fromkeys(oids)}
