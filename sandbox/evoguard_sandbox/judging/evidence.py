"""What a verdict is made of: the base as it was measured, and every run that held code of the candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.mutants import Site
from evoguard_sandbox.trees import Tree
from evoguard_sandbox.types import Finding, TestResult

GOOD = frozenset({"passed", "xpassed"})
QUIET = frozenset({"skipped", "xfailed"})
RED = frozenset({"failed", "error"})
ON_CANDIDATE = "the base's tests on the candidate"
OWN_LAYERS = "the tests with the candidate's own dependencies"
Picked = Mapping[str, Sequence[Site]]
"""The assertions that were made false, by file."""


@dataclass(frozen=True, slots=True)
class Held:
    """The runs of the held-out tests: apart from the code, and beside it where not all of them run so on the base.

    In `false` those beside it were made false; `texts` are the files that did so, `draws` what was drawn.
    """

    apart: RunFacts | None = None
    beside: RunFacts | None = None
    false: RunFacts | None = None
    texts: Tree = field(default_factory=dict)
    draws: int = 0

    @property
    def runs(self) -> tuple[RunFacts, ...]:
        """Return those that took place."""
        return tuple(run for run in (self.apart, self.beside, self.false) if run is not None)

    @property
    def biting(self) -> frozenset[str]:
        """The ids of which nothing is known but from beside the code, and that fail when they are made false."""
        if self.beside is None or self.false is None or not told_well(self.false):
            return frozenset()
        return (failed(self.false) & passed(self.beside)) - (
            passed(self.apart) if self.apart is not None else frozenset()
        )

    @property
    def wall_ms(self) -> int:
        """Return what they took, one after the other."""
        return sum(run.wall_ms for run in self.runs)

    @property
    def green(self) -> bool:
        """Tell whether nothing is red in the run that has all of them; in the other some fail on the base, too."""
        whole = self.beside or self.apart
        return whole is not None and green(whole) and all(told_well(run) for run in self.runs)

    def lost(self, now: Held) -> frozenset[str]:
        """Return the ids that came out well here, and `now` not: a test that is skipped or gone proves nothing."""
        found: set[str] = set()
        for was, seen in ((self.apart, now.apart), (self.beside, now.beside)):
            told = seen.outcome_of() if seen is not None else {}
            for test in was.tests if was is not None else ():
                quiet = test.outcome in QUIET and told.get(test.id) == test.outcome
                if test.outcome in GOOD | QUIET and told.get(test.id) not in GOOD and not quiet:
                    found.add(test.id)
        return frozenset(found)

    def forged(self, now: Held) -> frozenset[str]:
        """Return the ids that were red here when they were false, and `now` are not: who says so has not looked."""
        return self.biting - (failed(now.false) if now.false is not None else frozenset())


@dataclass(frozen=True, slots=True)
class Base:
    """The base, measured by us. `biting` tells, for each mutated half, which ids were seen to fail because of it."""

    plain: RunFacts
    halves: tuple[Picked, Picked] = ({}, {})
    biting: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    shuffled: bool = False
    split: frozenset[str] = frozenset()
    """The ids that passed when the tests ran apart from the code."""
    beside: frozenset[str] = frozenset()
    """The ids that are not run apart from the code: on the base they asked it too much or took too long there."""
    packages: tuple[str, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    """What kind of answer each use of the code got, in the runs apart from it."""
    disturbed: frozenset[str] = frozenset()
    """The ids that come out otherwise while other tests are false: only a run without mutants tells of them."""
    unstable: frozenset[str] = frozenset()
    """The ids whose outcome was not the same in every run of the base: they judge nothing."""
    untrusted: frozenset[str] = frozenset()
    """The ids that come from files which are not test files here: a candidate could rewrite them."""
    held: Held = field(default_factory=Held)

    @property
    def passing(self) -> frozenset[str]:
        """Return the ids that passed and that came out the same each time."""
        return passed(self.plain) - self.unstable


@dataclass(frozen=True)
class Evidence:
    """All runs of one suite. In each of `halves` the other half of the base's tests was made false."""

    base: Base
    halves: tuple[RunFacts, RunFacts]
    canary: RunFacts
    new: RunFacts | None = None
    split: RunFacts | None = None
    held: Held | None = None
    held_again: Held | None = None
    """The same once more on the base, where one of them is lost: only what comes out well each time counts."""
    changes: tuple[Finding, ...] = ()
    most_tests: int = 50_000
    notes: tuple[str, ...] = ()
    again: tuple[RunFacts | None, RunFacts | None] = (None, None)
    """The very same false tests on the base, for each half in which something is unclear."""
    alone: tuple[RunFacts | None, RunFacts | None] = (None, None)
    """The same, with none false but the suspects, where the false tests disturb others."""
    unmutated: RunFacts | None = None
    """The base's tests with none of them made false, where the false ones disturb others."""
    own_layers: RunFacts | None = None
    """The tests with the dependencies that the candidate asks for, when it asks for others."""

    @cached_property
    def expected(self) -> tuple[str, ...]:
        """The ids that the base's own run reported and that come out the same each time."""
        return tuple(test.id for test in self.base.plain.tests if test.id not in self.base.unstable)

    @cached_property
    def runs(self) -> list[tuple[str, RunFacts]]:
        """The runs that hold candidate code and may be told in full, with the words for them."""
        more = [("the candidate's new tests", self.new)] if self.new is not None else []
        more += [("the tests apart from the code", self.split)] if self.split is not None else []
        more += [(OWN_LAYERS, self.own_layers)] if self.own_layers is not None else []
        return [*((ON_CANDIDATE, run) for run in self.told), *more]

    @property
    def told(self) -> tuple[RunFacts, ...]:
        """Return the runs of the base's tests, first the one that says most of those that were not made false."""
        return (self.unmutated, *self.halves) if self.unmutated is not None else self.halves

    @cached_property
    def plain(self) -> dict[str, TestResult]:
        """Each of the base's steady tests as it came out where it was not mutated; the worst of all such runs."""
        found: dict[str, TestResult] = {}
        told = [
            test
            for run, picked, again in zip(self.halves, self.base.halves, self.again, strict=True)
            for test in self._untouched(run, picked)
            if self.unmutated is None or again is None or again.outcome_of().get(test.id) not in RED
        ]
        for test in [*told, *(self.unmutated.tests if self.unmutated is not None else ())]:
            if test.id not in self.base.unstable and (test.id not in found or test.outcome not in GOOD):
                found[test.id] = test
        order = {name: n for n, name in enumerate(self.expected)}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))

    def _untouched(self, run: RunFacts, picked: Picked) -> list[TestResult]:
        """Return the tests of a mutated half that were not made false, nor disturbed by those on the base."""
        touched = functions(picked)
        return [t for t in run.tests if t.id not in self.base.disturbed and function_of(t.id) not in touched]

    @cached_property
    def doubtful(self) -> tuple[frozenset[str], frozenset[str]]:
        """For each half: the ids that are red in it and pass without it, so that the false tests may be why."""
        good = frozenset() if self.unmutated is None else passed(self.unmutated)
        first, second = (
            good & {t.id for t in self._untouched(run, picked) if t.outcome in RED}
            for run, picked in zip(self.halves, self.base.halves, strict=True)
        )
        return first, second

    @cached_property
    def red(self) -> tuple[frozenset[str], frozenset[str]]:
        """For each half: the ids that are red in it, where the base's tests are shuffled and only some are red.

        The order may be why: then the base fails them as well, with the same tests false in the same order. None where
        one of them is red apart from the code, too: there all run in file order and nothing is false.
        """
        first, second = (
            frozenset(t.id for t in self._untouched(run, picked) if t.outcome in RED) & self.base.passing
            for run, picked in zip(self.halves, self.base.halves, strict=True)
        )
        apart = failed(self.split) if self.split is not None else frozenset()
        few = self.base.shuffled and len(first | second) <= allowed(len(self.expected)) and not (first | second) & apart
        return (first, second) if few else (frozenset(), frozenset())

    @property
    def moved(self) -> bool:
        """Tell whether some of the red are so on the base, too."""
        pairs = zip(self.red, self.again, strict=True)
        return any(again is not None and red & failed(again) for red, again in pairs)

    @cached_property
    def suspects(self) -> tuple[frozenset[str], frozenset[str]]:
        """For each half: the ids that pass, and that did not fail either when they had been made false."""
        first, second = (
            frozenset(
                name
                for name, outcome in run.outcome_of().items()
                if name in biting and outcome not in RED and self._passes(name)
            )
            for run, biting in zip(self.halves, self.base.biting, strict=True)
        )
        return first, second

    def _passes(self, name: str) -> bool:
        return name in self.plain and self.plain[name].outcome in GOOD

    @cached_property
    def forged(self) -> tuple[str, ...]:
        """The suspects whose false test, byte for byte, fails on the base: no honest code passes that.

        Where the base passes it too (an equality with a tolerance, say), nothing is proved either way.
        """
        found: set[str] = set()
        for suspects, same in zip(self.suspects, self.alone if self.base.disturbed else self.again, strict=True):
            red = None if same is None else failed(same)
            found |= suspects if red is None else suspects & red
        return tuple(sorted(found))

    @property
    def held_lost(self) -> frozenset[str]:
        """The held-out tests that came out well on the base each time, and not on the candidate."""
        if self.held is None:
            return frozenset()
        lost = self.base.held.lost(self.held)
        return lost & self.held_again.lost(self.held) if self.held_again is not None else lost

    @property
    def unproven(self) -> int:
        """Return how many passing tests no mutant was seen to fail for, in this verdict or on the base."""
        seen = [half - suspects for half, suspects in zip(self.base.biting, self.suspects, strict=True)]
        # What others disturb may have failed for their sake alone.
        return len(self.base.passing - ((seen[0] | seen[1]) - self.base.disturbed))

    @property
    def apart(self) -> frozenset[str]:
        """Return the ids that passed apart from the code, on the base and on the candidate."""
        if self.split is None or self.split.outcome != "finished":
            return frozenset()
        return passed(self.split) & self.base.split & self.base.passing


def allowed(tests: int) -> int:
    """Return how many of so many tests may come out differently each time and the rest still judge."""
    return max(3, tests // 20)


def functions(picked: Picked) -> frozenset[str]:
    """Return the names of the mutated tests, without file, class and parameters.

    A class may inherit a test from another file, so only the name tells what was mutated where.
    """
    return frozenset(function_of(site.test) for chosen in picked.values() for site in chosen)


def function_of(test_id: str) -> str:
    """Return the name of a test id's function, without file, class and parameters; a file's name may hold brackets."""
    _, found, rest = test_id.partition(".py::" if ".py::" in test_id else "::")
    return (rest if found else test_id).partition("[")[0].rpartition("::")[2]


def failed(run: RunFacts) -> frozenset[str]:
    """Return the ids that failed."""
    return frozenset(t.id for t in run.tests if t.outcome in RED)


def passed(run: RunFacts) -> frozenset[str]:
    """Return the ids that passed."""
    return frozenset(t.id for t in run.tests if t.outcome in GOOD)


def told_well(run: RunFacts) -> bool:
    """Tell whether a run came to its own end with nothing forged."""
    return run.outcome == "finished" and not (run.ended_early or run.forged or run.patched)


def whole(run: RunFacts) -> bool:
    """Tell whether a run came to its own end, with every file read and nothing forged."""
    return told_well(run) and not run.uncollected


def green(run: RunFacts, but: frozenset[str] = frozenset()) -> bool:
    """Tell whether a run came to its own end with something passed and nothing failed, `but` left aside."""
    ended = run.outcome == "finished" and not run.ended_early and not run.forged and not run.uncollected
    return ended and bool(passed(run) - but) and all(t.outcome in GOOD | QUIET for t in run.tests if t.id not in but)
