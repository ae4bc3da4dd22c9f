"""The sandbox room's report, told in the guard's own words."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from evoguard.domain.evidence import Behaviour, Evidence, TestResult, Usage
from evoguard.domain.verdict import Finding
from evoguard_sandbox import Finding as Said
from evoguard_sandbox import Limits, SuiteReport

MAX_TESTS_KEPT, MAX_RECORD_LINES, MAX_REVIEW, MAX_UNSTABLE = 2_000, 200, 100, 200
MAX_NUMBER = (1 << 53) - 1
"""The largest whole number that every reader of the stored JSON reads alike."""


def no_layer(tree: str, finding: Finding) -> Evidence:
    """Say that nothing was run because the base's dependencies cannot be installed as its lock has them."""
    return Evidence(tree, False, "", "not recorded", 0, 0, 0, (), (finding,), verdict="void")


def evidence_of(tree: str, report: SuiteReport, limits: Limits | None = None, image: str = "") -> Evidence:
    """Return a report as evidence about a tree.

    `limits` are those of one sandbox, to hold what was used against; `image` is the digest of its root filesystem.
    """
    runtime = f"{report.runsc}; kernel {report.kernel}; limits {report.limits_mode}"
    tests = (*report.tests, *report.new_tests)
    shown: dict[str, Behaviour] = {"recorded": "recorded", "incomplete": "incomplete"}
    return Evidence(
        tree=tree,
        passed=report.passed,
        isolation=report.isolation[:100],
        behaviour=shown.get(report.behaviour.status, "not recorded"),
        expected=len(report.expected),
        run=len(report.tests),
        added=len(report.new_tests),
        failed=sum(t.outcome in ("failed", "error") for t in tests),
        tests=tuple(TestResult(t.id, t.outcome, t.duration_ms) for t in tests[:MAX_TESTS_KEPT]),
        findings=tuple(Finding(f.code, f.msg, f.path, f.term) for f in report.findings),
        record=_record(report),
        runtime=f"{runtime[:200]}; image {image}" if image else runtime[:300],
        wall_ms=report.wall_ms,
        verdict=report.verdict,
        assurance=report.assurance,
        split=report.split,
        unproven=report.unproven,
        notes=report.notes,
        review=_findings(report.review, MAX_REVIEW),
        compared=report.compared,
        unstable=_unstable(report.unstable),
        usage=_usage(report),
        limits=_limits(limits) if limits is not None else Usage(),
    )


def _findings(found: Sequence[Said], most: int) -> tuple[Finding, ...]:
    return tuple(Finding(f.code, f.msg, f.path, f.term) for f in found[:most])


def _unstable(ids: Sequence[str]) -> tuple[str, ...]:
    """Return the ids, bounded, in the form that policies read.

    What stands for the rest is no id, so no quarantine covers it and policies refuse.
    """
    more = (f"and {len(ids) - MAX_UNSTABLE} more",) if len(ids) > MAX_UNSTABLE else ()
    return (*(normalize("NFC", one) for one in sorted(ids)[:MAX_UNSTABLE]), *more)


def _usage(report: SuiteReport) -> Usage:
    used = report.usage
    return Usage(_whole(used.memory_bytes), _whole(used.cpu_ms), _whole(used.tasks), _whole(report.wall_ms))


def _limits(limits: Limits) -> Usage:
    return Usage(_whole(limits.memory_bytes), 0, _whole(limits.pids), _whole(limits.wall_s * 1000))


def _whole(number: float) -> int:
    return min(MAX_NUMBER, max(0, int(number)))


def _record(report: SuiteReport) -> tuple[str, ...]:
    seen = report.behaviour
    lines = [f"connect {c.process} {c.family} {c.address} {c.port}" for c in seen.connects]
    lines += [f"exec {program}" for program in seen.programs]
    lines.append(f"clones {seen.clones}, lost events {seen.dropped}{', ' + seen.reason if seen.reason else ''}")
    return tuple(lines[:MAX_RECORD_LINES])
