"""`evoguard serve`: processes side by side, started again with growing waits, ended together."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evoguard.cli.process import SERVED_BY

log = logging.getLogger("evoguard.serve")
WAITS_S = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0)
HEALTHY_S = 30.0
"""A process that lived this long starts again at once."""
END_S = 6.0
"""How long a process may take to end before it is killed; each may be killed at any line."""

Tell = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True, slots=True)
class Child:
    """One process: its name and its verb."""

    name: str
    words: tuple[str, ...]
    state: Path
    log_level: str

    def command(self) -> list[str]:
        """Return the command line."""
        return [
            sys.executable,
            "-m",
            "evoguard",
            "--state",
            str(self.state),
            *self.words,
            "--log-level",
            self.log_level,
        ]


class Supervisor:
    """Keeps every child running until it is told to stop. `tell`, when given, is told every start and end."""

    def __init__(self, children: tuple[Child, ...], *, tell: Tell | None = None) -> None:
        self._children = children
        self._tell = tell

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`, then end every process."""
        await asyncio.gather(*(self._keep(child, stop) for child in self._children))

    async def _keep(self, child: Child, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            code = await self._once(child, stop)
            if stop.is_set():
                return
            failures = 0 if time.monotonic() - began > HEALTHY_S else failures + 1
            pause_s = WAITS_S[min(failures, len(WAITS_S) - 1)]
            log.warning("serve.ended process=%s exit=%s restart_s=%s", child.name, code, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def _once(self, child: Child, stop: asyncio.Event) -> int:
        process = await asyncio.create_subprocess_exec(
            *child.command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr,
            env={**os.environ, SERVED_BY: str(os.getpid())},
            start_new_session=True,  # a Ctrl-C at the terminal reaches us alone; we end them in order
        )
        log.info("serve.started process=%s pid=%s", child.name, process.pid)
        self._say(process=child.name, event="started", pid=process.pid)
        ended, asked = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not ended.done():
            await _end(process, ended)
        code = await ended
        self._say(process=child.name, event="ended", pid=process.pid, exit=code)
        return code

    def _say(self, **what: object) -> None:
        if self._tell is not None:
            self._tell(what)


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ended), END_S)
        return
    with suppress(ProcessLookupError):
        process.kill()
