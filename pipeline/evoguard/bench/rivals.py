"""What a user would run instead of the sandbox room: Docker with gVisor, Docker with runc, bubblewrap, nothing at all.

Each is a command line around a Python command, with the same interpreter and the same pytest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard_sandbox import Engine, Room, SandboxError
from evoguard_sandbox.rooms.runsc import unmount

START_S = 60
NATIVE, RUNC, RUNSC, BWRAP = "no sandbox", "Docker+runc", "Docker+runsc", "bubblewrap"
LIBRARIES = {"PYTHONPATH": "/opt/layer", "LD_LIBRARY_PATH": "/opt/python/lib", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class Rivals:
    """Every way that is to be had here, as the words before `-c CODE`, and why another is not."""

    ways: Mapping[str, list[str]]
    missing: Mapping[str, str]
    engine: str = ""
    """The address of the Docker engine."""
    env: Mapping[str, str] = field(default_factory=dict)

    def run_ms(self, name: str, code: str) -> float | None:
        """Run `python -c code` one way and return how long it took; None when there is no such way here.

        Raises: SandboxError when it did not end with 0, for then its time means nothing.
        """
        if name not in self.ways:
            return None
        began = time.perf_counter()
        done = subprocess.run(
            [*self.ways[name], "-c", code], env=dict(self.env), capture_output=True, timeout=120, check=False
        )
        took = (time.perf_counter() - began) * 1000
        if done.returncode:
            told = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:]
            raise SandboxError("bench.rival", f"{name} ended with {done.returncode}: {told}", "")
        return took


@contextmanager
def rivals(room: Room, folder: Path, *, docker: bool) -> Iterator[Rivals]:
    """Yield what is to be had here; a Docker engine is started when none answers and its programs are in the cache."""
    python = room.python.prefix / "bin" / room.python.name
    env = {"PYTHONPATH": str(room.layer), "PATH": "/usr/bin:/bin"}
    # What is installed into this Python is not in the sandbox either, and may have code of its own run at each start.
    ways: dict[str, list[str]] = {NATIVE: [str(python), "-S"]}
    missing: dict[str, str] = {}
    if found := shutil.which("bwrap"):
        ways[BWRAP] = [found, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",  # noqa: S108
                       "--unshare-all", "--die-with-parent", str(python), "-S"]  # fmt: skip
    else:
        missing[BWRAP] = "bwrap is not installed"
    with ExitStack() as held:
        url, why = "", "left out"
        if docker:
            try:
                url = held.enter_context(_engine(room, folder))
                ways |= _docker_ways(room, folder, url)
            except (OSError, SandboxError, subprocess.SubprocessError) as err:
                url, why = "", str(err)
        if not url:
            missing |= dict.fromkeys((RUNC, RUNSC), why)
        yield Rivals(ways, missing, url, env)


def _docker_ways(room: Room, folder: Path, url: str) -> dict[str, list[str]]:
    ours = Room.open(folder / "image", Path(), room.layer, engine=Engine(url))
    try:
        image = ours.engines[0].images.of(())
    finally:
        ours.close()
    given = [word for name, value in LIBRARIES.items() for word in ("-e", f"{name}={value}")]
    cli = [str(_program("docker")), "-H", url, "run", "--rm", "--network=none", *given]
    inside = [image, room.python.guest_path]
    return {RUNSC: [*cli, "--runtime=runsc", *inside], RUNC: [*cli, "--runtime=runc", *inside]}


def _program(name: str) -> Path:
    """Return a program of Docker. Raises: SandboxError when it is neither in the tool cache nor installed."""
    cached = tool_cache.cache() / "tools" / "docker" / "usr"
    for path in (cached / "sbin" / name, cached / "bin" / name, Path(shutil.which(name) or "/nowhere")):
        if os.access(path, os.X_OK):
            return path
    raise SandboxError("bench.rival", f"there is no {name} here", "run deploy/tools/dockerd.sh --fetch")


@contextmanager
def _engine(room: Room, folder: Path) -> Iterator[str]:
    """Yield the address of an engine that knows runsc: the one that answers, or one of our own in `folder`."""
    usual = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if _knows_runsc(usual):
        yield usual
        return
    if os.geteuid() != 0:
        raise SandboxError(
            "bench.rival", "no Docker engine that knows runsc answers, and one of our own needs root", ""
        )
    home = folder / "engine"
    home.mkdir()
    url = f"unix://{home}/docker.sock"
    config = {
        "data-root": f"{home}/data", "exec-root": f"{home}/exec", "pidfile": f"{home}/dockerd.pid", "hosts": [url],
        "bridge": "none", "iptables": False, "ip-forward": False, "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "runtimes": {"runsc": {"path": str(room.runsc), "runtimeArgs": ["--platform=systrap", "--network=none"]}},
    }  # fmt: skip
    (home / "daemon.json").write_text(json.dumps(config), encoding="utf-8")
    program = _program("dockerd")
    path = f"{program.parent}:{program.parent.parent / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(
            [program, "--config-file", home / "daemon.json"], stdout=log, stderr=log, env={**os.environ, "PATH": path}
        ) as process,
    ):
        try:
            end = time.monotonic() + START_S
            while not _knows_runsc(url):
                if process.poll() is not None or time.monotonic() > end:
                    raise SandboxError("bench.rival", "the Docker engine did not start", "")
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
            unmount(home / "exec" / "runtime-runc" / "moby")


def _knows_runsc(url: str) -> bool:
    try:
        done = subprocess.run([_program("docker"), "-H", url, "info", "--format", "{{json .Runtimes}}"],
                              capture_output=True, timeout=20, check=False)  # fmt: skip
    except (SandboxError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b'"runsc"' in done.stdout
