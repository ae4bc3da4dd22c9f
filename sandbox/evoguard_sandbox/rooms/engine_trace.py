"""The behaviour record of a container, where its engine is on this host and this process is root.

gVisor is asked for a trace session of the running sandbox before the order is given, so that nothing of the order goes
unseen; what ran before is the supervisor and what waits in it.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from evoguard_sandbox.rooms.child import Child
from evoguard_sandbox.rooms.trace import Sink, session

if TYPE_CHECKING:
    from evoguard_sandbox.rooms.engine_link import Link

CREATE_S = 20
FAR = "the engine is on another host, where gVisor's trace cannot be had"


async def record(link: Link, container: str, sink: Sink) -> str:
    """Have gVisor tell `sink` what a running container does; return why it does not, or nothing."""
    if not link.engine.url.startswith("unix://"):
        return FAR
    if os.geteuid() != 0:
        return "only root may ask gVisor for a trace of an engine's container"
    try:
        told = await asyncio.to_thread(link.client.inspect_container, container)
        root = _root(int(told["State"]["Pid"]), str(told["Id"]))
        runsc = str(link.runtimes[link.runtime]["path"])
    except link.error:
        return "the engine does not tell of its container"
    except (ValueError, KeyError, TypeError):
        return "the engine does not say where its gVisor is"
    if not (root and Path(runsc).is_absolute()):
        return "the engine's container is no sandbox of a gVisor on this host"
    sink.config.write_text(json.dumps(session(os.fspath(sink.path), files=sink.files)["trace_session"]), "utf-8")
    asked = Child([runsc, root, "trace", "create", f"--config={sink.config}", str(told["Id"])], env={}, mute=True)
    try:
        async with asyncio.timeout(CREATE_S):
            status = await asked.ended()
    except TimeoutError:
        status = -1
    finally:
        await asked.end()
    if status == 0:
        sink.attached()
    return "" if status == 0 else "gVisor refused a trace of the engine's container"


def _root(pid: int, container: str) -> str:
    """Return the flag that names the state of the gVisor whose sandbox a process is; nothing when it is none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    named = words[0] == "runsc-sandbox" and container in words
    return next((word for word in words if named and word.startswith("--root=/")), "")
