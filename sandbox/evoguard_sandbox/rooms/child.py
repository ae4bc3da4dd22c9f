"""A child process on an event loop, that can be given up at any moment.

asyncio's own `create_subprocess_exec` waits for ever when it is cancelled while it connects the pipes (seen with Python
3.11.7), so the process is started here and only its pipes and its end are given to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence


class Child:
    """One process; `mute` gives it no pipes. Who makes one must call `end`."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        first: Callable[[], None] | None = None,
        passed: tuple[int, ...] = (),
        mute: bool = False,
    ) -> None:
        way = subprocess.DEVNULL if mute else subprocess.PIPE
        self._process = subprocess.Popen(
            argv,
            stdin=way,
            stdout=way,
            stderr=way,
            env=dict(env),
            preexec_fn=first,  # noqa: PLW1509  (it asks the kernel only and takes no lock)
            pass_fds=passed,
            bufsize=0,
        )
        self._transports: list[asyncio.BaseTransport] = []

    async def streams(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]:
        """Return its standard input, output and error."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101, PT018
        loop = asyncio.get_running_loop()
        readers = []
        for pipe in (process.stdout, process.stderr):
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            self._transports.append((await loop.connect_read_pipe(lambda p=protocol: p, pipe))[0])  # type: ignore[misc]
            readers.append(reader)
        mixin = asyncio.streams.FlowControlMixin
        transport, flow = await loop.connect_write_pipe(mixin, process.stdin)
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, flow, None, loop), readers[0], readers[1]

    async def ended(self) -> int:
        """Return its exit status once it is over; negative is a signal."""
        while (status := self._process.poll()) is None:
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            try:
                handle = os.pidfd_open(self._process.pid)
            except ProcessLookupError:
                continue
            try:
                loop.add_reader(handle, over.set)
                await over.wait()
            finally:
                loop.remove_reader(handle)
                os.close(handle)
        return status

    async def end(self) -> None:
        """Kill it when it runs, collect it, and close its pipes."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.ended()
        for transport in self._transports:
            if not transport.is_closing():
                transport.abort() if isinstance(transport, asyncio.WriteTransport) else transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
