"""Versions that the edge starts: each in a process namespace of its own, healthy before anybody meets it.

The edge holds the listening socket and hands it over, so no version can take the address of another that died. A
namespace ends with its first process, and that with the edge: whatever a version forks or detaches ends as well.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from evoguard.edge.cost import below, cpu_s
from evoguard.edge.start_settings import COMMIT, UIDS, StartSettings
from evoguard.errors import InputError, UnavailableError

log = logging.getLogger(__name__)
BACKOFF_S = (0.1, 0.3, 1.0, 3.0, 10.0)
STEADY_S = 10.0
"""One that lived for less failed, also when it was healthy."""
TRIES = 3
"""So many failed starts on end, and its users count as failed; it is started on, at the longest wait."""
MOST_RUNNING = 6
CHUNK, PAUSE_S, TAIL = 65_536, 0.05, 2_000
"""Output is read at 1.3 MB/s at most: one that floods waits, not the edge. Its end is kept for the log."""
PROBE_S, PROBE_EVERY_S = 1.0, 0.05
PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(slots=True)
class Version:
    """One commit as a process."""

    commit: str
    uid: int
    url: str = ""
    """Its address, another one after each start."""
    ready: bool = False
    met: bool = False
    """It was healthy once, or is given up: what its users see counts from now on."""
    starts: int = 0
    cpu_s: float = 0.0
    """Processor time of the processes that ended; of the one that runs, see `spent_s`."""
    pid: int = 0
    tail: bytes = b""
    unwanted_at: float = 0.0
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def spent_s(self) -> float:
        """Return the processor time that it used, as far as the kernel still tells."""
        return self.cpu_s + (cpu_s(self.pid) if self.pid else 0.0)


class Started:
    """The versions that somebody wants, kept running with a growing wait between starts."""

    def __init__(
        self, settings: StartSettings, *, linger_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._linger_s = linger_s
        self._clock = clock
        self._running: dict[str, Version] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._next = 0
        self._tools = _tools()
        if os.geteuid() and not settings.shared_user:
            text = "without root a version runs as the edge's user and can read its tokens"
            raise InputError(text, code="edge.start", fix="run the edge as root, or say `shared_user = true`")

    async def open(self, commit: str) -> None:
        """Start known-good. Raises: UnavailableError when it does not get healthy in time."""
        self.want([commit])
        one = self._running.get(commit)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.ready_s + 5):
                while one is not None and not one.met:
                    await one.tried.wait()
                    one.tried.clear()
        if one is None or not one.ready:
            said = one.tail[-300:].decode(errors="replace") if one is not None else "it has no command"
            raise UnavailableError("edge", f"known-good did not get healthy: {said}", fix="look at [start]")

    def ready(self, commit: str) -> bool:
        """Tell whether it answers now."""
        return commit in self._running and self._running[commit].ready

    def met(self, commit: str) -> bool:
        """Tell whether what its users see counts: it was healthy once, or is given up."""
        return commit in self._running and self._running[commit].met

    def url(self, commit: str) -> str:
        """Return its address, empty while it is down."""
        one = self._running.get(commit)
        return one.url if one is not None and one.ready else ""

    def want(self, commits: Iterable[str]) -> None:
        """Start these if they do not run; others end when nobody has wanted them for a while."""
        wanted, now = set(commits), self._clock()
        for commit in sorted(wanted - set(self._running)):
            if len(self._running) < MOST_RUNNING and COMMIT.match(commit) and self._settings.of(commit):
                self._start(commit)
        for commit, one in list(self._running.items()):
            if commit in wanted:
                one.unwanted_at = 0.0
            elif not one.unwanted_at:
                one.unwanted_at = now
            elif now - one.unwanted_at >= self._linger_s:
                self._retire(commit)

    async def close(self) -> None:
        """End every version and wait for it."""
        for commit in list(self._running):
            self._retire(commit)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def as_json(self) -> list[dict[str, object]]:
        """Return what runs."""
        return [
            {"commit": one.commit, "ready": one.ready, "uid": one.uid, "starts": one.starts, "cpu_s": one.spent_s()}
            for one in self._running.values()
        ]

    def _start(self, commit: str) -> None:
        one = Version(commit, self._settings.first_uid + self._next % UIDS)
        self._next += 1
        one.task = asyncio.create_task(self._keep(one))
        self._running[commit] = one

    def _retire(self, commit: str) -> None:
        one = self._running.pop(commit)
        one.ready = False
        if one.task is not None:
            one.task.cancel()
            self._ending.add(one.task)
            one.task.add_done_callback(self._ending.discard)

    async def _keep(self, one: Version) -> None:
        """Start it, and again whenever it ends, until cancelled."""
        failures = 0
        while True:
            began = self._clock()
            try:
                # closed only when its process is gone: then what still waited there is cut off, not answered later
                with socket.create_server(("127.0.0.1", 0), backlog=128) as door:
                    healthy = await self._once(one, door)
            except OSError as err:
                healthy, one.tail = False, str(err).encode()
            failures = 1 if healthy and self._clock() - began >= STEADY_S else failures + 1
            one.met = one.met or failures >= TRIES
            one.tried.set()
            log.warning("version %s ended, start %d; it said last: %s", one.commit[:12], one.starts,
                        one.tail[-300:].decode(errors="replace"))  # fmt: skip
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S)) - 1])

    async def _once(self, one: Version, door: socket.socket) -> bool:
        """Run one process until it ends; tells whether it ever was healthy."""
        fd, one.url = door.fileno(), f"http://127.0.0.1:{door.getsockname()[1]}"
        words = [w.replace("{commit}", one.commit).replace("{fd}", str(fd)) for w in self._settings.of(one.commit)]
        process = await asyncio.create_subprocess_exec(
            *self._apart(one.uid), *words, pass_fds=(fd,), cwd="/", start_new_session=True,
            env={"PATH": PATH, "LANG": "C.UTF-8", **self._settings.environment},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        one.starts, one.pid, one.tail = one.starts + 1, process.pid, b""
        reading = asyncio.create_task(_read(one, process))
        ended = asyncio.create_task(process.wait())
        try:
            one.ready = await self._healthy(one, ended)
            one.met = one.met or one.ready
            one.tried.set()
            if one.ready:
                await asyncio.shield(ended)  # else who cancels us cancels the wait for its end as well
                return True
            return False
        finally:
            one.ready = False
            one.cpu_s, one.pid = one.spent_s(), 0
            log.info("version %s used %.2f s of processor time in %d starts", one.commit[:12], one.cpu_s, one.starts)
            # With its first process ends its namespace. Of one that has ended the number may be another's by now.
            for first in below(process.pid) if process.returncode is None else ():
                with suppress(ProcessLookupError):
                    os.kill(first, signal.SIGKILL)
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(ended)
            reading.cancel()

    async def _healthy(self, one: Version, ended: asyncio.Task[int]) -> bool:
        """Ask until it answers 200, ends, or the time is over."""
        until = self._clock() + self._settings.ready_s
        timeout = aiohttp.ClientTimeout(total=PROBE_S)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            while self._clock() < until and not ended.done():
                with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                    async with http.get(one.url + self._settings.health, allow_redirects=False) as answer:
                        if answer.status == 200:
                            return not ended.done()
                await asyncio.wait([ended], timeout=PROBE_EVERY_S)
        return False

    def _apart(self, uid: int) -> list[str]:
        """Return the words that put a command into a namespace, below a bound, without a right; util-linux's tools."""
        prlimit, setpriv, unshare = self._tools
        space = [unshare, "--pid", "--fork", "--kill-child", "--mount-proc"]
        less = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        user = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
        if os.geteuid():
            space, user, less = [*space[:1], "--user", "--map-current-user", *space[1:]], [], less[:1]
        most = str(self._settings.most_processes)
        limits = [f"--nproc={most}:{most}", "--core=0:0"]
        # The first process stays who it is: one that changes its user is no longer bound to its parent's end.
        first = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
        return [
            setpriv,
            "--pdeathsig",
            "KILL",
            "--",
            *space,
            "--",
            *first,
            prlimit,
            *limits,
            setpriv,
            *user,
            *less,
            "--",
        ]


async def _read(one: Version, process: asyncio.subprocess.Process) -> None:
    """Keep the end of what it prints; the rest is gone."""
    if process.stdout is None:
        return
    while part := await process.stdout.read(CHUNK):
        one.tail = (one.tail + part)[-TAIL:]
        await asyncio.sleep(PAUSE_S)


def _tools() -> tuple[str, str, str]:
    """Return the paths of prlimit, setpriv and unshare. Raises: InputError `edge.start`."""
    found = [shutil.which(name, path=PATH + ":/usr/sbin:/sbin") for name in ("prlimit", "setpriv", "unshare")]
    prlimit, setpriv, unshare = found
    if not (prlimit and setpriv and unshare):
        text = "prlimit, setpriv and unshare are needed to start versions"
        raise InputError(text, code="edge.start", fix="install util-linux")
    return prlimit, setpriv, unshare
