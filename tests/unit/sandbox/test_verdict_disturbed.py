"""Mutants that disturb other tests: they accuse, and a run without them judges what they disturb."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard_sandbox.judging.evidence import Base, Evidence
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.mutants import Site
from evoguard_sandbox.judging.verdict import judge
from unit.sandbox.seen_runs import CANARY, a_run


def disturbed(
    unmutated: RunFacts, first: RunFacts, again: RunFacts | None = None, alone: RunFacts | None = None
) -> Evidence:
    """Evidence of a base whose `t0` was made false in the first half, fails then, and disturbs `t1`."""
    picked = {"t.py": [Site("t.py", "t0", "equal", (1, 0), (1, 1))]}
    base = Base(
        a_run("passed", "passed", "passed"),
        (picked, {}),
        (frozenset({"t.py::t0"}), frozenset()),
        disturbed=frozenset({"t.py::t1"}),
    )
    second = a_run("passed", "passed", "passed")
    return Evidence(base, (first, second), CANARY, unmutated=unmutated, again=(again, None), alone=(alone, None))


ALL_GREEN = a_run("passed", "passed", "passed")
FALSE = a_run("failed", "failed", "passed")


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (disturbed(ALL_GREEN, FALSE), []),
        # What is disturbed is judged where nothing is false, and all else there too.
        (disturbed(a_run("passed", "failed", "passed"), FALSE), ["tests.failed"]),
        (disturbed(a_run("passed", "skipped", "passed"), FALSE), ["tests.unexpected_skip"]),
        (disturbed(a_run("failed", "passed", "passed"), FALSE), ["tests.failed"]),
        (disturbed(a_run("passed", "passed"), FALSE), ["tests.vanished"]),
        (disturbed(replace(ALL_GREEN, end_status=None), FALSE), ["tests.ended_early"]),
        (disturbed(replace(ALL_GREEN, forged="x"), FALSE), ["tests.forged_frames"]),
        # What is not disturbed is judged everywhere, unless the very same false tests spoil it on the base.
        (disturbed(ALL_GREEN, a_run("failed", "failed", "failed")), ["tests.failed"]),
        (disturbed(ALL_GREEN, a_run("failed", "failed", "failed"), FALSE), ["tests.failed"]),
        (disturbed(ALL_GREEN, a_run("failed", "failed", "failed"), a_run("failed", "failed", "failed")), []),
        (disturbed(a_run("passed", "passed", "failed"), FALSE, a_run("failed", "failed", "failed")), ["tests.failed"]),
        # And mutants still accuse, by themselves alone: together with others one may fail for their sake.
        (disturbed(ALL_GREEN, ALL_GREEN, None, a_run("failed", "passed", "passed")), ["tests.mutant_passed"]),
        (disturbed(ALL_GREEN, ALL_GREEN, FALSE, ALL_GREEN), []),
        (disturbed(ALL_GREEN, ALL_GREEN, FALSE), ["tests.mutant_passed"]),
        (disturbed(ALL_GREEN, ALL_GREEN, None, replace(ALL_GREEN, outcome="wall")), ["sandbox.limit_wall"]),
    ],
)
def test_mutants_that_disturb_other_tests_accuse_and_the_run_without_them_judges(seen, says):
    assert [f.code for f in judge(seen)] == says


@pytest.mark.parametrize(
    ("first", "suspects", "doubtful"),
    [(FALSE, "", ""), (ALL_GREEN, "t0", ""), (a_run("failed", "failed", "failed"), "", "t2")],
)
def test_what_is_unclear_is_run_on_the_base_again(first, suspects, doubtful):
    seen = disturbed(ALL_GREEN, first)
    assert seen.suspects == ({f"t.py::{name}" for name in suspects.split()}, set())
    assert seen.doubtful == ({f"t.py::{name}" for name in doubtful.split()}, set())


def test_a_test_that_others_disturb_is_not_proved_by_its_mutant():
    seen = disturbed(ALL_GREEN, FALSE)
    alone = replace(seen, base=replace(seen.base, biting=(frozenset({"t.py::t0", "t.py::t1"}), frozenset())))
    assert (seen.unproven, alone.unproven) == (2, 2)
