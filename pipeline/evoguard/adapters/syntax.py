"""Python source read by Python's own parser, in a process of its own: it may die of what it reads, and then says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence

from evoguard.errors import UnavailableError
from evoguard.impact import syntax
from evoguard.impact.graph import Facts

WALL_S, MOST_STARTS = 20.0, 8
"""So long may the files of one change be read, in at most so many processes; what is left over is unread."""
_LINE_BYTES = 4 << 20
_COMMAND = (sys.executable, "-I", "-S", "-B", syntax.__file__)
UNREAD, DIED = "there was no time to read it", "its reader died of it"


class SyntaxReader:
    """Reads many files; every one is answered, if only with why it could not be read."""

    def __init__(self, *, wall_s: float = WALL_S) -> None:
        self._wall_s = wall_s

    async def read(self, files: Sequence[bytes]) -> list[Facts]:
        """Return what each file says, in order. Raises: UnavailableError when no process can be started."""
        until, found = time.monotonic() + self._wall_s, list[Facts]()
        for _ in range(MOST_STARTS):
            if len(found) < len(files) and time.monotonic() < until:
                found += await self._batch(files[len(found) :], until - time.monotonic())
                if len(found) < len(files) and time.monotonic() < until:
                    found.append(Facts(why=DIED, words=None))
        return found + [Facts(why=UNREAD, words=None)] * (len(files) - len(found))

    async def _batch(self, files: Sequence[bytes], wall_s: float) -> list[Facts]:
        """Return what was answered before the process ended, by itself or by the clock."""
        found: list[Facts] = []
        try:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin"}, cwd="/", limit=_LINE_BYTES,
                start_new_session=True,
            )  # fmt: skip
        except OSError as err:
            raise UnavailableError("impact", "no process can be started to read files") from err
        feeding = asyncio.create_task(_feed(process, files))
        try:
            async with asyncio.timeout(wall_s):
                while len(found) < len(files) and process.stdout and (line := await process.stdout.readline()):
                    found.append(_facts(line))
        except (TimeoutError, ValueError, KeyError, TypeError):  # out of time, or an answer that is none
            pass
        finally:
            feeding.cancel()
            await asyncio.shield(_end(process, feeding))
        return found


async def _feed(process: asyncio.subprocess.Process, files: Sequence[bytes]) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for raw in files:
            kept = raw[: 4 * syntax.MOST_BYTES + 1]  # enough to see that it is too large, and which words it holds
            process.stdin.write(b"%d\n" % len(kept) + kept)
            await process.stdin.drain()
        process.stdin.close()


async def _end(process: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.gather(feeding, return_exceptions=True)
    while process.stdout is not None and await process.stdout.read(1 << 16):  # its end is seen when its pipe's is
        pass
    await process.wait()


def _facts(line: bytes) -> Facts:
    """Return what a line says. Raises: ValueError, KeyError or TypeError for anything but one answer."""
    doc = json.loads(line)
    imports = tuple((int(level), str(module), tuple(map(str, names))) for level, module, names in doc["imports"])
    symbols = {str(name): str(digest) for name, digest in doc["symbols"].items()}
    words = None if doc["words"] is None else frozenset(map(str, doc["words"]))
    return Facts(imports, symbols, str(doc["why"]), words)
