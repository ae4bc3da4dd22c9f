"""A long-running process: its log, its signals, and its end when the one that serves it is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from evoguard.cli.text import shown
from evoguard.errors import InputError

SERVED_BY = "EVOGUARD_SERVED_BY"
"""Set by `evoguard serve` to its process id: its processes end when it does, however it ends."""
_PR_SET_PDEATHSIG = 1
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _OneLine(logging.Formatter):
    """Log lines that nothing in them can break or colour; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        record.message = shown(record.message)
        return super().formatMessage(record)


def log_to_stderr(level: str) -> None:
    """Send log lines of ours to stderr. Raises: InputError for an unknown level."""
    if level not in _LEVELS:
        raise InputError("a log level is debug, info, warning or error", code="usage", fix="--log-level info")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("evoguard").setLevel(_LEVELS[level])


async def until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work` with an event that SIGTERM or SIGINT sets; a second signal ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def ask(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)
    await work(stop)


def end_with_parent() -> None:
    """Have the kernel end this process with the `serve` that started it; without one, do nothing."""
    parent = os.environ.get(SERVED_BY, "")
    if not parent:
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != parent:
        raise SystemExit(0)
