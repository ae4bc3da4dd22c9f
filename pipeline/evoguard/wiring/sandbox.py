"""The sandbox's second door, wired: one command with its limits and its behaviour record. No state folder is needed."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard.domain.canonical import Digest, Json, digest_of
from evoguard.domain.verdict import Finding, findings_json
from evoguard.errors import ConfigError, InputError, UnavailableError
from evoguard.settings import Settings
from evoguard_sandbox import Engine, Job, JobReport, Limits, Room, SandboxError, execute, sweep
from evoguard_sandbox.rooms.egress import read_place
from evoguard_sandbox.types import Egress

FOLDER = "run"
MOST_FILES, MOST_BYTES = 20_000, 128 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run: a command, the files it finds in its working folder, what it may use, what is wanted back."""

    command: tuple[str, ...]
    files: Mapping[str, tuple[int, bytes]]
    layers: tuple[Path, ...] = ()
    take: tuple[str, ...] = ()
    record_files: bool = False
    wall_s: float = 60.0
    memory_mib: int = 1024
    allow: tuple[tuple[str, int], ...] = ()

    @property
    def limits(self) -> Limits:
        """Return its bounds."""
        return Limits(wall_s=self.wall_s, memory_bytes=self.memory_mib << 20)


async def execute_one(settings: Settings, wanted: Wanted) -> JobReport:
    """Run one command in a sandbox of the settings' back-end.

    Raises: ConfigError, UnavailableError when no isolated run took place.
    """
    engine = Engine(settings.docker_url, settings.docker_runtime) if settings.docker_url else None
    job = Job(wanted.command, wanted.files, wanted.layers, wanted.take, wanted.record_files, wanted.allow)
    try:
        with room_of_a_call(settings, engine) as room:
            return await execute(job, limits=wanted.limits, room=room)
    except SandboxError as err:
        if err.code in ("sandbox.no_start", "sandbox.not_gvisor"):
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        raise ConfigError(err.message, code=err.code, fix=err.fix) from err


@contextmanager
def room_of_a_call(settings: Settings, engine: Engine | None = None) -> Iterator[Room]:
    """Open a room for one call, in the folder of all such calls: what a killed one left is removed by the next.

    Raises: ConfigError, SandboxError when a part is missing.
    """
    layer = tool_cache.layer_dir(settings.layer)
    runsc = Path() if engine is not None else tool_cache.runsc_path(settings.runsc)
    room = Room.open(tool_cache.own_folder(FOLDER), runsc, layer, engine=engine)
    try:
        sweep(room)
        yield room
    finally:
        room.close()


def places(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports of HOST:PORT words. Raises: InputError."""
    try:
        return tuple(read_place(text) for text in texts)
    except ValueError as err:
        raise InputError(f"--allow: {err}", code="usage", fix="write HOST:PORT, pypi.org:443 say") from err


def as_json(report: JobReport, limits: Limits) -> dict[str, Json]:
    """Return a report as plain JSON; what the command wrote is text where it is text, else base64."""
    seen = report.behaviour
    return {
        "outcome": report.outcome,
        "exit_status": report.exit_status,
        "stdout": _text(report.stdout),
        "stderr": _text(report.stderr),
        "findings": findings_json(tuple(Finding(f.code, f.msg, f.path, f.term) for f in report.findings)),
        "behaviour": {
            "status": seen.status,
            "reason": seen.reason,
            "connects": [
                {"process": c.process, "family": c.family, "address": c.address, "port": c.port} for c in seen.connects
            ],
            "programs": list(seen.programs),
            "files": list(seen.files),
            "clones": seen.clones,
            "dropped": seen.dropped,
        },
        "artefacts": [
            {"path": path, "bytes": len(data), "digest": digest_of(data), "exec": bool(mode & 0o100)}
            for path, (mode, data) in sorted(report.artefacts.items())
        ],
        "omitted": report.omitted,
        "egress": [_asked(each) for each in report.egress],
        "usage": _usage(report, limits),
        "isolation": {
            "name": report.isolation,
            "runsc": report.runsc,
            "kernel": report.kernel,
            "limits": report.limits_mode,
        },
        "wall_ms": report.wall_ms,
    }


def _usage(report: JobReport, limits: Limits) -> list[Json]:
    """Return what it took of each limit; a resource that nobody counted says so."""
    used, written = report.usage, len(report.stdout) + len(report.stderr)
    rows: tuple[tuple[str, int, float, str], ...] = (
        ("memory", used.memory_bytes, limits.memory_bytes, "bytes"),
        ("tasks", used.tasks, limits.pids, "tasks"),
        ("processor time", used.cpu_ms, limits.cpu_s * 1000, "ms"),
        ("wall time", report.wall_ms, limits.wall_s * 1000, "ms"),
        ("output", written, 2 * limits.output_bytes, "bytes"),
    )
    return [
        {"name": name, "used": took, "limit": int(most), "unit": unit, "counted": took > 0 or name == "output"}
        for name, took, most, unit in rows
    ]


def _asked(one: Egress) -> dict[str, Json]:
    return {
        "method": one.method,
        "host": one.host,
        "port": one.port,
        "allowed": one.allowed,
        "why": one.why,
        "sent_bytes": one.sent_bytes,
        "received_bytes": one.received_bytes,
    }


def tree_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the regular files below a folder by their path in it; links and all else are refused.

    Raises: InputError for a folder that is none, too large, or holds what is no plain file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", code="sandbox.tree", fix="name a folder")
    found: dict[str, tuple[int, bytes]] = {}
    total = 0
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".venv", "__pycache__")]
        for name in names:
            path = Path(here, name)
            if path.is_symlink() or not path.is_file():
                raise InputError(f"{path} is not a plain file", code="sandbox.tree", fix="leave it out")
            total += path.stat().st_size
            if len(found) >= MOST_FILES or total > MOST_BYTES:
                raise InputError(
                    f"{folder} holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB",
                    code="sandbox.tree",
                    fix="name a smaller folder",
                )
            found[path.relative_to(folder).as_posix()] = (path.stat().st_mode & 0o777, path.read_bytes())
    return found


def save(report: JobReport, folder: Path) -> list[Digest]:
    """Write what came back into a new folder; nothing that exists is touched. Raises: InputError."""
    try:
        folder.mkdir(parents=True)
    except OSError as err:
        raise InputError(
            f"{folder} cannot be made: {err.strerror}", code="sandbox.out", fix="name a folder that is not there yet"
        ) from err
    for path, (mode, data) in report.artefacts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode & 0o755)
    return [digest_of(data) for _, data in report.artefacts.values()]


def _text(data: bytes) -> Json:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
