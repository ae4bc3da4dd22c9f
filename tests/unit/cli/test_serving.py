"""`serve` keeps processes running and ends them; `worker` and `flags serve` end with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from evoguard.cli.supervise import Child, Supervisor
from unit.cli.installed import Installed


@dataclass(frozen=True, slots=True)
class Scripted(Child):
    script: str = ""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.script]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


async def test_a_process_that_dies_is_started_again_and_all_end_together(tmp_path: Path):
    told: list[dict[str, object]] = []
    stop, twice = asyncio.Event(), asyncio.Event()

    def tell(what) -> None:
        told.append(dict(what))
        if [w["event"] for w in told if w["process"] == "dies"].count("started") == 2:
            twice.set()

    dies = Scripted("dies", (), tmp_path, "info", "raise SystemExit(3)")
    stays = Scripted("stays", (), tmp_path, "info", "import time; time.sleep(60)")
    running = asyncio.create_task(Supervisor((dies, stays), tell=tell).run(stop))
    await asyncio.wait_for(twice.wait(), 10)
    stop.set()
    await asyncio.wait_for(running, 10)
    assert next(w["exit"] for w in told if w["process"] == "dies" and w["event"] == "ended") == 3
    assert [w["exit"] for w in told if w["process"] == "stays" and w["event"] == "ended"] == [-signal.SIGTERM]


def test_serve_starts_the_flag_server_again_and_ends_everything_when_asked_to(installed: Installed):
    (installed.settings.state / "settings.toml").write_text(f"flags_port = {free_port()}\n")
    serve = subprocess.Popen(
        [sys.executable, "-m", "evoguard", "--state", str(installed.settings.state), "serve", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert serve.stdout is not None
    pids: list[int] = []
    try:
        for row in map(json.loads, serve.stdout):
            if row["process"] == "flags" and row["event"] == "started":
                pids.append(row["pid"])
                if len(pids) == 2:
                    break
                os.kill(row["pid"], signal.SIGKILL)
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(timeout=10) == 0
    finally:
        serve.kill()
        serve.stdout.close()
        serve.wait()
    assert len(set(pids)) == 2
    assert all(gone(pid) for pid in pids)


def test_a_served_process_ends_when_serve_is_killed_outright(installed: Installed):
    (installed.settings.state / "settings.toml").write_text(f"flags_port = {free_port()}\n")
    serve = subprocess.Popen(
        [sys.executable, "-m", "evoguard", "--state", str(installed.settings.state), "serve", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert serve.stdout is not None
    try:
        pid = next(row["pid"] for row in map(json.loads, serve.stdout) if row["process"] == "flags")
        time.sleep(1.0)  # long enough to have asked the kernel for it
    finally:
        serve.kill()
        serve.wait()
        serve.stdout.close()
    assert gone(pid)


def test_serve_on_an_unusable_state_says_so_once(installed: Installed, tmp_path: Path):
    answer = installed.json("--state", str(tmp_path / "none"), "serve")
    assert (answer.code, answer.error["code"]) == (1, "state.missing")
