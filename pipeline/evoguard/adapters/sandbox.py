"""gVisor, run directly: the sandbox room's report translated into evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from evoguard.domain.evidence import Behaviour, Evidence, TestResult
from evoguard.domain.verdict import Finding
from evoguard.errors import ConfigError, UnavailableError
from evoguard.ports.forge import Blob
from evoguard_sandbox import Limits, Room, SandboxError, Suite, SuiteReport, prove, run, sweep

MAX_TESTS_KEPT, MAX_RECORD_LINES = 2_000, 200


class GvisorSandbox:
    """Opened once a process: finds gVisor, proves it at the first run, and sweeps what a killed process left behind."""

    def __init__(self, state: Path, *, runsc: Path, layer: Path, wall_s: float, at_once: int = 2) -> None:
        try:
            self._room = Room.open(state, runsc, layer)
            sweep(self._room)
        except SandboxError as err:
            raise ConfigError(err.message, code=err.code, fix=err.fix) from err
        self._limits = Limits(wall_s=wall_s)
        self._proving = asyncio.Lock()
        self._proved = False
        self._slots = asyncio.Semaphore(max(1, at_once))

    async def run(self, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob]) -> Evidence:
        """Run the suites in gVisor. Raises: UnavailableError when no isolated run took place."""
        suite = Suite(base_files=_files(base), candidate_files=_files(candidate))
        try:
            async with self._proving:
                if not self._proved:
                    await prove(self._room)
                    self._proved = True
            async with self._slots:
                report = await run(suite, limits=self._limits, room=self._room)
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        if not report.ran:
            first = report.findings[0].msg if report.findings else "no reason was given"
            raise UnavailableError("sandbox", f"no isolated run took place: {first}", fix="see `evoguard doctor`")
        return evidence_of(tree, report)


def evidence_of(tree: str, report: SuiteReport) -> Evidence:
    """Return a report as evidence about a tree."""
    tests = (*report.tests, *report.new_tests)
    shown: dict[str, Behaviour] = {"recorded": "recorded", "incomplete": "incomplete"}
    return Evidence(
        tree=tree,
        passed=report.passed,
        isolation="gvisor" if report.kernel else "",
        behaviour=shown.get(report.behaviour.status, "not recorded"),
        expected=len(report.expected),
        run=len(report.tests),
        added=len(report.new_tests),
        failed=sum(t.outcome in ("failed", "error") for t in tests),
        tests=tuple(TestResult(t.id, t.outcome, t.duration_ms) for t in tests[:MAX_TESTS_KEPT]),
        findings=tuple(Finding(f.code, f.msg, f.path, f.term) for f in report.findings),
        record=_record(report),
        runtime=f"{report.runsc}; kernel {report.kernel}; limits {report.limits_mode}"[:300],
        wall_ms=report.wall_ms,
    )


def _record(report: SuiteReport) -> tuple[str, ...]:
    seen = report.behaviour
    lines = [f"connect {c.process} {c.family} {c.address} {c.port}" for c in seen.connects]
    lines += [f"exec {program}" for program in seen.programs]
    lines.append(f"clones {seen.clones}, lost events {seen.dropped}{', ' + seen.reason if seen.reason else ''}")
    return tuple(lines[:MAX_RECORD_LINES])


def _files(tree: Mapping[str, Blob]) -> dict[str, tuple[int, bytes]]:
    return {path: (int(blob.mode, 8), blob.data) for path, blob in tree.items()}
