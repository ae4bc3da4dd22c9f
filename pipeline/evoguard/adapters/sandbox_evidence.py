"""The sandbox room's report, told in the guard's own words."""

from __future__ import annotations

from evoguard.domain.evidence import Behaviour, Evidence, TestResult
from evoguard.domain.verdict import Finding
from evoguard_sandbox import SuiteReport

MAX_TESTS_KEPT, MAX_RECORD_LINES = 2_000, 200


def no_layer(tree: str, finding: Finding) -> Evidence:
    """Say that nothing was run because the base's dependencies cannot be installed as its lock has them."""
    return Evidence(tree, False, "", "not recorded", 0, 0, 0, (), (finding,), verdict="void")


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
        verdict=report.verdict,
        assurance=report.assurance,
        split=report.split,
        unproven=report.unproven,
        notes=report.notes,
    )


def _record(report: SuiteReport) -> tuple[str, ...]:
    seen = report.behaviour
    lines = [f"connect {c.process} {c.family} {c.address} {c.port}" for c in seen.connects]
    lines += [f"exec {program}" for program in seen.programs]
    lines.append(f"clones {seen.clones}, lost events {seen.dropped}{', ' + seen.reason if seen.reason else ''}")
    return tuple(lines[:MAX_RECORD_LINES])
