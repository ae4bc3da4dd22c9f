"""Code that tries to get out: what can it read, reach, change or use up? Judged by the host, not by the guest's word.

Needs gVisor; all is done again in a Docker engine that knows it, where one answers or can be started. The host is given
something to find: a secret in a file, in its environment, behind a loopback listener, two unix sockets, in shared
memory and in an inheritable descriptor. Baseline: the same probes as a plain unprivileged process on this host, which
is what running tests without a sandbox is.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evoguard.adapters import tool_cache
from evoguard.bench import Figure
from evoguard.bench.corpus.floods import FLOODS, Flood
from evoguard.bench.corpus.probes import DRIVER, LOOKS, PROBES, Row
from evoguard.bench.rivals import RUNSC, rivals
from evoguard.errors import UnavailableError
from evoguard_sandbox import Engine, Job, Limits, Room, SandboxError, execute, sweep

LIMITS = Limits(wall_s=300, output_bytes=16 << 20)
QUICK_FLOODS = ("forks", "output")
UNCHANGED = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/random/boot_id",
             "/proc/sys/kernel/modprobe", "/etc/passwd", "/proc/sys/vm/overcommit_memory")  # fmt: skip


@dataclass(slots=True)
class Host:
    """A host with something to find, and what happened to it."""

    folder: Path
    secret: str = field(default_factory=lambda: f"planted-{secrets.token_hex(12)}")
    port: int = 0
    visitors: list[str] = field(default_factory=list)

    @property
    def abstract(self) -> str:
        """Return a name in the abstract space; it is not the secret, for the guest is told it."""
        return f"evoguard-{self.folder.name}"

    def world(self, probes: Sequence[Row]) -> str:
        """Return what the guest is told: where to look, never what is there."""
        told: dict[str, Any] = {"file": str(self.folder / "secret"), "folder": str(self.folder), "port": self.port}
        return json.dumps({**told, "abstract": self.abstract, "probes": [(name, text) for name, _, text in probes]})

    def facts(self) -> tuple[str, ...]:
        """Return what a probe may not change."""
        seen = [Path(path).read_text(encoding="utf-8") if Path(path).exists() else "absent" for path in UNCHANGED]
        return (*seen, *sorted(f"{p.name} {p.lstat().st_mtime_ns}" for p in self.folder.iterdir()))


@dataclass(frozen=True, slots=True)
class Result:
    """One probe's end: `breach` says what is wrong with it, empty when nothing is."""

    name: str
    answer: str
    breach: str = ""


def measure(*, quick: bool = False) -> list[Figure]:
    """Run every probe in one sandbox of each back-end and every flood in its own; `quick` takes two floods.

    Raises: ConfigError without gVisor or the runner layer; UnavailableError when no isolated run takes place.
    """
    floods = [one for one in FLOODS if not quick or one[0] in QUICK_FLOODS]
    try:
        with tempfile.TemporaryDirectory(prefix="evoguard-host-") as made, planted(Path(made)) as host:
            return [figure for seen in _both(host, floods) for figure in seen]
    except SandboxError as err:
        raise UnavailableError("sandbox", err.message, fix=err.fix) from err


def _both(host: Host, floods: Sequence[Flood]) -> Iterator[list[Figure]]:
    """Yield the figures of runsc, then of Docker with runsc: an engine that answers, or one of our own."""
    with tempfile.TemporaryDirectory(prefix="evoguard-room-") as made:
        layer = tool_cache.layer_dir()
        room = Room.open(Path(made), tool_cache.runsc_path(), layer)
        try:
            yield asyncio.run(_measure("runsc", host, room, floods))
            with rivals(room, Path(made), docker=True) as others:
                if not others.engine:
                    why = f"Docker: not measured: no engine ({others.missing.get(RUNSC, '')})"
                    yield [Figure("Docker+runsc, probes", 0, "probes", note=why)]
                    return
                inside_it = Room.open(Path(made) / "docker", Path(), layer, engine=Engine(others.engine))
                try:
                    yield asyncio.run(_measure("Docker+runsc", host, inside_it, floods))
                finally:
                    inside_it.close()
        finally:
            sweep(room)
            room.close()


@contextmanager
def planted(folder: Path) -> Iterator[Host]:
    """Give the host a secret in every place that a process inherits or shares, and take all of it away again."""
    host = Host(folder)
    folder.chmod(0o755)
    path, shared = folder / "secret", Path("/dev/shm") / folder.name  # noqa: S108  (a place to be found)
    for place in (path, shared):
        place.write_text(host.secret, encoding="utf-8")
        place.chmod(0o644)
    handle = os.open(path, os.O_RDONLY)
    os.set_inheritable(handle, True)
    os.environ["EVOGUARD_PLANTED"] = host.secret
    try:
        yield host
    finally:
        del os.environ["EVOGUARD_PLANTED"]
        os.close(handle)
        shared.unlink(missing_ok=True)


async def _measure(backend: str, host: Host, room: Room, floods: Sequence[Flood]) -> list[Figure]:
    async with listening(host):
        before, known = host.facts(), len(host.visitors)
        results = await inside(host, room, PROBES)
        visitors = len(host.visitors) - known
        changed = sum(a != b for a, b in zip(before, host.facts(), strict=True))
        bare = await outside(host)
        bare_visitors = len(host.visitors) - known - visitors
    flooded = [await flood(one, room) for one in floods]
    for one in (*results, *flooded):
        told = f"BREACH {one.breach}" if one.breach else "held"
        sys.stderr.write(f"{backend:<13} {one.name:<44} {told:<10} {one.answer[:60]}\n")
    found = [one for one in results if one.breach]
    broken = [one for one in flooded if one.breach]
    return [
        Figure(f"{backend}, probes", len(results), "probes", len(PROBES), higher_is_better=True),
        Figure(f"{backend}, probes that got something", len(found), f"of {len(results)}", 0,
               sum(bool(one.breach) for one in bare),
               note="; ".join([f"baseline: of the {len(bare)} that only look",
                               *(f"{one.name}: {one.breach}" for one in found)])),
        Figure(f"{backend}, visits to the host's listeners", visitors, "visits", 0, bare_visitors),
        Figure(f"{backend}, facts of the host changed", changed, "facts", 0),
        Figure(f"{backend}, floods that got past their limit", len(broken), f"of {len(flooded)}", 0,
               note="; ".join(f"{one.name}: {one.breach}" for one in broken)),
        Figure(f"{backend}, sandboxes left", left_of(room), "sandboxes", 0),
    ]  # fmt: skip


def left_of(room: Room) -> int:
    """Count the sandboxes of a room that are still there, by its back-end's own word."""
    if room.engines:
        of_ours = {"label": [f"evoguard.installation={room.installation}"]}
        return len(room.engines[0].link.client.containers(all=True, filters=of_ours))
    return sum(1 for _ in (room.home / "b").iterdir())


class listening:  # noqa: N801  (used as a word in `async with`)
    """Hold the listeners that no probe may reach; each visit is written down and answered with the secret."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.servers: list[asyncio.AbstractServer] = []

    async def __aenter__(self) -> None:
        def visited(where: str) -> Any:  # noqa: ANN401  (what asyncio calls back)
            async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                self.host.visitors.append(where)
                writer.write(self.host.secret.encode())
                writer.close()

            return greet

        tcp = await asyncio.start_server(visited("tcp"), "127.0.0.1", 0)
        self.host.port = tcp.sockets[0].getsockname()[1]
        hidden = await asyncio.start_unix_server(visited("abstract"), "\0" + self.host.abstract)
        path = str(self.host.folder / "sock")
        shown = await asyncio.start_unix_server(visited("unix"), path)
        os.chmod(path, 0o777)  # noqa: S103  (to be found)
        self.servers = [tcp, hidden, shown]

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers:
            server.close()


async def inside(host: Host, room: Room, probes: Sequence[Row]) -> list[Result]:
    """Run the probes in one sandbox. Raises: SandboxError when they did not all end there."""
    files = {"driver.py": (0o100644, DRIVER.encode())}
    job = Job(("python", "-I", "driver.py", host.world(probes)), files)
    report = await execute(job, limits=LIMITS, room=room)
    if report.outcome != "finished":
        raise SandboxError("bench.probes", f"the probes did not end: {report.outcome}", "read the report")
    needles = (host.secret, str(room.home), str(room.layer), str(Path(__file__).parents[3]))
    return judge(probes, report.stdout, needles)


async def outside(host: Host) -> list[Result]:
    """Run the probes that only look without a sandbox: a plain process of an unprivileged user, if we may make one."""
    rows = [row for row in PROBES if row[0] in LOOKS]
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or sys.executable
    nobody = 65534 if os.geteuid() == 0 else None
    command = [python, "-I", "-c", DRIVER, host.world(rows)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=120, cwd="/",
                                   user=nobody, group=nobody, extra_groups=None if nobody is None else [])  # fmt: skip
    return judge(rows, done.stdout, (host.secret,))


def judge(probes: Sequence[Row], told: bytes, needles: Sequence[str]) -> list[Result]:
    """Return one result for each probe; one that is missing or broken is a breach, for it proves nothing."""
    answers: dict[str, Any] = dict(json.loads(line) for line in told.splitlines())
    return [_judged(name, kind, answers.get(name, {"broken": "no answer"}), needles) for name, kind, _ in probes]


def _judged(name: str, kind: str, answer: dict[str, str], needles: Sequence[str]) -> Result:
    what, text = next(iter(answer.items()))
    shown = f"{what}: {text}"
    if what == "broken":
        return Result(name, shown, f"the probe is broken: {text}")
    if any(needle in text for needle in needles):
        return Result(name, shown, "it found something of the host")
    if kind == "denied" and what != "denied":
        return Result(name, shown, f"it was allowed: {text[:80]}")
    return Result(name, shown)


async def flood(one: Flood, room: Room) -> Result:
    """Run one flood in a sandbox of its own and see that it ended as it may."""
    name, program, bounds, ends, printed, limit = one
    limits = replace(Limits(wall_s=60), **bounds)  # type: ignore[arg-type]  # whole numbers where it wants them
    try:
        report = await execute(Job(("python", "-I", "-c", program)), limits=limits, room=room)
    except SandboxError as err:
        return Result(name, str(err), "the room failed, so nothing is proved")
    told = f"{report.outcome}, exit status {report.exit_status}"
    if report.outcome not in ends:
        return Result(name, told, f"it ended as {report.outcome}")
    if printed not in report.stdout:
        return Result(name, told, f"it said {report.stdout[:60]!r}")
    if limit and f"sandbox.limit_{limit}" not in {finding.code for finding in report.findings}:
        return Result(name, told, f"nothing says that it met the limit {limit}")
    return Result(name, told)
