"""What the demo starts and asks: processes of its own, evoguard's command line, the guard's state to look at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).resolve().parent


def free_port() -> int:
    """Return a port of the loopback address that nobody uses now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def cache() -> Path:
    """Return evoguard's cache folder, where the demo's own folder lives."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evoguard"


class CommandError(Exception):
    """A command of evoguard answered with an error."""

    def __init__(self, words: tuple[str, ...], status: int, answer: dict[str, Any], said: str) -> None:
        error = answer.get("error") or {}
        super().__init__(f"evoguard {words[0]}: {error.get('message') or said[-400:] or status}")
        self.status = status
        self.code = str(error.get("code", ""))


@dataclass
class Parts:
    """The folder, the processes and the addresses of one demo."""

    folder: Path
    flags_port: int = field(default_factory=free_port)
    router_port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Return the guard's state folder."""
        return self.folder / "state"

    @property
    def origin(self) -> Path:
        """Return the repository that agents propose to."""
        return self.folder / "lending.git"

    @property
    def router_url(self) -> str:
        """Return the service's address."""
        return f"http://127.0.0.1:{self.router_port}"

    def guard_repo(self) -> Path:
        """Return the guard's own bare repository of the service."""
        return next((self.state / "repos").glob("*.git"))

    def clean(self) -> None:
        """Remove what an earlier demo left in this folder, which is the demo's alone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)

    async def evoguard(self, *words: str, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Run one command of evoguard with --json and return its answer. Raises: CommandError."""
        command = [sys.executable, "-m", "evoguard", "--state", str(self.state), "--json", *words]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        try:
            answer = json.loads(out) if out.strip() else {}
        except ValueError:
            answer = {}
        if process.returncode not in ok:
            raise CommandError(words, process.returncode or 0, answer, err.decode(errors="replace"))
        return dict(answer)

    def start(self, name: str, *command: str | Path) -> None:
        """Start a process of the demo; its words go to a file in the demo's folder."""
        with (self.folder / f"{name}.out").open("ab") as out, (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out,
                                                  stderr=log, cwd=HERE)  # fmt: skip

    def serve(self) -> None:
        """Start worker and flag server."""
        self.start("serve", sys.executable, "-m", "evoguard", "--state", self.state, "serve")

    def route(self, known_good: str) -> None:
        """Start the router; it starts the version processes."""
        flags = f"http://127.0.0.1:{self.flags_port}"
        self.start(
            "router", sys.executable, HERE / "router.py", "--port", str(self.router_port), "--flags", flags,
            "--kpi", flags,
            "--tokens", self.state / "tokens.json", "--git-dir", self.guard_repo(), "--cache", self.folder / "versions",
            "--component", f"scoring:/score:lending-scoring:{known_good}",
            "--component", f"pricing:/price:lending-pricing:{known_good}",
        )  # fmt: skip

    def traffic(self, rate: int, seconds: int) -> None:
        """Start the generator: `rate` requests a second on each of the two paths."""
        self.start(
            "traffic", sys.executable, HERE / "traffic.py", "--url", self.router_url, "--lane", f"/score:{rate}",
            "--lane", f"/price:{rate}", "--seconds", str(seconds),
        )  # fmt: skip

    async def router_status(self) -> dict[str, Any]:
        """Return what the router sees, or nothing while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http,
                http.get(f"{self.router_url}/_router/status") as answer,
            ):
                return dict(await answer.json())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return {}

    async def until_up(self, seconds: float = 30) -> None:
        """Wait until flag server and router answer. Raises: RuntimeError naming the log to read."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lanes = (await self.router_status()).get("components") or {}
            if lanes and all((lane.get("known_good") or {}).get("state") == "ready" for lane in lanes.values()):
                return
            for name, process in self.running.items():
                if process.poll() is not None and name != "traffic":
                    raise RuntimeError(f"{name} ended; read {self.folder / (name + '.log')}")
            await asyncio.sleep(0.2)
        raise RuntimeError(f"the router did not come up; read {self.folder / 'router.log'}")

    def stop(self) -> None:
        """End every process that this demo started, by its id."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=8)
            if process.poll() is None:
                process.kill()
                process.wait()
        self.running.clear()
