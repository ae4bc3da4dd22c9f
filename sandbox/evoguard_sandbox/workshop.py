"""Where a source archive becomes a wheel: a sandbox without network, with pinned build tools and nothing else.

The archive's own code runs there and nowhere else. What comes back is one bounded file, looked at as any wheel is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from evoguard_sandbox.installing.locks import Pin
from evoguard_sandbox.installing.pip import pip
from evoguard_sandbox.job import execute
from evoguard_sandbox.layers import Caps, Fetch, Layer, build, hold
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.rooms.spec import GUEST
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Job, JobReport, LayerError, Limits

TOOLS_LOCK = Path(__file__).parent / "build-tools.lock"
LIMITS = Limits(wall_s=180, cpu_s=180, take_files=2, take_bytes=64 << 20, tree_bytes=64 << 20)
MISSING = 3
PURE = "pin a release that has a wheel for this Python"


@dataclass(frozen=True)
class Workshop:
    """Builds in one room's sandboxes; the tools are a layer of their own in `folder`, made when first needed."""

    room: Room
    folder: Path
    fetch: Fetch = pip
    limits: Limits = LIMITS
    lock: bytes = field(default_factory=TOOLS_LOCK.read_bytes)
    """What the tools are made from."""

    def tools(self) -> str:
        """Return the digest of what is built with. Raises: LayerError."""
        return self._tools().digest

    def wheel(self, pin: Pin, archive: str, data: bytes, caps: Caps) -> tuple[str, bytes]:
        """Return the file name and the bytes of the wheel that an archive became.

        Raises: LayerError when it does not become one within the bounds, or tries the network; SandboxError when no
        isolated run took place.
        """
        del caps  # the sandbox's own bounds are narrower, and what comes back is checked as any wheel
        job = Job(
            ("python", "-P", "-B", f"{GUEST}/build_wheel.py"), {archive: (0o100644, data)}, take=("out",),
        )  # fmt: skip
        with hold(self._tools()) as folder:
            report = self._run(replace(job, layer_dirs=(folder,)))
        name = f"{shown(pin.name)} {shown(pin.version)}"
        if report.exit_status or report.outcome != "finished" or report.findings:
            raise _refused(name, report)
        wheels = {path.removeprefix("out/"): held for path, (_, held) in report.artefacts.items()}
        if len(wheels) != 1 or report.omitted:
            why = report.omitted or f"{len(wheels)} files came back"
            raise LayerError("layer.build_failed", f"building {name} gave no one wheel: {shown(why, 200)}", PURE)
        return wheels.popitem()

    def _run(self, job: Job) -> JobReport:
        """Run it on an event loop of its own: whoever builds a layer may stand on one already."""
        with ThreadPoolExecutor(1, thread_name_prefix="evoguard-workshop") as thread:
            return thread.submit(lambda: asyncio.run(execute(job, limits=self.limits, room=self.room))).result()

    def _tools(self) -> Layer:
        return build(self.lock, folder=self.folder, python=self.room.python, fetch=self.fetch)


def _refused(name: str, report: JobReport) -> LayerError:
    last: Sequence[str] = report.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    words = shown(last[0], 200) if last else "it said nothing"
    if report.findings:
        return LayerError("layer.build_refused", f"building {name} was ended: {report.findings[0].msg}", PURE)
    if report.exit_status == MISSING and words.startswith("not here:"):
        fix = "pin a release that has a wheel; only common build tools of pure Python are here"
        return LayerError("layer.build_tool", f"building {name} needs what is {words}", fix)
    return LayerError("layer.build_failed", f"{name} cannot be built in the sandbox: {words}", PURE)
