"""The second door: one command in a sandbox, and the proof that the room is what it says."""

from __future__ import annotations

from evoguard_sandbox import spec
from evoguard_sandbox.box import Order, Seen, run_box
from evoguard_sandbox.room import Proof, Room
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import TreeError, read_tree, wire
from evoguard_sandbox.types import Behaviour, Job, JobReport, Limits, SandboxError
from evoguard_sandbox.verdict import network_findings, room_finding

PROOF = Limits(wall_s=30)


async def execute(job: Job, *, limits: Limits, room: Room) -> JobReport:
    """Run one command and return what it wrote, bounded. A command that fails is a report.

    Raises: SandboxError when no isolated run took place.
    """
    try:
        tree = read_tree(job.files, limits)
    except TreeError as err:
        nothing = Behaviour("not recorded", "nothing was run")
        return JobReport("void", None, b"", b"", (err.finding,), nothing, room.runsc_version, "", "", 0)
    rows, contents = wire(tree, frozenset())
    layers = [spec.LAYER, *(f"{spec.DEPS}/{n}" for n in range(len(job.layer_dirs)))]
    argv = [room.python.guest_path if job.argv[0] == "python" else job.argv[0], *job.argv[1:]]
    order = Order("job", argv, dict(line.split("=", 1) for line in spec.env(layers)), "", rows, contents)
    seen = await run_box(room, order, limits, job.layer_dirs)
    if seen.outcome == "void":
        raise _no_run(seen)
    found = (*room_finding(seen.outcome, seen.why, "the command"), *network_findings(seen.behaviour, ()))
    return JobReport(
        seen.outcome,
        seen.exit_status,
        bytes(seen.out),
        bytes(seen.err),
        found,
        seen.behaviour,
        room.runsc_version,
        seen.kernel,
        seen.limits_mode,
        seen.wall_ms,
    )


def _no_run(seen: Seen) -> SandboxError:
    if "not gVisor" in seen.why:
        return SandboxError("sandbox.not_gvisor", seen.why, "point the setting at a real gVisor runsc")
    return SandboxError(
        "sandbox.no_start", f"no sandbox could be started: {shown(seen.why, 600)}", "run `evoguard doctor`"
    )


async def prove(room: Room) -> Proof:
    """Start one sandbox; its kernel must be gVisor's. Raises: SandboxError in bounded time when it is not."""
    report = await execute(Job(("python", "-I", "-c", "import os; print(os.getuid())")), limits=PROOF, room=room)
    if report.outcome != "finished" or report.stdout != b"65534\n":
        told = shown((report.stderr or report.stdout).decode("utf-8", "replace"))
        raise SandboxError(
            "sandbox.no_start", f"a command in the sandbox did not run as an unprivileged user: {told}", ""
        )
    return Proof(report.runsc, report.kernel, report.limits_mode, report.behaviour.status, report.wall_ms)
