"""The back-end for a Docker engine whose runtime is gVisor: one container a sandbox, nothing of the host in it.

The engine may be on another machine: our files reach it as an image, the order and its answer as the container's own
streams. It holds the limits; how often it refused a task it does not tell, so that ends as "crashed", not "pids".
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeVar

from evoguard_sandbox.rooms import spec
from evoguard_sandbox.rooms.backend import Make, Wires
from evoguard_sandbox.rooms.engine_image import Images
from evoguard_sandbox.rooms.engine_link import Input, Link, Streams
from evoguard_sandbox.rooms.engine_out import WayOut
from evoguard_sandbox.rooms.engine_trace import record
from evoguard_sandbox.rooms.engine_wires import Wire
from evoguard_sandbox.rooms.trace import Sink
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Behaviour, Egress, Limits, SandboxError, Usage

if TYPE_CHECKING:
    from evoguard_sandbox.rooms.room import Room

T = TypeVar("T")
INSTALLATION, RUN = "evoguard.installation", "evoguard.run"
KILLED = 137
LATE_TURNS = 20
REMOVALS = 40
COUNT_S, COUNTS_FROM = 0.5, (1, 41)
"""How often the engine is asked what a container takes, and from which version of its interface on it can be."""


class Docker:
    """Starts sandboxes of one room in a Docker engine. Two of them are wired to each other by way of this process."""

    name = "docker"
    pairs = True

    def __init__(self, room: Room, link: Link) -> None:
        """Give the engine the room's image. Raises: SandboxError when it does not take it."""
        self.room, self.link = room, link
        self.images = Images(room, link)
        self.images.of(())

    async def launch(self, name: str, make: Make, setup: str, wires: Wires | None = None) -> _Running:
        """Start a sandbox; see `Backend.launch`."""
        way_out = WayOut(name, make.egress) if make.egress else None
        wire = way_out.wire if way_out is not None else Wire(wires) if wires is not None else None
        sink = Sink(self.room.sockets(), name, files=make.record_files)
        running = _Running(self.link, name, sink, wire, way_out)
        setup = setup if wire is None else spec.carried(setup)
        try:
            if way_out is not None:
                await way_out.start()
            image = await _whole(lambda: self.images.of(make.layer_dirs))
            await _whole(lambda: self._create(name, image, setup, make.limits))
            await running.start()
        except self.link.error as err:
            await asyncio.shield(asyncio.ensure_future(running.remove(clean=False)))
            raise SandboxError(
                "sandbox.no_start", f"the engine started no container: {shown(str(err))}", "look at the engine"
            ) from err
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(running.remove(clean=False)))
            raise
        return running

    def _create(self, name: str, image: str, setup: str, limits: Limits) -> None:
        room, client = self.room, self.link.client
        client.create_container(
            image,
            name=name,
            command=spec.supervisor(room.python, setup),
            hostname=f"box-{secrets.token_hex(4)}",
            user="0:0",
            working_dir="/",
            environment=spec.env([spec.LAYER]),
            labels={INSTALLATION: room.installation, RUN: room.run_id},
            stdin_open=True,
            tty=False,
            detach=False,
            network_disabled=True,
            host_config=client.create_host_config(runtime=self.link.runtime, **host_config(limits)),
        )

    def sweep(self, run_id: str) -> int:
        """Remove every container of a dead run of this installation; return how many there were.

        Raises: SandboxError when the engine does not list them or keeps one.
        """
        of_run = {"label": [f"{INSTALLATION}={self.room.installation}", f"{RUN}={run_id}"]}
        try:
            ids = [str(row["Id"]) for row in self.link.client.containers(all=True, filters=of_run)]
            for container in ids:
                with contextlib.suppress(*self.link.absent):
                    self.link.client.remove_container(container, v=True, force=True)
        except self.link.error as err:
            raise SandboxError("sandbox.sweep", f"the engine kept a container: {err}"[:300], "remove it") from err
        return len(ids)

    def close(self) -> None:
        """Let go of the engine."""
        self.link.client.close()


def host_config(limits: Limits) -> dict[str, Any]:
    """Return the engine's side of a container: no network, nothing writable but tmpfs, four rights for PID 1."""
    scratch = f"rw,nosuid,nodev,exec,size={limits.tmp_bytes}"
    return {
        "network_mode": "none",
        "dns": ["127.0.0.1"],  # else the engine writes its own host's name servers into the guest
        "dns_search": ["."],
        "ipc_mode": "none",
        "read_only": True,
        "tmpfs": {
            "/tmp": f"{scratch},mode=1777",  # noqa: S108 (paths in the guest)
            "/room": f"{scratch},mode=755",
            "/dev/shm": "rw,nosuid,nodev,exec,size=67108864,mode=1777",  # noqa: S108
        },
        "cap_drop": ["ALL"],
        "cap_add": [name.removeprefix("CAP_") for name in spec.SUPERVISOR_CAPS],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "pids_limit": limits.pids,
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        "log_config": {"Type": "none", "Config": {}},
        "auto_remove": False,
        "privileged": False,
        "init": False,
    }


def usage_of(told: dict[str, Any]) -> Usage:
    """Return what an engine's statistics say; 0 for what they leave out."""
    memory, cpu, tasks = (told.get(name) or {} for name in ("memory_stats", "cpu_stats", "pids_stats"))
    highest = max(int(memory.get(name) or 0) for name in ("max_usage", "usage"))
    used_ns = int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)
    return Usage(highest, used_ns // 1_000_000, int(tasks.get("current") or 0))


class _Running:
    """A container of ours."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def __init__(self, link: Link, name: str, sink: Sink, wire: Wire | None, way_out: WayOut | None) -> None:
        self.link, self.name, self.sink, self.wire, self.way_out = link, name, sink, wire, way_out
        self.unrecorded = "the container did not start"
        self.limits_mode = "engine"
        self.streams: Streams | None = None
        self.input: Input | None = None
        self.starved = False
        self.refusal = ""
        self.used = Usage()
        self.counting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take its streams, start it, and have its trace recorded."""
        await self.sink.__aenter__()
        self.input, self.streams = await self.link.attach(self.name)
        self.stdin, self.stdout = self.input, self.streams
        if self.wire is not None:
            self.stdout = await self.wire.join(self.input, self.streams)
        await _whole(lambda: self.link.client.start(self.name))
        self.unrecorded = await record(self.link, self.name, self.sink)
        if tuple(map(int, self.link.api_version.split("."))) >= COUNTS_FROM:
            self.counting = asyncio.create_task(self._count())

    async def _count(self) -> None:
        """Keep the highest of what the engine tells; it tells nothing of a container that has ended."""
        while True:
            await asyncio.sleep(COUNT_S)
            with contextlib.suppress(*self.link.error, TypeError, ValueError, AttributeError):
                told = await _whole(lambda: self.link.client.stats(self.name, stream=False, one_shot=True))
                now = usage_of(told)
                self.used = Usage(*(max(pair) for pair in zip(astuple(self.used), astuple(now), strict=True)))

    async def ended(self) -> int:
        """Return the container's exit status. Raises: SandboxError when the engine no longer answers for it."""
        late = 0
        while True:
            try:
                told = await _whole(lambda: self.link.client.inspect_container(self.name))
            except self.link.error as err:
                raise SandboxError("sandbox.engine_lost", f"the engine lost {self.name}", "look at it") from err
            state = told["State"]
            self.starved, self.refusal = bool(state.get("OOMKilled")), str(state.get("Error") or "")
            status = int(state["ExitCode"])
            if state["Status"] in ("exited", "dead"):
                late += 1
                # The engine hears of the end and of its cause by two ways, and the cause may come second.
                if status != KILLED or self.starved or late > LATE_TURNS:
                    return status
            await asyncio.sleep(0.02)

    async def remove(self, *, clean: bool) -> None:  # noqa: ARG002 (a container is removed either way)
        """End it and remove it; what the engine keeps in spite of several tries is left to the sweep."""
        if self.counting is not None:
            self.counting.cancel()
            await asyncio.wait({self.counting})
        if self.wire is not None:
            await self.wire.close()
        if self.way_out is not None:
            await self.way_out.close()
        if self.input is not None:
            await self.input.hang_up()
        for _ in range(REMOVALS):
            try:
                await _whole(lambda: self.link.client.remove_container(self.name, v=True, force=True))
            except self.link.absent:
                break
            except self.link.error:
                await asyncio.sleep(0.2)  # it is just ending by itself, or being removed
            else:
                break
        await self.sink.__aexit__(None, None, None)

    def over_memory(self) -> bool:
        """Tell what the engine says of its cgroup."""
        return self.starved

    def over_pids(self) -> bool:
        """Return false: an engine does not tell."""
        return False

    def reached(self) -> tuple[str, ...]:
        """Return what gVisor's trace told."""
        return ("processes",) if self.sink.refused_fork else ()

    def usage(self) -> Usage:
        """Return the highest that the engine told while it ran; a sandbox that is gone is not counted any more."""
        return self.used

    def cut(self) -> str:
        """Return why this process ended what it carried."""
        return self.wire.cut if self.wire is not None else ""

    def egress(self) -> tuple[Egress, ...]:
        """Return the proxy's log."""
        return self.way_out.log() if self.way_out is not None else ()

    def behaviour(self) -> Behaviour:
        """Return gVisor's trace, or why there is none."""
        return Behaviour("not recorded", self.unrecorded) if self.unrecorded else self.sink.behaviour()

    def complaints(self) -> str:
        """Return the engine's own words and the end of the container's standard error, which the supervisor leaves."""
        tail = self.streams.tail.decode("utf-8", "replace") if self.streams is not None else ""
        return shown(f"{self.refusal} {tail}".strip()[-300:])


async def _whole(ask: Callable[[], T]) -> T:
    """Ask in a thread and let it come to its end even when cancelled: a half-made container has no owner."""
    task = asyncio.ensure_future(asyncio.to_thread(ask))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
