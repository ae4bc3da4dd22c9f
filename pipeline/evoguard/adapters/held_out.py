"""Held-out tests: kept where no agent reads them, given to the sandbox alone. Nothing of them is ever told.

The folder of the setting `held_out` holds one folder a repository (its id, as `evoguard show` has it); a file below it
is laid over the candidate's tree at the same path. Source: docs/adr/0005-the-verdict.md
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from evoguard.errors import ConfigError

MOST_FILES, MOST_BYTES = 2_000, 16 << 20


class HeldOut:
    """One folder, readable by the guard's own account alone; an empty path means that there are no held-out tests."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder) if folder else None
        if self._folder is not None:
            _private(self._folder)

    def there(self, repo: str) -> bool:
        """Tell whether a repository has held-out tests."""
        return self._folder is not None and (self._folder / repo).is_dir()

    def files(self, repo: str) -> Mapping[str, tuple[int, bytes]]:
        """Return a repository's held-out files by their path in the tree.

        Raises: ConfigError when others could have read them, or for a link or anything that is no plain file.
        """
        if self._folder is None or not self.there(repo):
            return {}
        found: dict[str, tuple[int, bytes]] = {}
        for here, _, names in os.walk(self._folder / repo):
            _private(Path(here))
            for name in sorted(names):
                path = Path(here, name)
                seen = path.lstat()
                if not stat.S_ISREG(seen.st_mode):
                    raise _bad(path, "is not a plain file", "put the file itself there")
                found[path.relative_to(self._folder / repo).as_posix()] = (0o100644, path.read_bytes())
        if len(found) > MOST_FILES or sum(len(data) for _, data in found.values()) > MOST_BYTES:
            raise _bad(self._folder / repo, f"holds more than {MOST_FILES} files or 16 MiB", "keep tests only")
        if not found:
            raise _bad(self._folder / repo, "is empty", "put tests there, or remove the folder")
        return found


def _private(folder: Path) -> None:
    try:
        seen = folder.stat()
    except OSError as err:
        raise _bad(folder, f"cannot be read: {err.strerror}", "correct the setting `held_out`") from err
    if not stat.S_ISDIR(seen.st_mode) or seen.st_mode & 0o077 or seen.st_uid != os.geteuid():
        raise _bad(folder, "can be read by other accounts, or is no folder of this one", f"chmod -R go= {folder}")


def _bad(path: Path, why: str, fix: str) -> ConfigError:
    return ConfigError(f"the held-out tests: {path} {why}", code="held_out.invalid", fix=fix)
