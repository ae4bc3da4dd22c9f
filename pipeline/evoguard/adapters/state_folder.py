"""The state folder: made with the right modes, and refused when it could be somebody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from evoguard.adapters import durable, latch_files
from evoguard.errors import ConfigError

LAYOUT = 1
VERSION_BYTES = 64
_INSIDE = ("keys", "artifacts", "repos")


def create(folder: Path) -> None:
    """Make the folder and all in it but the database. Raises: ConfigError when it exists already or is unsafe."""
    os.umask(0o077)
    if (folder / "VERSION").exists():
        raise ConfigError(
            f"{folder} is an evoguard state already", code="state.exists", fix="use it, or pass --state DIR"
        )
    _outside_git(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name in _INSIDE:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        latch_files.prepare(folder / "kill")
        durable.write(folder, "VERSION", f"{LAYOUT}\n".encode(), mode=0o600)
    except OSError as err:
        raise ConfigError(
            f"{folder} cannot be made: {err.strerror}", code="state.unwritable", fix="pass --state DIR"
        ) from err


def check(folder: Path) -> None:
    """Prove that the folder is ours, private and of this version. Raises: ConfigError with the mend."""
    try:
        found = folder.stat()
        with (folder / "VERSION").open("rb") as file:
            version = file.read(VERSION_BYTES).strip()
    except OSError as err:
        raise ConfigError(f"there is no evoguard state in {folder}", code="state.missing",
                          fix="run `evoguard init`, or pass --state DIR") from err  # fmt: skip
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise ConfigError(f"{folder} can be written by others", code="state.open", fix=f"chmod 700 {folder}")
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"{folder} belongs to another account", code="state.owner", fix="run as its owner")
    if not version.isdigit():  # of bytes: ASCII digits alone
        raise ConfigError(f"{folder / 'VERSION'} holds no version number", code="state.broken",
                          fix="restore it from a backup, or pass the right --state DIR")  # fmt: skip
    if int(version) > LAYOUT:
        raise ConfigError(f"{folder} was written by a newer evoguard", code="state.newer", fix="upgrade evoguard")
    _outside_git(folder)


def _outside_git(folder: Path) -> None:
    """A state inside a work tree could be committed, or be changed by the changes that it guards.

    Both ways are walked: the one that was named, and the one that its links lead to.
    """
    try:
        real = folder.resolve()
    except (OSError, RuntimeError) as err:
        raise ConfigError(f"{folder} leads nowhere", code="state.missing", fix="pass --state DIR") from err
    for parent in (folder, *folder.parents, real, *real.parents):
        if (parent / ".git").exists():
            raise ConfigError(f"{folder} is inside the git work tree {parent}", code="state.in_git",
                              fix="put the state folder outside every repository") from None  # fmt: skip
