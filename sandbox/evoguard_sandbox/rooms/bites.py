"""Findings for the limits that bite inside the guest, and for what the way out refused.

- `sandbox.limit_{wall,output,memory,pids}` (`verdict.room_finding`): the host; an engine does not tell of tasks.
- `sandbox.limit_tests`: the host counts.
- `sandbox.limit_cpu`: PID 1 of the guest collects the process; SIGXCPU, or SIGKILL with its time used up. The host
  counts all processes together, and ends them (outcome `wall`) at twice that: gVisor hands no such limit to a fork.
- `sandbox.limit_processes`: gVisor's trace, a refused clone; PID 1 also counts tasks now and then.
- `sandbox.limit_file_size`: PID 1; SIGXFSZ, or a file of that size that is still there at the end.
- `sandbox.limit_tmp`: PID 1; a scratch folder that is full, seen now and then and at the end.
- `sandbox.limit_report`: PID 1 counts the bytes that it forwards; the outcome is `output`.
- none for the address space of one process and for open files: nobody is told of them but the program itself, by
  MemoryError and EMFILE. What is given back at once (a full folder, a large file) may be missed, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from evoguard_sandbox.types import Egress, Finding, Limits

MOST_NAMED = 20


def reached_findings(
    reached: Iterable[str], what: str, known: Iterable[str] = (), limits: Limits | None = None
) -> list[Finding]:
    """Return a finding for each of the guest's own limits that was reached and not already on the base (`known`)."""
    words = {
        "cpu": ("processor time", f", {limits.cpu_s} s a process" if limits else ""),
        "processes": ("processes and threads", f", {limits.processes}" if limits else ""),
        "file_size": ("one file's size", f", {limits.file_bytes >> 20} MiB" if limits else ""),
        "tmp": ("scratch space", f", {limits.tmp_bytes >> 20} MiB" if limits else ""),
        "report": ("what is reported", f", {limits.report_bytes >> 20} MiB" if limits else ""),
    }
    return [
        Finding(f"sandbox.limit_{name}", f"{what} reached the limit of {''.join(words[name])}", term=name)
        for name in sorted(set(reached) - set(known))
    ]


def egress_findings(log: Iterable[Egress]) -> list[Finding]:
    """Return a finding for each place that the way out refused or cut, once each."""
    found: dict[tuple[str, int], Finding] = {}
    for told in log:
        if told.why and (told.host, told.port) not in found and len(found) < MOST_NAMED:
            where = f"{told.host}:{told.port}" if told.host else "the way out"
            word = "cut" if told.allowed else "denied"
            found[told.host, told.port] = Finding(
                "sandbox.network_attempt", f"{told.method} {where}; {word}: {told.why}", term=where
            )
    return list(found.values())
