"""What a verdict is made of: the base as it was measured, and every run that held code of the candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from evoguard_sandbox.facts import RunFacts
from evoguard_sandbox.mutants import Site
from evoguard_sandbox.types import Finding, TestResult

GOOD = frozenset({"passed", "xpassed"})
QUIET = frozenset({"skipped", "xfailed"})
RED = frozenset({"failed", "error"})
ON_CANDIDATE = "the base's tests on the candidate"
Picked = Mapping[str, Sequence[Site]]
"""The assertions that were made false, by file."""


@dataclass(frozen=True, slots=True)
class Base:
    """The base, measured by us. `biting` tells, for each mutated half, which ids were seen to fail because of it."""

    plain: RunFacts
    halves: tuple[Picked, Picked] = ({}, {})
    biting: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    shuffled: bool = False
    split: frozenset[str] = frozenset()
    """The ids that passed when the tests ran apart from the code."""
    packages: tuple[str, ...] = ()
    unstable: frozenset[str] = frozenset()
    """The ids whose outcome was not the same in every run of the base."""

    untrusted: frozenset[str] = frozenset()
    """The ids that come from files which are not test files here: a candidate could rewrite them."""
    held_apart: bool = False
    """Whether the held-out tests pass on the base apart from the code; then they run so on the candidate."""

    @property
    def unproven(self) -> int:
        """Return how many passing tests no mutant was seen to fail for."""
        return len(passed(self.plain) - self.biting[0] - self.biting[1])


@dataclass(frozen=True)
class Evidence:
    """All runs of one suite. In each of `halves` the other half of the base's tests was made false."""

    base: Base
    halves: tuple[RunFacts, RunFacts]
    canary: RunFacts
    new: RunFacts | None = None
    split: RunFacts | None = None
    held: RunFacts | None = None
    changes: tuple[Finding, ...] = ()
    most_tests: int = 50_000
    notes: tuple[str, ...] = ()

    @cached_property
    def expected(self) -> tuple[str, ...]:
        """The ids that the base's own run reported."""
        return tuple(test.id for test in self.base.plain.tests)

    @cached_property
    def runs(self) -> list[tuple[str, RunFacts]]:
        """The runs that hold candidate code and may be told in full, with the words for them."""
        more = [("the candidate's new tests", self.new)] if self.new is not None else []
        more += [("the tests apart from the code", self.split)] if self.split is not None else []
        return [*((ON_CANDIDATE, run) for run in self.halves), *more]

    @cached_property
    def plain(self) -> dict[str, TestResult]:
        """Each of the base's tests as it came out where it was not mutated; the worse of two."""
        found: dict[str, TestResult] = {}
        for run, picked in zip(self.halves, self.base.halves, strict=True):
            touched = functions(picked)
            for test in run.tests:
                if function_of(test.id) not in touched and (test.id not in found or test.outcome not in GOOD):
                    found[test.id] = test
        order = {name: n for n, name in enumerate(self.expected)}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def functions(picked: Picked) -> frozenset[str]:
    """Return the mutated tests as `path::test`, without parameters."""
    return frozenset(f"{path}::{site.test}" for path, chosen in picked.items() for site in chosen)


def function_of(test_id: str) -> str:
    """Return the function of a test id: the id without its parameters."""
    return test_id.partition("[")[0]


def passed(run: RunFacts) -> frozenset[str]:
    """Return the ids that passed."""
    return frozenset(t.id for t in run.tests if t.outcome in GOOD)


def green(run: RunFacts) -> bool:
    """Tell whether a run came to its own end with something passed and nothing failed."""
    ended = run.outcome == "finished" and not run.ended_early and not run.forged and not run.uncollected
    return ended and bool(passed(run)) and all(t.outcome in GOOD | QUIET for t in run.tests)
