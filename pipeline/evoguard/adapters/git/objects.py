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
    from git import Git

_SILENCED = {"GIT_CONFIG_COUNT": "0", "GIT_CONFIG_PARAMETERS": "", "GIT_ALTERNATE_OBJECT_DIRECTORIES": ""}
"""What GitPython would inherit from the operator's environment and must not reach git."""


class Objects:
    """The objects of one repository of ours; single-threaded, for as long as one question takes."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def blob(self, oid: str) -> bytes:
        """Return a blob's exact bytes; ask for its size first. Raises: UnavailableError when it cannot be read."""
        found, kind, _, data = self._git.get_object_data(oid)
        if (_text(found), _text(kind)) != (oid, "blob"):
            raise UnavailableError("git", f"object {oid[:12]} is not the file it should be")
        return data


@contextlib.contextmanager
def open_objects(repository: Path) -> Iterator[Objects]:
    """Open a repository of ours and close it again. Raises: UnavailableError when it cannot be read."""
    from git import Git
    from git.exc import GitError

    git = Git(str(repository))
    own = {"GIT_DIR": repository, "GIT_COMMON_DIR": repository, "GIT_OBJECT_DIRECTORY": repository / "objects"}
    git.update_environment(**ENVIRONMENT, **_SILENCED, **{key: str(path) for key, path in own.items()})
    git.set_persistent_git_options(c=list(SETTINGS))
    try:
        yield Objects(git)
    except (GitError, OSError, ValueError) as err:
        raise UnavailableError("git", f"{repository.name} cannot be read") from err
    finally:
        git.clear_cache()


def read_blobs(repository: Path, oids: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of each blob by id, each read once. Raises: UnavailableError when one cannot be read."""
    with open_objects(repository) as objects:
        return {oid: objects.blob(oid) for oid in dict.fromkeys(oids)}


def _text(header: str | bytes) -> str:
    """Return a header field as text; GitPython promises text and gives the pipe's bytes."""
    return header.decode("ascii") if isinstance(header, bytes) else header
