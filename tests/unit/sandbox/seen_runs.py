"""Runs and evidence for the tests of the verdict, made by hand."""

from __future__ import annotations

from dataclasses import replace

from evoguard_sandbox.judging.evidence import Base, Evidence
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.types import TestResult


def a_run(*outcomes: str, **more) -> RunFacts:
    tests = tuple(TestResult(f"t.py::t{n}", outcome, 1, "why") for n, outcome in enumerate(outcomes))
    red = any(o in ("failed", "error") for o in outcomes)
    plain = RunFacts("finished", found=len(tests), tests=tests, end_status=int(red), exit_status=int(red))
    return replace(plain, **more)


GREEN, TWO = a_run("passed", "skipped", "xfailed"), a_run("passed", "passed")
CANARY = RunFacts(
    "finished",
    tests=(TestResult("test_canary.py::test_good", "passed", 1), TestResult("test_canary.py::test_bad", "failed", 1)),
    end_status=1,
    exit_status=1,
)


def evidence(candidate: RunFacts = GREEN, base: RunFacts = GREEN, **more) -> Evidence:
    return Evidence(Base(base), (candidate, candidate), **{"canary": CANARY, **more})
