"""The verdict: arithmetic on what was seen. Each rule names one way to be wrong or to cheat; no finding is a pass."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable

from evoguard_sandbox.judging.evidence import (
    GOOD,
    ON_CANDIDATE,
    OWN_LAYERS,
    QUIET,
    RED,
    Base,
    Evidence,
    allowed,
    functions,
)
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.types import Assurance, Behaviour, Connect, Finding, Outcome, TestResult, Verdict

MOST_NAMED, MOST_WHY = 20, 200
LEAST_MUTATED = 3
"""Of so many false tests one must fail on the base; fewer may all be such as a false value does not reach."""
USAGE = 4
"""The status that pytest ends with when it refuses its options or its configuration."""
ERROR_LINE = re.compile(r"(\S+: error|ERROR|INTERNALERROR>.*Error|E +\S*Error): ")
FALSE_ON_BASE = "the false tests on the base"
CANARIES = {"test_canary.py::test_good": "passed", "test_canary.py::test_bad": "failed"}
TAMPER = frozenset(
    {"tests.forged_frames", "tests.runner_patched", "tests.mutant_passed", "tests.split_forged", "tests.vanished"}
)
VOID = frozenset({"sandbox.void", "sandbox.canary"})

Rule = Callable[[Evidence], Iterable[Finding]]


def room_finding(outcome: Outcome, why: str, what: str, running: str = "") -> list[Finding]:
    """Return the finding for a run that did not come to its own end; `running` is the test that had been begun."""
    why = f"{why}, while {running} was running" if running else why
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
    on_base = [(FALSE_ON_BASE, run) for run in (*e.again, *e.alone) if run is not None]
    for what, run in [("the base's tests on the base", e.base.plain), *e.runs, *on_base]:
        yield from room_finding(run.outcome, run.why, what, run.running)
        if run.found is not None and run.found > e.most_tests:
            yield Finding(
                "sandbox.limit_tests", f"{what} are {run.found}, more than the {e.most_tests} allowed", term="tests"
            )


def canaries(e: Evidence) -> Iterable[Finding]:
    """The room lets a good test pass and a bad one fail, in this very session; else nothing it says counts."""
    if e.canary.outcome_of() != CANARIES or e.canary.ended_early or e.canary.forged:
        why = e.canary.why or "a good test must pass and a bad one fail"
        yield Finding("sandbox.canary", f"the room's own canaries did not come out as they must: {why}")


def base_green(e: Evidence) -> Iterable[Finding]:
    """The base passes its own tests; otherwise they prove nothing of the candidate."""
    base = e.base.plain
    if base.outcome != "finished":
        return
    steady = [t for t in base.tests if t.id not in e.base.unstable]
    names = [t.id for t in steady if t.outcome not in GOOD | QUIET] + [path for path, _ in base.uncollected]
    if names or base.ended_early or not any(t.outcome in GOOD for t in steady):
        told = ", ".join(names[:3]) or _last_words(base)
        why = "fails its own tests, so they prove nothing" if names else "has no test that passes: add some first"
        if base.end_status == USAGE and not names:
            why = "has tests that do not start, for pytest refuses an option or a setting"
        yield Finding("tests.base_not_green", f"the base {why}: {told}", term=(names or [""])[0])
    elif e.base.untrusted:
        some = ", ".join(sorted(e.base.untrusted)[:3])
        yield Finding(
            "tests.not_trusted",
            f"{len(e.base.untrusted)} tests stand outside the test files, where a candidate may change them: {some}",
            term=min(e.base.untrusted),
        )
    elif len(e.base.unstable) > allowed(len(base.tests)):
        some = ", ".join(sorted(e.base.unstable)[:3])
        yield Finding(
            "tests.base_unstable",
            f"{len(e.base.unstable)} of the base's tests do not come out the same each time: {some}",
            term=min(e.base.unstable),
        )


def _last_words(run: RunFacts) -> str:
    """Return the last line in which pytest tells of an error, or else the last of all; each is bounded."""
    errors, output = ([line for line in text.splitlines() if line.strip()] for text in (run.errors, run.output))
    told = [line for line in [*output, *errors] if ERROR_LINE.match(line)]
    return (told or output or errors or ["it said nothing"])[-1]


def base_judges(e: Evidence) -> Iterable[Finding]:
    """On the base itself pytest is left as it is, and false tests fail; else a green test there says nothing."""
    mutated = functions(e.base.halves[0]) | functions(e.base.halves[1])
    if e.base.plain.patched:
        name = e.base.plain.patched
        text = f"the base itself, or a dependency of it, replaces a part of the test runner in memory: {name}"
        yield Finding("tests.base_proves_nothing", text, term=name)
    elif len(mutated) >= LEAST_MUTATED and not any(e.base.biting):
        text = f"{len(mutated)} tests were made false and not one of them failed, on the base itself"
        yield Finding("tests.base_proves_nothing", text, term=min(mutated))


def changed(e: Evidence) -> Iterable[Finding]:
    """The candidate left the base's tests and test configuration alone."""
    named = e.changes[:MOST_NAMED]
    yield from named
    if len(e.changes) > len(named):
        yield Finding(
            e.changes[-1].code, f"and {len(e.changes) - len(named)} more changes of tests or test configuration"
        )


def once(e: Evidence, about: Callable[[RunFacts], object]) -> Iterable[tuple[str, RunFacts]]:
    """Yield the runs that something can be said about, the two halves of one suite as one."""
    told = set()
    for what, run in e.runs:
        if about(run) and what not in told:
            told.add(what)
            yield what, run


def frames(e: Evidence) -> Iterable[Finding]:
    """The report pipe held the runner's reports and nothing else."""
    for what, run in once(e, lambda run: run.forged):
        yield Finding(
            "tests.forged_frames", f"while running {what}, something else wrote to the report pipe: {run.forged}"
        )


def patched(e: Evidence) -> Iterable[Finding]:
    """The test runner in memory is the one that was loaded, and the other process of a split run keeps its word."""
    own = e.base.plain.patched  # which is no doing of the candidate, and told by another rule
    for what, run in once(e, lambda run: run.patched and run.patched != own):
        lie = run.patched.removeprefix("split: ")
        if lie != run.patched:
            yield Finding("tests.split_forged", f"the code's process answered with what is no plain value: {lie}")
        else:
            text = f"while running {what}, code under test replaced a part of the test runner in memory: {lie}"
            yield Finding("tests.runner_patched", text, term=lie)


def plugged(e: Evidence) -> Iterable[Finding]:
    """What a plugin of the base's puts into the test runner is what it puts there on the base, name by name."""
    own = e.base.plain.plugged
    # The run with the candidate's own dependencies has a plugin of its own, and proves nothing but what it fails.
    other = once(e, lambda run: run is not e.own_layers and run.end_status is not None and run.plugged != own)
    for what, run in other:
        name = next(iter({*run.plugged.split()} ^ {*own.split()}), "").partition("=")[0]
        text = f"while running {what}, what a plugin replaces in the test runner is not what it replaces on the base"
        yield Finding("tests.runner_patched", f"{text}: {name}", term=name)


def ended_early(e: Evidence) -> Iterable[Finding]:
    """The test process came to its own end; an early exit with status 0 looks like success and is none."""
    for what, run in once(e, lambda run: run.ended_early):
        total = len(e.expected) if what == ON_CANDIDATE else run.found
        of = "of an unknown number of" if total is None else f"of {total}"
        status = "an unknown exit status" if run.exit_status is None else _ending(run.exit_status)
        how = f"on {run.broke}" if run.broke else f"with {status}"
        text = f"the test process ended early, {how}, after {len(run.tests)} {of} tests ({what})"
        yield Finding("tests.ended_early", f"{text}; code under test ended it or killed it", term=str(run.exit_status))


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def none_ran(e: Evidence) -> Iterable[Finding]:
    """At least one test ran on the candidate: empty proves nothing."""
    ended = all(run.outcome == "finished" and not run.ended_early for run in e.told)
    if ended and all(t.outcome in QUIET for t in e.plain.values()):
        yield Finding("tests.none_ran", "not a single test ran on the candidate; empty proves nothing")


def inventory(e: Evidence) -> Iterable[Finding]:
    """Exactly the tests of the base reported an outcome, in each run."""
    expected = set(e.expected)
    for run in e.told:
        if run.outcome != "finished" or run.ended_early:
            continue
        seen = run.outcome_of()
        aside = e.base.unstable if run is e.unmutated else e.base.unstable | e.base.disturbed
        missing = [i for i in e.expected if i not in seen and i not in aside]
        extra = [i for i in seen if i not in expected and i not in aside]
        if missing:
            code = "tests.missing" if run.uncollected or run.end_status not in (0, 1) else "tests.vanished"
            text = f"{len(missing)} of the base's {len(e.expected)} tests never reported: {', '.join(missing[:3])}"
            yield Finding(code, text, term=missing[0])
        if extra:
            text = f"{len(extra)} tests reported that the base does not have: {', '.join(extra[:3])}"
            yield Finding("tests.extra", text, term=extra[0])
        if missing or extra:
            return


def failed(e: Evidence) -> Iterable[Finding]:
    """No test failed where it was not made to, and every test file could be read."""
    shown = [(ON_CANDIDATE, tuple(e.plain.values()), e.told[0])]
    shown += [("the candidate's new tests", e.new.tests, e.new)] if e.new is not None else []
    if e.own_layers is not None:
        steady = tuple(t for t in e.own_layers.tests if t.id not in e.base.unstable)
        shown += [(OWN_LAYERS, steady, e.own_layers)]
    for what, tests, run in shown:
        bad = [(t.id, t.outcome, t.why) for t in tests if t.outcome not in GOOD | QUIET]
        bad += [(path, "could not be collected", why) for path, why in run.uncollected]
        for name, how, why in bad[:MOST_NAMED]:
            text = f"{name}: {how}" + (f": {why}" if why else "") + f" ({what})"
            if "SystemExit" in why:
                text += "; code under test tries to end the test process"
            yield Finding("tests.failed", text, name.partition("::")[0], name)
        if len(bad) > MOST_NAMED:
            yield Finding("tests.failed", f"and {len(bad) - MOST_NAMED} more ({what})")
        red = any(t.outcome in RED for t in run.tests)
        if (
            run.outcome == "finished"
            and not bad
            and not run.ended_early
            and run.end_status not in (0, 5, 1 if red else 0)
        ):
            yield Finding(
                "tests.failed", f"pytest ended with status {run.end_status} ({what})", term=str(run.end_status)
            )


def own_layers(e: Evidence) -> Iterable[Finding]:
    """What passes with the base's dependencies also runs, and passes, with those that the candidate asks for."""
    if e.own_layers is None or e.own_layers.outcome != "finished" or e.own_layers.ended_early:
        return
    seen = e.own_layers.outcome_of()
    # What is red there is told by another rule.
    lost = sorted(i for i in e.base.passing if seen.get(i, "never reported") not in GOOD | RED)
    for name in lost[:MOST_NAMED]:
        text = f"{name} passes, but {seen.get(name, 'never reported')} ({OWN_LAYERS})"
        yield Finding("tests.failed", text, name.partition("::")[0], name)
    if len(lost) > MOST_NAMED:
        yield Finding("tests.failed", f"and {len(lost) - MOST_NAMED} more ({OWN_LAYERS})")


def mutants(e: Evidence) -> Iterable[Finding]:
    """A test that was made false fails, as it did on the base; one that passes all the same was not really run."""
    for name in e.forged[:MOST_NAMED]:
        text = f"{name} passed, and passed as well when what it asserts had been made false: its outcome is forged"
        yield Finding("tests.mutant_passed", text, name.partition("::")[0], name)


def split(e: Evidence) -> Iterable[Finding]:
    """What passed on the base with the tests in one sandbox and the code in another passes so on the candidate."""
    if e.split is None or e.split.outcome != "finished":
        return
    seen = e.split.outcome_of()
    why = {test.id: test.why for test in e.split.tests}
    # What fails beside the code as well is told by another rule.
    must = e.base.split - e.base.unstable
    bad = sorted(i for i in must if seen.get(i) not in GOOD and i in e.plain and e.plain[i].outcome in GOOD)
    for name in bad[:MOST_NAMED]:
        how = seen.get(name, "never reported")
        text = f"{name} passes beside the code, but not when it runs apart from the code: {how}"
        text += f" ({why[name][:MOST_WHY]})" if why.get(name) else ""
        yield Finding("tests.split_failed", text, name.partition("::")[0], name)
    if len(bad) > MOST_NAMED:
        yield Finding("tests.split_failed", f"and {len(bad) - MOST_NAMED} more apart from the code")


def held_out(e: Evidence) -> Iterable[Finding]:
    """The tests that no agent can read pass. Nothing of them is told but that."""
    if e.held is None:
        return
    if any(run.outcome == "void" for run in e.held.runs):
        yield Finding("sandbox.void", "the room failed while running the held-out tests, so nothing is proved")
    elif (
        e.held_lost
        or e.base.held.forged(e.held)
        or not e.held.green
        or any(_replaced(run, e.base) for run in e.held.runs)
    ):
        yield Finding("tests.held_out_failed", "the held-out tests do not pass on the candidate")


def _replaced(run: RunFacts, base: Base) -> bool:
    """Tell whether such a run changed the test runner, or tried a way out that the base does not."""
    known = [c for seen in (base.plain, *base.held.runs) for c in seen.behaviour.connects]
    out = any(network_findings(run.behaviour, tuple(known)))
    return bool(run.patched) or run.plugged != base.plain.plugged or out


def skips(e: Evidence) -> Iterable[Finding]:
    """A test is skipped or expected to fail only where the base had the same."""
    base = e.base.plain.outcome_of()
    turned = [t for t in e.plain.values() if t.outcome in QUIET and base.get(t.id) != t.outcome]
    for test in turned[:MOST_NAMED]:
        text = (
            f"{test.id} was {test.outcome} on the candidate but {base.get(test.id, 'absent')} on the base: {test.why}"
        )
        yield Finding("tests.unexpected_skip", text, test.id.partition("::")[0], test.id)


def network(e: Evidence) -> Iterable[Finding]:
    """Nothing tried to leave the sandbox that did not already try on the base."""
    for _, run in e.runs:
        yield from network_findings(run.behaviour, e.base.plain.behaviour.connects)


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
    canaries,
    base_green,
    base_judges,
    changed,
    frames,
    patched,
    plugged,
    ended_early,
    none_ran,
    inventory,
    failed,
    own_layers,
    mutants,
    split,
    held_out,
    skips,
    network,
)


def judge(evidence: Evidence, rules: tuple[Rule, ...] = RULES) -> tuple[Finding, ...]:
    """Return every reason for a no; an empty answer is a pass."""
    return tuple(dict.fromkeys(finding for rule in rules for finding in rule(evidence)))


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the word for all findings: a forgery outweighs a room that failed, and that outweighs a red test."""
    codes = {finding.code for finding in findings}
    early = any(finding.code == "tests.ended_early" and finding.term == "0" for finding in findings)
    if codes & TAMPER or early:
        return "tamper"
    return "void" if codes & VOID else "fail" if codes else "pass"


def assurance(e: Evidence) -> Assurance:
    """Return the strongest layer that judged: tests nobody could read, tests apart from the code, or neither.

    Held-out tests count only when they ran apart from the code, which could turn green whatever it does not know.
    Tests apart from the code count only when every test that passes on the base is among them: what is left stands on
    mutants alone, and code that knows the tests can tell a mutant.
    """
    if e.held is not None and e.held.beside is None and e.held.green and not e.held_lost:
        return "held-out"
    return "split" if e.apart and e.apart >= e.base.passing else "visible-only"


def counts(tests: Iterable[TestResult]) -> dict[str, int]:
    """Count tests by outcome."""
    return dict(Counter(test.outcome for test in tests))
