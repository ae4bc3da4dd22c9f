"""`serve` keeps processes running and ends them; `worker` and `flags serve` end with it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from evoguard.cli.supervise import Child, Supervisor
from evoguard.errors import ConfigError
from evoguard.settings import Settings
from evoguard.wiring import serving as serving_room
from evoguard.wiring.serving import remove_socket_folder, serving
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock as another process does: flock asks whose open file it is, not whose process."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@pytest.fixture
def served(installed: Installed) -> Settings:
    (installed.settings.state / "settings.toml").write_text(f"flags_port = {free_port()}\n")
    return Settings.load(installed.settings.state, {})


def refused(settings: Settings) -> ConfigError:
    with pytest.raises(ConfigError) as caught, serving(settings, patience_s=0.0):
        pass
    assert caught.value.fix
    return caught.value


def test_a_second_serve_fails_at_once_with_one_line_and_the_code_of_the_table(installed: Installed, served: Settings):
    with serving(served):
        answer = installed.json("serve")
    assert (answer.code, answer.error["code"], answer.error["retryable"]) == (1, "serve.running", False)
    assert f"process {os.getpid()}" in str(answer.error["message"])


def test_if_serve_held_nothing_a_second_one_would_start(served: Settings, monkeypatch: pytest.MonkeyPatch):
    """The gate is load-bearing: without the lock both go on."""
    monkeypatch.setattr(serving_room, "_locked", lambda _: True)
    with serving(served), serving(served):
        pass


def test_a_state_can_be_served_again_once_the_first_serve_is_over(served: Settings):
    for _ in range(2):
        with serving(served, patience_s=0.0):
            pass


def test_serve_names_a_worker_that_runs_already(served: Settings):
    with locked(served.state / "worker.lock"):
        err = refused(served)
    assert (err.code, f"process {os.getpid()}" in err.message) == ("worker.running", True)


def test_serve_leaves_the_worker_s_lock_free(served: Settings):
    (served.state / "worker.lock").touch()
    with serving(served, patience_s=0.0), locked(served.state / "worker.lock"):
        pass


def test_serve_names_a_port_that_is_taken(served: Settings):
    with socket.socket() as taken:
        taken.bind((served.flags_host, served.flags_port))
        taken.listen(8)
        taken.close()
    with socket.create_server((served.flags_host, served.flags_port)):
        err = refused(served)
    assert (err.code, str(served.flags_port) in err.message) == ("flags.port_taken", True)
    assert "another flag server" not in err.message


async def test_serve_tells_another_flag_server_of_ours_by_its_answer(served: Settings):
    from evoguard.wiring.flags import serve_flags

    ready = asyncio.Event()
    running = asyncio.create_task(serve_flags(served, ready=lambda _: ready.set()))
    await asyncio.wait_for(ready.wait(), 10)
    err = await asyncio.to_thread(refused, served)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "by another flag server of evoguard" in err.message


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])  # noqa: S104  (what is refused)
def test_serve_refuses_an_address_that_others_could_reach(served: Settings, host: str):
    (served.state / "settings.toml").write_text(f"flags_host = '{host}'\n")
    assert refused(Settings.load(served.state, {})).code == "flags.not_loopback"


def socket_folder(settings: Settings) -> Path:
    """Return where a sandbox keeps its sockets when the state's path is long."""
    name = f"test{os.getpid()}"
    (settings.state / "sandbox").mkdir(exist_ok=True)
    (settings.state / "sandbox" / "installation").write_text(name)
    return Path("/tmp") / f"eg-{os.geteuid()}-{name}"


def test_a_worker_leaves_no_folder_for_sockets_behind(served: Settings):
    remove_socket_folder(served)  # nothing there: nothing to say
    folder = socket_folder(served)
    folder.mkdir(mode=0o700)
    remove_socket_folder(served)
    assert not folder.exists()


def test_what_is_not_an_empty_folder_of_ours_stays(served: Settings, tmp_path: Path):
    folder = socket_folder(served)
    folder.symlink_to(tmp_path)
    remove_socket_folder(served)
    assert folder.is_symlink()
    folder.unlink()
    folder.mkdir()
    (folder / "a.sock").touch()
    remove_socket_folder(served)
    assert (folder / "a.sock").exists()
    (folder / "a.sock").unlink()
    (served.state / "sandbox" / "installation").write_text("x/../" + folder.name)
    remove_socket_folder(served)
    assert folder.exists()
    folder.rmdir()
