"""What the supervisor sends back of the tree once its order is over, where the order asks for some of it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable

UID, TREE = 65534, "/room/tree"
CHUNK = 1 << 16


def hand_over(put: Callable[[bytes, bytes], None], paths: list[str], most_files: int, most_bytes: int) -> str:
    """Send the ordered files and folders of the tree: regular files with one name only; return what was left out.

    Every process of the order is dead, and this one reads with the test uid's rights. The host checks all of it again.
    """
    os.setegid(UID)
    os.seteuid(UID)
    left, files, omitted = most_bytes, 0, ""
    for start_at in paths:
        for whole in walk(f"{TREE}/{start_at}"):
            try:
                handle = os.open(whole, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as err:
                omitted = omitted or f"{whole[len(TREE) + 1 :]}: {err.strerror}"
                continue
            seen = os.fstat(handle)
            if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
                omitted = omitted or f"{whole[len(TREE) + 1 :]}: not a plain file"
            elif seen.st_size > left or files >= most_files:
                omitted = omitted or f"{whole[len(TREE) + 1 :]}: more than the bound allows"
            else:
                files, left = files + 1, left - seen.st_size
                told = {"path": whole[len(TREE) + 1 :], "exec": bool(seen.st_mode & 0o100)}
                put(b"A", json.dumps(told).encode())
                while data := os.read(handle, CHUNK):
                    put(b"B", data)
            os.close(handle)
    return omitted


def walk(top: str) -> list[str]:
    """Return the files at or below a place, in order; a link is never followed into a folder."""
    if not os.path.isdir(top) or os.path.islink(top):
        return [top]
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)
