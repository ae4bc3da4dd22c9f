"""The verdict: arithmetic on what was seen. Each rule names one way to be wrong or to cheat; no finding is a pass."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evoguard_sandbox.facts import RunFacts
from evoguard_sandbox.types import Behaviour, Connect, Finding, Outcome

MOST_NAMED = 20
GOOD = frozenset({"passed", "xpassed"})
QUIET = frozenset({"skipped", "xfailed"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is made of: the base on itself, the base's tests on the candidate, the candidate's new tests."""

    base: RunFacts
    candidate: RunFacts
    new: RunFacts | None = None
    changes: tuple[Finding, ...] = ()
    most_tests: int = 50_000

    @property
    def expected(self) -> tuple[str, ...]:
        """The ids that the base's own run reported."""
        return tuple(test.id for test in self.base.tests)

    @property
    def runs(self) -> list[tuple[str, RunFacts]]:
        """The runs that hold candidate code, with the words for them."""
        more = [("the candidate's new tests", self.new)] if self.new is not None else []
        return [("the base's tests on the candidate", self.candidate), *more]


Rule = Callable[[Evidence], Iterable[Finding]]


def room_finding(outcome: Outcome, why: str, what: str) -> list[Finding]:
    """Return the finding for a run that did not come to its own end."""
    if outcome == "finished":
        return []
    if outcome == "void":
        return [Finding("sandbox.void", f"the room failed while running {what}, so nothing is proved: {why}")]
    if outcome == "crashed":
        return [Finding("sandbox.crashed", f"the sandbox died while running {what}: {why}")]
    words = {"wall": "time", "output": "output", "memory": "memory", "pids": "processes"}[outcome]
    return [Finding(f"sandbox.limit_{outcome}", f"{what} ran over the limit of {words}: {why}", term=outcome)]


def room(e: Evidence) -> Iterable[Finding]:
    """Every sandbox came to its own end by the host's facts."""
    for what, run in [("the base's tests on the base", e.base), *e.runs]:
        yield from room_finding(run.outcome, run.why, what)
        if run.found is not None and run.found > e.most_tests:
            yield Finding(
                "sandbox.limit_tests", f"{what} are {run.found}, more than the {e.most_tests} allowed", term="tests"
            )


def base_green(e: Evidence) -> Iterable[Finding]:
    """The base passes its own tests; otherwise they prove nothing of the candidate."""
    if e.base.outcome != "finished":
        return
    bad = [t for t in e.base.tests if t.outcome not in GOOD | QUIET]
    names = [t.id for t in bad] + [path for path, _ in e.base.uncollected]
    if names or e.base.ended_early or not any(t.outcome in GOOD for t in e.base.tests):
        told = ", ".join(names[:3]) or (e.base.output.splitlines() or ["no test passed"])[-1]
        yield Finding(
            "tests.base_not_green",
            f"the base fails its own tests, so they prove nothing: {told}",
            term=(names or [""])[0],
        )


def changed(e: Evidence) -> Iterable[Finding]:
    """The candidate left the base's tests and test configuration alone."""
    named = e.changes[:MOST_NAMED]
    yield from named
    if len(e.changes) > len(named):
        yield Finding(
            e.changes[-1].code, f"and {len(e.changes) - len(named)} more changes of tests or test configuration"
        )


def frames(e: Evidence) -> Iterable[Finding]:
    """The report pipe held the runner's reports and nothing else."""
    for what, run in e.runs:
        if run.forged:
            yield Finding(
                "tests.forged_frames", f"while running {what}, something else wrote to the report pipe: {run.forged}"
            )


def patched(e: Evidence) -> Iterable[Finding]:
    """The test runner in memory is the one that was loaded."""
    for what, run in e.runs:
        if run.patched:
            text = f"while running {what}, code under test replaced a part of the test runner in memory: {run.patched}"
            yield Finding("tests.runner_patched", text, term=run.patched)


def ended_early(e: Evidence) -> Iterable[Finding]:
    """The test process came to its own end; an early exit with status 0 looks like success and is none."""
    for what, run in e.runs:
        if run.ended_early:
            total = len(e.expected) if run is e.candidate else run.found
            of = "of an unknown number of" if total is None else f"of {total}"
            status = "an unknown exit status" if run.exit_status is None else _ending(run.exit_status)
            how = f"on {run.broke}" if run.broke else f"with {status}"
            text = f"the test process ended early, {how}, after {len(run.tests)} {of} tests ({what})"
            yield Finding(
                "tests.ended_early", f"{text}; code under test ended it or killed it", term=str(run.exit_status)
            )


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def none_ran(e: Evidence) -> Iterable[Finding]:
    """At least one test ran on the candidate: empty proves nothing."""
    run = e.candidate
    if run.outcome == "finished" and not run.ended_early and all(t.outcome in QUIET for t in run.tests):
        yield Finding("tests.none_ran", "not a single test ran on the candidate; empty proves nothing")


def inventory(e: Evidence) -> Iterable[Finding]:
    """Exactly the tests of the base reported an outcome."""
    run = e.candidate
    if run.outcome != "finished" or run.ended_early:
        return
    seen, expected = run.outcome_of(), e.expected
    missing = [i for i in expected if i not in seen]
    extra = [i for i in seen if i not in set(expected)]
    if missing:
        text = f"{len(missing)} of the base's {len(expected)} tests never reported: {', '.join(missing[:3])}"
        yield Finding("tests.missing", text, term=missing[0])
    if extra:
        text = f"{len(extra)} tests reported that the base does not have: {', '.join(extra[:3])}"
        yield Finding("tests.extra", text, term=extra[0])


def failed(e: Evidence) -> Iterable[Finding]:
    """No test failed, and every test file could be read."""
    for what, run in e.runs:
        bad = [(t.id, t.outcome, t.why) for t in run.tests if t.outcome not in GOOD | QUIET]
        bad += [(path, "could not be collected", why) for path, why in run.uncollected]
        for name, how, why in bad[:MOST_NAMED]:
            text = f"{name}: {how}" + (f": {why}" if why else "") + f" ({what})"
            if "SystemExit" in why:
                text += "; code under test tries to end the test process"
            yield Finding("tests.failed", text, name.partition("::")[0], name)
        if len(bad) > MOST_NAMED:
            yield Finding("tests.failed", f"and {len(bad) - MOST_NAMED} more ({what})")
        if run.outcome == "finished" and not bad and not run.ended_early and run.end_status not in (0, 5):
            yield Finding(
                "tests.failed", f"pytest ended with status {run.end_status} ({what})", term=str(run.end_status)
            )


def skips(e: Evidence) -> Iterable[Finding]:
    """A test is skipped or expected to fail only where the base had the same."""
    base = e.base.outcome_of()
    turned = [t for t in e.candidate.tests if t.outcome in QUIET and base.get(t.id) != t.outcome]
    for test in turned[:MOST_NAMED]:
        text = (
            f"{test.id} was {test.outcome} on the candidate but {base.get(test.id, 'absent')} on the base: {test.why}"
        )
        yield Finding("tests.unexpected_skip", text, test.id.partition("::")[0], test.id)


def network(e: Evidence) -> Iterable[Finding]:
    """Nothing tried to leave the sandbox that did not already try on the base."""
    for _, run in e.runs:
        yield from network_findings(run.behaviour, e.base.behaviour.connects)


def network_findings(behaviour: Behaviour, known: tuple[Connect, ...]) -> Iterable[Finding]:
    """Return a finding for each attempt to reach outside. Loopback is the guest's own, a name lookup is not."""
    seen = {(c.process, c.address, c.port) for c in known}
    named: set[tuple[str, int]] = set()
    for c in behaviour.connects:
        outside = c.family in ("inet", "inet6") and (not ipaddress.ip_address(c.address).is_loopback or c.port == 53)
        if not outside or (c.process, c.address, c.port) in seen or (c.address, c.port) in named:
            continue
        named.add((c.address, c.port))
        where = f"[{c.address}]:{c.port}" if c.family == "inet6" else f"{c.address}:{c.port}"
        what = f"tried to look up a host name through {where}" if c.port == 53 else f"tried to connect to {where}"
        yield Finding("sandbox.network_attempt", f"process {c.process} {what}; denied: no network", term=where)
        if len(named) >= MOST_NAMED:
            return


RULES: tuple[Rule, ...] = (
    room,
    base_green,
    changed,
    frames,
    patched,
    ended_early,
    none_ran,
    inventory,
    failed,
    skips,
    network,
)


def judge(evidence: Evidence, rules: tuple[Rule, ...] = RULES) -> tuple[Finding, ...]:
    """Return every reason for a no; an empty answer is a pass."""
    return tuple(dict.fromkeys(finding for rule in rules for finding in rule(evidence)))


def counts(run: RunFacts) -> dict[str, int]:
    """Count tests by outcome."""
    found: dict[str, int] = {}
    for test in run.tests:
        found[test.outcome] = found.get(test.outcome, 0) + 1
    return found
