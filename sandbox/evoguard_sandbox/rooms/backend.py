"""The port behind which a sandbox is started: what every back-end promises, and what a sandbox is made for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from evoguard_sandbox.types import Behaviour, Egress, Limits, Usage

Mode = Literal["suite", "job", "python", "near", "far"]
"""What waits in it: a test runner, nothing, or one half of a split run (tests near, candidate far)."""


@dataclass(frozen=True, slots=True)
class Make:
    """What a sandbox is made for, known before its order is; a prepared one serves any order of the same make."""

    mode: Mode
    limits: Limits
    layer_dirs: tuple[Path, ...] = ()
    record_files: bool = False
    egress: tuple[tuple[str, int], ...] = ()
    """The hosts and ports that its way out leads to; none, and there is no way out."""


@dataclass(frozen=True, slots=True)
class Wires:
    """File descriptors of this process that the guest gets as its own 4 (to read) and 5 (to write)."""

    read_fd: int
    write_fd: int


class Running(Protocol):
    """One started sandbox. Everything it says is untrusted; what the host's kernel says of it is not."""

    name: str
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    limits_mode: str
    """Who holds the hard limits: "host", "engine" or "guest-only"."""

    async def ended(self) -> int:
        """Return the exit status of the whole sandbox once it is over."""

    async def remove(self, *, clean: bool) -> None:
        """End it when it runs and leave nothing of it; `clean` tells that it came to its own end."""

    def over_memory(self) -> bool:
        """Tell whether the host's kernel ended anything in it for want of memory."""

    def over_pids(self) -> bool:
        """Tell whether the host's kernel refused it a task."""

    def reached(self) -> tuple[str, ...]:
        """Return which of the guest's own limits the runtime saw to be reached; asked after `remove`."""

    def behaviour(self) -> Behaviour:
        """Return what was recorded outside the guest; asked after `remove`."""

    def usage(self) -> Usage:
        """Return what the host has counted so far."""

    def cut(self) -> str:
        """Return why the host itself ended the wires to another sandbox; empty when it did not."""

    def egress(self) -> tuple[Egress, ...]:
        """Return what the way out was asked for, allowed and denied; asked after `remove`."""

    def complaints(self) -> str:
        """Return the last words of the runtime itself, safe to show."""


class Backend(Protocol):
    """A way to start sandboxes that are gVisor. `pairs`: two sandboxes can be wired to each other."""

    name: str
    pairs: bool

    async def launch(self, name: str, make: Make, setup: str, wires: Wires | None = None) -> Running:
        """Start a sandbox whose PID 1 is the supervisor with `setup` as its argument.

        Raises: SandboxError when it cannot be started at all. One that starts and dies is a Running that ends.
        """
