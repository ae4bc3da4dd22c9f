"""The room: one gVisor, one root filesystem, one place for state. Proved before it is trusted, swept at boot."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoguard_sandbox import cgroups
from evoguard_sandbox.backend import Backend
from evoguard_sandbox.engine import Docker
from evoguard_sandbox.engine_link import Engine, Link
from evoguard_sandbox.runsc import Runsc
from evoguard_sandbox.spec import DEPS, FLAGS, GUEST, LAYER, MOST_LAYERS, PYTHON, Bind
from evoguard_sandbox.types import SandboxError

OLDEST_RUNSC = 20240101
ETC = {
    "passwd": "root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/tmp:/bin/false\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
}
SHARED = ("/usr/lib", "/usr/lib64", "/usr/bin", "/usr/share/zoneinfo")
LINKED = ("/lib", "/lib64", "/bin")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs in the guest: a folder of the host, seen there under a neutral name."""

    prefix: Path
    name: str

    @classmethod
    def current(cls) -> Interpreter:
        """Return the interpreter that runs this process, without its virtual environment."""
        return cls(Path(sys.base_prefix).resolve(), f"python{sys.version_info.major}.{sys.version_info.minor}")

    @property
    def guest_path(self) -> str:
        """Where the guest finds it; a Python of the system is already under /usr there."""
        return f"/usr/bin/{self.name}" if str(self.prefix) == "/usr" else f"{PYTHON}/bin/{self.name}"


@dataclass(frozen=True, slots=True)
class Room:
    """What a sandbox is made of. Open one with `Room.open`; several processes may share a state folder."""

    home: Path
    runsc: Path
    runsc_version: str
    layer: Path
    python: Interpreter
    installation: str
    run_id: str
    lock_fd: int
    rootless: bool
    known_bases: dict[str, Any] = field(default_factory=dict)
    engines: list[Docker] = field(default_factory=list)
    """The engine in which sandboxes are started, or none: then runsc is run directly."""

    @classmethod
    def open(
        cls,
        state_dir: Path,
        runsc: Path,
        layer: Path,
        *,
        python: Interpreter | None = None,
        engine: Engine | None = None,
    ) -> Room:
        """Find gVisor and prepare the root filesystem; with `engine`, a Docker engine's own gVisor and not `runsc`.

        Raises: SandboxError when any part is missing or too old.
        """
        if not (layer / "pytest" / "__init__.py").is_file():
            raise SandboxError(
                "sandbox.layer_missing", f"no pytest in the runner layer {layer}", "run deploy/tools/runner-layer.sh"
            )
        python = python or Interpreter.current()
        if not (python.prefix / "bin" / python.name).is_file():
            raise SandboxError(
                "sandbox.python_missing", f"no {python.name} in {python.prefix}", "name another interpreter"
            )
        link = Link(engine) if engine is not None else None
        version = link.version if link is not None else _runsc_version(runsc)
        home = (state_dir / "sandbox").resolve()
        for name in ("b", "runs", "runsc", "s"):
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        _prepare_rootfs(home / "rootfs")
        _place_guest(home / "guest")
        run_id, lock_fd = _locked_run(home / "runs", Docker.name if link is not None else Runsc.name)
        installed = _installation(home / "installation")
        room = cls(
            home, runsc.resolve(), version, layer.resolve(), python, installed, run_id, lock_fd, os.geteuid() != 0
        )
        if link is not None:
            try:
                room.engines.append(Docker(room, link))
            except BaseException:
                link.client.close()
                room.close()
                raise
        return room

    @property
    def backend(self) -> Backend:
        """Return what starts sandboxes here."""
        return self.engines[0] if self.engines else Runsc(self)

    @property
    def isolation(self) -> str:
        """Return what a report may call a sandbox of this room: "gvisor", or the unsafe runtime that was asked for."""
        return self.engines[0].link.engine.isolation if self.engines else "gvisor"

    def next_id(self) -> str:
        """Return the name of a new sandbox: ours by its prefix, this process's by its run."""
        return f"eg-{self.installation}-{self.run_id}-{secrets.token_hex(3)}"

    def command(self, *args: str) -> list[str]:
        """Return a runsc command line on this room's own root."""
        mode = ["--rootless", "--ignore-cgroups"] if self.rootless else []
        return [str(self.runsc), f"--root={self.home / 'runsc'}", *FLAGS, *mode, *args]

    def binds(self, layer_dirs: tuple[Path, ...]) -> list[Bind]:
        """Return everything of the host that the guest can read. Raises: SandboxError when a layer is not there."""
        if len(layer_dirs) > MOST_LAYERS:
            raise SandboxError("sandbox.layer_missing", f"more than {MOST_LAYERS} layers", "merge them")
        for folder in layer_dirs:
            if not folder.is_dir():
                raise SandboxError("sandbox.layer_missing", f"the layer {folder} is not a folder", "build it")
        found = [Bind(Path(p), p) for p in SHARED if Path(p).is_dir() and not Path(p).is_symlink()]
        found += [Bind(Path(p), p) for p in LINKED if Path(p).is_dir() and not Path(p).is_symlink()]
        if str(self.python.prefix) != "/usr":
            found.append(Bind(self.python.prefix, PYTHON))
        found += [Bind(self.layer, LAYER), Bind(self.home / "guest", GUEST)]
        return found + [Bind(folder.resolve(), f"{DEPS}/{n}") for n, folder in enumerate(layer_dirs)]

    def sockets(self) -> Path:
        """Return a folder for trace sockets whose path is short enough for the kernel (107 bytes)."""
        folder = self.home / "s"
        if len(os.fspath(folder)) <= 60:
            return folder
        short = Path("/tmp") / f"eg-{os.geteuid()}-{self.installation}"  # noqa: S108 (0700 and checked below)
        short.mkdir(mode=0o700, exist_ok=True)
        seen = short.lstat()
        if short.is_symlink() or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise SandboxError("sandbox.no_start", f"{short} is not ours alone", "remove it")
        return short

    def close(self) -> None:
        """Give this run's lock back; its sandboxes are over."""
        for engine in self.engines:
            engine.close()
        os.close(self.lock_fd)
        (self.home / "runs" / self.run_id).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a sandbox showed of itself."""

    runsc: str
    kernel: str
    limits_mode: str
    behaviour: str
    wall_ms: int


def _runsc_version(runsc: Path) -> str:
    fix = "run deploy/tools/get-runsc.sh, or install gVisor's runsc of 2024 or later"
    try:
        done = subprocess.run([runsc, "--version"], capture_output=True, text=True, timeout=20, check=True, env={})
    except (OSError, subprocess.SubprocessError) as err:
        raise SandboxError("sandbox.runsc_missing", f"gVisor's runsc does not run: {runsc}", fix) from err
    first = done.stdout.partition("\n")[0].removeprefix("runsc version ").strip()
    date = re.search(r"20\d{6}", first)
    if date is None or int(date.group()) < OLDEST_RUNSC:
        raise SandboxError("sandbox.runsc_old", f"runsc says it is {first[:80]!r}: of no known date or too old", fix)
    return first[:80]


def _installation(path: Path) -> str:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(secrets.token_hex(3))
    except FileExistsError:
        pass
    return path.read_text(encoding="utf-8").strip()


def _prepare_rootfs(root: Path) -> None:
    if (root / ".ready").is_file():
        return
    made = root.with_name(f"rootfs.{secrets.token_hex(4)}")
    empty = (
        "proc",
        "dev",
        "sys",
        "tmp",
        "work",
        "etc",
        "run",
        "var",
        *(p[1:] for p in SHARED),
        PYTHON[1:],
        LAYER[1:],
        GUEST[1:],
    )
    for name in (*empty, *(f"{DEPS[1:]}/{n}" for n in range(MOST_LAYERS))):
        (made / name).mkdir(parents=True, exist_ok=True)
    (made / "var" / "tmp").symlink_to("/tmp")  # noqa: S108 (a link in the guest)
    for path in map(Path, LINKED):
        here = made / str(path)[1:]
        if path.is_symlink():
            here.symlink_to(os.readlink(path))
        elif path.is_dir():
            here.mkdir()
    for name, text in ETC.items():
        (made / "etc" / name).write_text(text, encoding="utf-8")
    (made / ".ready").touch()
    for folder in [made, *made.rglob("*")]:
        if not folder.is_symlink():
            folder.chmod(0o755 if folder.is_dir() else 0o644)
    try:
        made.rename(root)
    except OSError:  # another process was first
        shutil.rmtree(made)


def _place_guest(folder: Path) -> None:
    """Copy the guest's programs out of the package: a checkout may be unreadable for the guest's uid."""
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    for held in (Path(__file__).parent / "guest").glob("*.py"):
        name, text = held.name, held.read_bytes()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text:
            fresh = folder / f"{name}.{secrets.token_hex(4)}"
            fresh.write_bytes(text)
            fresh.chmod(0o644)
            fresh.rename(folder / name)


def _locked_run(folder: Path, kind: str) -> tuple[str, int]:
    """Return a new run's id and the lock that says that it lives; the file tells which back-end holds its sandboxes."""
    while True:
        run_id = secrets.token_hex(4)
        fd = os.open(folder / run_id, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, kind.encode())
        if (folder / run_id).exists():  # else a sweep took it for a dead run's before it was locked
            return run_id, fd
        os.close(fd)


def sweep(room: Room) -> int:
    """End and remove every sandbox of this installation whose process is dead; return how many were found.

    A run holds a lock on its file for as long as it lives, so another worker's sandboxes are never touched. Each room
    sweeps the dead runs of its own back-end. Raises: SandboxError when the back-end does not tell or keeps one.
    """
    found = 0
    for path in (room.home / "runs").iterdir():
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # another process swept it
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (os.read(fd, 20).decode() or Runsc.name) != room.backend.name:
                continue
            found += _sweep_run(room, path.name)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
    return found


def _sweep_run(room: Room, run_id: str) -> int:
    if room.engines:
        return room.engines[0].sweep(run_id)
    prefix = f"eg-{room.installation}-{run_id}-"
    done = subprocess.run(room.command("list", "-format=json"), capture_output=True, timeout=30, check=False, env={})
    try:
        ids = [row["id"] for row in json.loads(done.stdout or b"null") or [] if row["id"].startswith(prefix)]
    except (ValueError, KeyError, TypeError) as err:
        raise SandboxError("sandbox.sweep", "runsc could not list its sandboxes", "look at its state folder") from err
    for name in ids:
        subprocess.run(room.command("delete", "-force", name), capture_output=True, timeout=30, check=False, env={})
    cgroups.sweep(prefix)
    for folder in (room.home / "b").glob(prefix + "*"):
        shutil.rmtree(folder, ignore_errors=True)
    for path in room.sockets().glob(prefix + "*"):
        path.unlink(missing_ok=True)
    return len(ids)
