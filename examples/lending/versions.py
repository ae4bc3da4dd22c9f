"""Version processes of one router: each commit of each component runs apart, is kept alive, and ends when unwanted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Literal

import aiohttp
from trees import TreeError, materialise

State = Literal["starting", "ready", "down", "ended"]
START_S = 10.0
BACKOFF_S = (0.1, 0.3, 1.0, 3.0)
LAUNCHER = Path(__file__).with_name("launcher.py")


class Host:
    """Talks to the launcher process; started once, before anything else, with an empty environment."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._started: dict[int, asyncio.Future[dict[str, int]]] = {}
        self._abandoned: set[int] = set()
        self._ended: dict[int, asyncio.Event] = {}
        self._next = 0
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the launcher."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(LAUNCHER),
            env={}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())

    async def start(self, folder: Path) -> dict[str, int]:
        """Start a version; returns its pid, port and uid. Raises: OSError when the launcher could not."""
        self._next += 1
        number = self._next
        answer: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
        self._started[number] = answer
        self._order({"start": number, "dir": str(folder)})
        try:
            started = await asyncio.wait_for(answer, START_S)
        except (TimeoutError, asyncio.CancelledError):
            self._abandoned.add(number)
            raise
        self._ended.setdefault(started["pid"], asyncio.Event())
        return started

    def stop(self, pid: int, grace_s: float = 0.3) -> None:
        """Ask for a version's end."""
        self._order({"stop": pid, "grace_s": grace_s})

    async def ended(self, pid: int) -> None:
        """Return when that version's process is gone."""
        await self._ended.setdefault(pid, asyncio.Event()).wait()

    async def close(self) -> None:
        """End the launcher, and with it every version."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 5)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    def _order(self, order: dict[str, object]) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.is_closing():
            raise OSError("the launcher is not running")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        async for line in self._process.stdout:
            event = json.loads(line)
            if "ended" in event:
                self._ended.setdefault(event["ended"], asyncio.Event()).set()
                continue
            number = event.get("started", event.get("failed"))
            answer = self._started.pop(number, None)
            if number in self._abandoned:
                self._abandoned.discard(number)
                if "started" in event:
                    self.stop(event["pid"])
            elif answer is not None and not answer.done():
                if "started" in event:
                    answer.set_result(event)
                else:
                    answer.set_exception(OSError("the version could not be started"))
        for gone in self._ended.values():
            gone.set()


class Version:
    """One commit of one component as a process. `url` is set while it answers, `tried` once the first start is over."""

    def __init__(self, commit: str) -> None:
        self.commit = commit
        self.state: State = "starting"
        self.url = ""
        self.pid = 0
        self.uid = 0
        self.starts = 0
        self.tried = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def as_json(self) -> dict[str, object]:
        """Return what the status page tells."""
        return {"commit": self.commit, "state": self.state, "pid": self.pid, "uid": self.uid, "starts": self.starts}


class Versions:
    """All version processes of a router, by component and commit."""

    def __init__(self, git_dir: Path, cache: Path, http: aiohttp.ClientSession) -> None:
        self._git_dir = git_dir
        self._cache = cache
        self._http = http
        self._host = Host()
        self._running: dict[tuple[str, str], Version] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Start the launcher."""
        await self._host.open()

    @property
    def apart(self) -> bool:
        """Tell whether each version has a uid of its own."""
        return os.geteuid() == 0

    def want(self, component: str, commit: str) -> Version:
        """Return that version; it is started if it is not running."""
        key = (component, commit)
        if key not in self._running:
            version = Version(commit)
            version.task = asyncio.create_task(self._keep(version))
            self._running[key] = version
        return self._running[key]

    def keep_only(self, component: str, commits: set[str]) -> None:
        """End every version of the component that is not among `commits`."""
        for key in [key for key in self._running if key[0] == component and key[1] not in commits]:
            task = self._running.pop(key).task
            if task is not None:
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End everything."""
        for component in {key[0] for key in self._running}:
            self.keep_only(component, set())
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._host.close()

    async def _keep(self, version: Version) -> None:
        """Start the version, and again whenever it dies, until cancelled."""
        failures = 0
        try:
            while True:
                if await self._once(version):
                    failures = 0
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
        finally:
            version.state, version.url = "ended", ""
            version.tried.set()

    async def _once(self, version: Version) -> bool:
        """Run one process until it ends; tells whether it ever answered."""
        pid = 0
        try:
            folder = await materialise(self._git_dir, version.commit, self._cache)
            started = await self._host.start(folder)
            pid = version.pid = started["pid"]
            version.uid, version.starts = started["uid"], version.starts + 1
            url = f"http://127.0.0.1:{started['port']}"
            ended = asyncio.ensure_future(self._host.ended(pid))
            try:
                healthy = await self._healthy(url, ended)
                if healthy:
                    version.url, version.state = url, "ready"
                    version.tried.set()
                    await ended
                return healthy
            finally:
                ended.cancel()
        except (TreeError, OSError, TimeoutError):
            return False
        finally:
            version.url, version.state = "", "down"
            version.tried.set()
            if pid:
                with contextlib.suppress(OSError):
                    self._host.stop(pid)

    async def _healthy(self, url: str, ended: asyncio.Future[None]) -> bool:
        """Tell whether the version answered /health with 200 before it ended or `START_S` passed."""
        deadline = asyncio.get_running_loop().time() + START_S
        while not ended.done() and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._http.get(f"{url}/health", timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return True
            await asyncio.sleep(0.02)
        return False
