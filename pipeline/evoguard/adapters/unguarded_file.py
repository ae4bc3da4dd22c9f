"""The operator's features document as a file of the state folder; a regular file, bounded, read when it changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from evoguard.errors import UnavailableError

MOST_BYTES = 2 << 20


class UnguardedFile:
    """Reads a file that is replaced now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: tuple[tuple[int, int, int], bytes] | None = None

    def newest(self) -> bytes | None:
        """Return the file's bytes, the very same object while nothing changed; None when there is no file.

        One byte more than is allowed is read, so that whoever parses it sees that it is too large.
        Raises: UnavailableError `unavailable.unguarded` when it is there and cannot be read.
        """
        try:
            opened = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            with os.fdopen(opened, "rb") as file:
                now = os.fstat(opened)
                if not stat.S_ISREG(now.st_mode):
                    raise UnavailableError("unguarded", f"{self._path.name} is not a file")
                mark = (now.st_ino, now.st_mtime_ns, now.st_size)
                if self._held is None or self._held[0] != mark:
                    self._held = (mark, file.read(MOST_BYTES + 1))
                return self._held[1]
        except FileNotFoundError:
            self._held = None
            return None
        except OSError as err:
            raise UnavailableError("unguarded", f"{self._path.name} cannot be read: {err.strerror}") from err
