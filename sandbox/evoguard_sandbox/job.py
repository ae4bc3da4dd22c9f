"""The second door: one command in a sandbox, and the proof that the room is what it says."""

from __future__ import annotations

import json
from dataclasses import replace

from evoguard_sandbox.judging.verdict import network_findings, room_finding
from evoguard_sandbox.rooms import spec
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.bites import egress_findings, reached_findings
from evoguard_sandbox.rooms.box import Order, Seen
from evoguard_sandbox.rooms.pool import Pool, run_box
from evoguard_sandbox.rooms.room import Proof, Room
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import Tree, TreeError, read_tree, wire
from evoguard_sandbox.types import Behaviour, Files, Job, JobReport, Limits, SandboxError

PROOF = Limits(wall_s=30)


async def execute(job: Job, *, limits: Limits, room: Room, pool: Pool | None = None) -> JobReport:
    """Run one command and return what it wrote, bounded. A command that fails is a report.

    Raises: SandboxError when no isolated run took place.
    """
    try:
        tree = read_tree(job.files, limits)
        read_tree({path: (0o100644, b"") for path in job.take}, limits)  # names inside the tree, each once
    except TreeError as err:
        nothing = Behaviour("not recorded", "nothing was run")
        return JobReport("void", None, b"", b"", (err.finding,), nothing, room.runsc_version, "", "", 0)
    make = make_of(job, limits, pooled=pool is not None)
    seen = await run_box(room, _order(job, tree, make, room), make, pool)
    if seen.outcome == "void":
        raise _no_run(seen)
    found = (
        *room_finding(seen.outcome, seen.why, "the command"),
        *reached_findings(seen.reached, "the command", limits=limits),
        *network_findings(seen.behaviour, ()),
        *egress_findings(seen.egress),
    )
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
        *_artefacts(seen, limits),
        seen.isolation,
        seen.usage,
        seen.egress,
    )


def make_of(job: Job, limits: Limits, *, pooled: bool = False) -> Make:
    """Return what a sandbox for this command is made for; in a pool, a Python that has started waits for its code."""
    plain = not job.record_files and not job.egress
    waits = pooled and plain and job.argv[:3] == ("python", "-I", "-c") and len(job.argv) > 3
    return Make("python" if waits else "job", limits, job.layer_dirs, job.record_files, job.egress)


def _order(job: Job, tree: Tree, make: Make, room: Room) -> Order:
    rows, contents = wire(tree, frozenset())
    env = dict(line.split("=", 1) for line in spec.env(spec.layers(make)))
    env |= spec.way_out_env() if job.egress else {}
    if make.mode == "python":
        told = json.dumps({"code": job.argv[3], "args": job.argv[4:], "env": env})
        return Order(told, rows, contents, take=job.take)
    argv = [room.python.guest_path if job.argv[0] == "python" else job.argv[0], *job.argv[1:]]
    return Order("", rows, contents, argv, job.take, env)


def _artefacts(seen: Seen, limits: Limits) -> tuple[Files, str]:
    """Return what came back, checked as any tree from outside; one bad name and none of it is believed."""
    if seen.outcome != "finished" or not seen.artefacts:
        return {}, seen.omitted
    taken = {path: (0o100755 if run else 0o100644, bytes(data)) for path, run, data in seen.artefacts}
    within = replace(limits, tree_files=limits.take_files, tree_bytes=limits.take_bytes)
    try:
        if len(taken) != len(seen.artefacts):
            return {}, "one path came back twice"
        read_tree(taken, within)
    except TreeError as err:
        return {}, err.finding.msg
    return taken, seen.omitted


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
