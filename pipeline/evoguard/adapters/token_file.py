"""A token in a file: the one way in which a token of another server is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from evoguard.errors import ConfigError

MOST_BYTES = 4_096


def read(path: str, setting: str, code: str) -> str:
    """Return the token in the file that a setting names, without the white space around it.

    A link is followed, as where a cluster mounts its secrets; what is looked at is the file that was opened.

    Raises: ConfigError with this code when the file cannot be read, when it is no plain file, when others may read
    it, and when it holds more than `MOST_BYTES`, nothing, or what is no printable ASCII.
    """
    fix = f"put the token alone into a file of mode 0600 and name it in `{setting}`"
    try:
        # Not to wait for a writer, should the path be a pipe.
        handle = os.open(Path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            held = file.read(MOST_BYTES + 1) if stat.S_ISREG(mode) else b""
        token = held.decode("ascii").strip()
    except (OSError, ValueError) as err:
        raise ConfigError(f"{setting} cannot be read", code=code, fix=fix) from err
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{setting} can be read by others", code=code, fix=fix)
    if len(held) > MOST_BYTES or not token or not token.isprintable():
        raise ConfigError(f"{setting} holds no token", code=code, fix=fix)
    return token
