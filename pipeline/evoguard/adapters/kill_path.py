"""The flag server asked whether it reads the very folder that kills are filed in, as it is now."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path

from evoguard.adapters import loopback
from evoguard.errors import EvoguardError, UnavailableError
from evoguard.ports.latches import Latches

ANSWER_S = 2.0
ANSWER_BYTES = 1 << 24
START = "start `evoguard serve`"


def place(folder: Path) -> str:
    """Return what a folder is, whatever its path: its device and number; "" for one that cannot be looked at."""
    try:
        found = os.stat(folder)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


class ServedKills:
    """Asks over HTTP, as an SDK would. `token` gives the token that may read flags."""

    def __init__(self, url: str, token: Callable[[], str], folder: Path, latches: Latches) -> None:
        self._url, self._token, self._folder, self._latches = url, token, folder, latches

    async def prove(self) -> None:
        """Return when the server reads our folder, has seen its newest kill, and knows its rows.

        Raises: UnavailableError (`unavailable.kill_path`).
        """
        await asyncio.to_thread(self._prove)

    def _prove(self) -> None:
        board = self._latches.board()  # before the server is asked: it must have seen at least as much
        served = self._served()
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise _not_armed("no kill can be filed: the kill folder cannot be written", "`evoguard doctor` says why")
        if not (own := place(self._folder)) or served.get("folder") != own:
            raise _not_armed("the flag server reads another kill folder", "serve with the state folder of this worker")
        epoch = served.get("epoch")
        if not isinstance(epoch, int) or epoch < board.epoch:
            raise _not_armed("the flag server has not seen the newest kill", START)
        if served.get("unreadable") or board.unreadable:
            raise _not_armed("a latch is unreadable, so everything is killed", "`evoguard doctor` names it")
        if served.get("known") is not True:
            raise _not_armed("the flag server knows no rows yet", START)

    def _served(self) -> Mapping[str, object]:
        try:
            url = f"{self._url}/internal/off"
            doc = json.loads(loopback.get(url, token=self._token(), wait_s=ANSWER_S, most=ANSWER_BYTES))
        except urllib.error.HTTPError as err:
            raise _not_armed(f"the flag server refused: {err.code}", START) from err
        except (OSError, ValueError, RecursionError, EvoguardError) as err:
            raise _not_armed("the flag server does not answer", START) from err
        if not isinstance(doc, dict):
            raise _not_armed("the flag server answers nonsense", START)
        return doc


def _not_armed(why: str, fix: str) -> UnavailableError:
    return UnavailableError("kill_path", f"no rollout starts: {why}", fix=fix)
