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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoguard_sandbox.rooms import cgroups, image
from evoguard_sandbox.rooms.backend import Backend
from evoguard_sandbox.rooms.engine import Docker
from evoguard_sandbox.rooms.engine_link import Engine, Link
from evoguard_sandbox.rooms.rootfs import Rootfs, open_rootfs, shared_folder
from evoguard_sandbox.rooms.runsc import Runsc, clear, unmount
from evoguard_sandbox.rooms.spec import DEPS, FLAGS, MOST_LAYERS, PYTHON, Bind
from evoguard_sandbox.types import SandboxError

OLDEST_RUNSC = 20240101


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
    programs: tuple[Path, ...] = ()
    """Programs of the host that are in the image beside the small tools: another language's runtime, say."""
    roots: list[Rootfs] = field(default_factory=list)
    """The root filesystem, held; none when an engine has it as an image."""
    known_bases: dict[str, Any] = field(default_factory=dict)
    engines: list[Docker] = field(default_factory=list)
    """The engine in which sandboxes are started, or none: then runsc is run directly."""

    @classmethod
    def open(  # noqa: PLR0913  (each is one thing that a room is made of)
        cls,
        state_dir: Path,
        runsc: Path,
        layer: Path,
        *,
        python: Interpreter | None = None,
        engine: Engine | None = None,
        programs: tuple[Path, ...] = (),
        images: Path | None = None,
    ) -> Room:
        """Find gVisor and prepare the root filesystem; with `engine`, a Docker engine's own gVisor and not `runsc`.

        `images`: where root filesystems are kept, else a folder that all rooms of this user share.
        Raises: SandboxError when any part is missing or too old.
        """
        python = python or Interpreter.current()
        _check_parts(layer, python)
        link = Link(engine) if engine is not None else None
        version = link.version if link is not None else _runsc_version(runsc)
        home = (state_dir / "sandbox").resolve()
        for name in ("b", "runs", "runsc", "s"):
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        run_id, lock_fd = _locked_run(home / "runs", Docker.name if link is not None else Runsc.name)
        installed = _installation(home / "installation")
        room = cls(
            home, runsc.resolve(), version, layer.resolve(), python, installed, run_id, lock_fd, os.geteuid() != 0,
            programs,
        )  # fmt: skip
        try:
            if link is not None:
                room.engines.append(Docker(room, link))
            else:
                parts = image.base(room.layer, python, programs)
                room.roots.append(open_rootfs(parts, images or shared_folder()))
        except BaseException:
            if link is not None:
                link.client.close()
            room.close()
            raise
        return room

    @property
    def backend(self) -> Backend:
        """Return what starts sandboxes here."""
        return self.engines[0] if self.engines else Runsc(self)

    @property
    def rootfs(self) -> Path:
        """Return the folder that is the guest's root. Raises: SandboxError when an engine has it."""
        if not self.roots:
            raise SandboxError("sandbox.image", "the root filesystem is an image in an engine", "open another room")
        return self.roots[0].path

    @property
    def image(self) -> str:
        """Return the digest of the guest's root filesystem without the project's layers, `sha256:…`."""
        return self.engines[0].images.digest if self.engines else self.roots[0].digest

    def verify(self) -> None:
        """Return when the root filesystem is what its digest says. Raises: SandboxError."""
        for root in self.roots:
            root.verify()

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
        """Return what the guest sees of the host beside its root. Raises: SandboxError when a layer is not there."""
        if len(layer_dirs) > MOST_LAYERS:
            raise SandboxError("sandbox.layer_missing", f"more than {MOST_LAYERS} layers", "merge them")
        for folder in layer_dirs:
            if not folder.is_dir():
                raise SandboxError("sandbox.layer_missing", f"the layer {folder} is not a folder", "build it")
        return [Bind(folder.resolve(), f"{DEPS}/{n}") for n, folder in enumerate(layer_dirs)]

    @property
    def _short(self) -> Path:
        return Path("/tmp") / f"eg-{os.geteuid()}-{self.installation}"  # noqa: S108 (0700 and checked at use)

    def sockets(self) -> Path:
        """Return a folder for trace sockets whose path is short enough for the kernel (107 bytes)."""
        folder = self.home / "s"
        if len(os.fspath(folder)) <= 60:
            return folder
        short = self._short
        short.mkdir(mode=0o700, exist_ok=True)
        seen = short.lstat()
        if short.is_symlink() or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise SandboxError("sandbox.no_start", f"{short} is not ours alone", "remove it")
        return short

    def close(self) -> None:
        """Give this run's lock back; its sandboxes are over."""
        for engine in self.engines:
            engine.close()
        for root in self.roots:
            root.close()
        with suppress(OSError):  # not there, or another run of this installation has sockets in it
            self._short.rmdir()
        os.close(self.lock_fd)
        (self.home / "runs" / self.run_id).unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # a folder that was removed has no mount
            if not any((self.home / "runs").iterdir()):
                unmount(self.home / "runsc")


@dataclass(frozen=True, slots=True)
class Proof:
    """What a sandbox showed of itself."""

    runsc: str
    kernel: str
    limits_mode: str
    behaviour: str
    wall_ms: int


def _check_parts(layer: Path, python: Interpreter) -> None:
    if not (layer / "pytest" / "__init__.py").is_file():
        raise SandboxError(
            "sandbox.layer_missing", f"no pytest in the runner layer {layer}", "run deploy/tools/runner-layer.sh"
        )
    if not (python.prefix / "bin" / python.name).is_file():
        raise SandboxError("sandbox.python_missing", f"no {python.name} in {python.prefix}", "name another interpreter")


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
    prefix = f"eg-{room.installation}-{run_id}-"
    found = room.engines[0].sweep(run_id) if room.engines else _sweep_runsc(room, prefix)
    for path in room.sockets().glob(prefix + "*"):
        path.unlink(missing_ok=True)
    return found


def _sweep_runsc(room: Room, prefix: str) -> int:
    done = subprocess.run(room.command("list", "-format=json"), capture_output=True, timeout=30, check=False, env={})
    try:
        ids = {row["id"] for row in json.loads(done.stdout or b"null") or [] if row["id"].startswith(prefix)}
    except (ValueError, KeyError, TypeError) as err:
        raise SandboxError("sandbox.sweep", "runsc could not list its sandboxes", "look at its state folder") from err
    # `list` leaves out, without a word, a sandbox whose state it cannot load at that moment; its file is still there.
    ids |= {path.name.partition("_sandbox:")[0] for path in (room.home / "runsc").glob(prefix + "*_sandbox:*.state")}
    for name in sorted(ids):
        subprocess.run(room.command("delete", "-force", name), capture_output=True, timeout=30, check=False, env={})
    cgroups.sweep(prefix)
    clear(room.home, prefix)
    for folder in (room.home / "b").glob(prefix + "*"):
        shutil.rmtree(folder, ignore_errors=True)
    return len(ids)
