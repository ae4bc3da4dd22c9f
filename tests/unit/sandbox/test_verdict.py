"""The verdict: each rule speaks when it must, and only what breaks no rule passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard_sandbox.judging.evidence import Base, Evidence, Held
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.mutants import Site
from evoguard_sandbox.judging.verdict import RULES, assurance, judge, verdict
from evoguard_sandbox.types import Behaviour, Connect, Finding, Limits
from unit.sandbox.seen_runs import CANARY, GREEN, TWO, a_run, evidence


def codes(candidate: RunFacts, base: RunFacts = GREEN, **more) -> list[str]:
    return sorted({f.code for f in judge(evidence(candidate, base, **more))})


def test_the_same_green_run_passes():
    assert codes(GREEN) == []


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (a_run("failed", "skipped", "xfailed"), ["tests.failed"]),
        (a_run("error", "skipped", "xfailed"), ["tests.failed"]),
        (a_run("passed", "passed", "xpassed"), []),
        (a_run("skipped", "skipped", "xfailed"), ["tests.none_ran", "tests.unexpected_skip"]),
        (a_run("passed", "xfailed", "xfailed"), ["tests.unexpected_skip"]),
        (a_run("passed", "skipped"), ["tests.vanished"]),
        (replace(a_run("passed", "skipped"), uncollected=(("u.py", "x"),)), ["tests.failed", "tests.missing"]),
        (a_run("passed", "skipped", "xfailed", "passed"), ["tests.extra"]),
        (a_run(end_status=5, exit_status=5), ["tests.missing", "tests.none_ran"]),
        (replace(GREEN, end_status=None), ["tests.ended_early"]),
        (replace(GREEN, exit_status=-9), ["tests.ended_early"]),
        (replace(GREEN, broke="SystemExit: 0", end_status=3, exit_status=3), ["tests.ended_early"]),
        (replace(GREEN, end_status=2, exit_status=2), ["tests.failed"]),
        (replace(GREEN, forged="x"), ["tests.forged_frames"]),
        (replace(GREEN, patched="x"), ["tests.runner_patched"]),
        (replace(GREEN, uncollected=(("t.py", "SyntaxError"),)), ["tests.failed"]),
        (replace(GREEN, found=60_000), ["sandbox.limit_tests"]),
        (replace(GREEN, outcome="wall"), ["sandbox.limit_wall"]),
        (replace(GREEN, outcome="memory"), ["sandbox.limit_memory"]),
        (replace(GREEN, outcome="pids"), ["sandbox.limit_pids"]),
        (replace(GREEN, outcome="output"), ["sandbox.limit_output"]),
        (replace(GREEN, outcome="crashed"), ["sandbox.crashed"]),
        (replace(GREEN, outcome="void"), ["sandbox.void"]),
        (RunFacts(), ["sandbox.void"]),
    ],
)
def test_a_candidate_gets_the_findings_it_earned(candidate, says):
    assert codes(candidate) == says


@pytest.mark.parametrize(
    "base",
    [a_run("failed"), a_run(), a_run("skipped"), replace(GREEN, end_status=None), replace(GREEN, exit_status=-9)],
)
def test_a_base_that_is_not_green_proves_nothing(base):
    assert "tests.base_not_green" in codes(base, base)


def test_a_base_whose_tests_do_not_start_is_told_in_pytests_own_words():
    usage = "ERROR: usage: pytest [options]\npytest: error: unrecognized arguments: -n\n  rootdir: /room/tree\n"
    refused = replace(a_run(end_status=4, exit_status=4), errors=usage, output="\nno tests ran in 0.01s")
    (finding,) = (f for f in judge(evidence(refused, refused)) if f.code == "tests.base_not_green")
    assert finding.msg.endswith("refuses an option or a setting: pytest: error: unrecognized arguments: -n")
    empty = a_run(end_status=5, exit_status=5, output="no tests ran in 0.01s")
    (finding,) = (f for f in judge(evidence(empty, empty)) if f.code == "tests.base_not_green")
    assert finding.msg == "the base has no test that passes: add some first: no tests ran in 0.01s"


def test_new_tests_can_only_add_failures():
    assert codes(GREEN, new=a_run("passed")) == []
    assert codes(GREEN, new=a_run("failed")) == ["tests.failed"]
    assert codes(a_run("failed", "skipped", "xfailed"), new=a_run("passed")) == ["tests.failed"]


def test_changes_are_all_named_up_to_a_bound():
    many = tuple(Finding("tests.config_changed", f"{n}") for n in range(50))
    assert len(judge(evidence(changes=many))) == 21


def test_an_early_end_says_how_many_of_how_many_and_how():
    cut = replace(a_run("passed"), end_status=None, exit_status=0)
    (finding,) = judge(evidence(cut))
    assert "exit status 0, after 1 of 3 tests" in finding.msg


SITE = {"t.py": [Site("t.py", "t0", "value", (1, 0), (1, 1))]}
HALF_RED = a_run("failed", "passed")


def mutated(first: RunFacts, second: RunFacts = TWO) -> Evidence:
    """In the first half t0 was made false; on the base it failed for it."""
    base = Base(TWO, (SITE, {}), (frozenset({"t.py::t0"}), frozenset()))
    return Evidence(base, (first, second), CANARY)


def test_a_test_that_was_made_false_must_fail():
    assert judge(mutated(HALF_RED)) == ()
    (finding,) = judge(mutated(TWO))
    assert (finding.code, finding.term) == ("tests.mutant_passed", "t.py::t0")
    assert verdict([finding]) == "tamper"


ALL_RED = a_run("failed", "failed")


@pytest.mark.parametrize(
    ("again", "told", "word"),
    [
        (HALF_RED, ["tests.mutant_passed"], "tamper"),
        (ALL_RED, ["tests.mutant_passed"], "tamper"),
        (TWO, [], "pass"),
        (RunFacts(why="gone"), ["sandbox.void"], "void"),
        (replace(TWO, outcome="wall"), ["sandbox.limit_wall"], "fail"),
    ],
)
def test_a_false_test_that_passes_accuses_only_when_the_same_bytes_fail_on_the_base(again, told, word):
    seen = replace(mutated(TWO), again=(again, None))
    assert seen.suspects == ({"t.py::t0"}, frozenset())
    found = judge(seen)
    assert [f.code for f in found] == told
    assert verdict(found) == word


def test_a_test_for_which_no_false_one_failed_this_time_counts_as_unproven():
    assert mutated(HALF_RED).unproven == 1  # t1, for which none was seen to fail on the base
    assert replace(mutated(TWO), again=(TWO, None)).unproven == 2


def shaky(candidate: RunFacts, *unstable: str, base: RunFacts = TWO) -> Evidence:
    return Evidence(
        Base(base, unstable=frozenset(f"t.py::{name}" for name in unstable)), (candidate, candidate), CANARY
    )


@pytest.mark.parametrize("second", ["passed", "failed", "skipped", "error", None])
def test_an_unsteady_test_judges_nothing(second):
    run = a_run("passed", *([second] if second else []))
    found = shaky(run, "t1")
    assert judge(found) == ()
    assert found.expected == ("t.py::t0",)


def test_beside_an_unsteady_test_the_others_judge_as_before():
    assert [f.term for f in judge(shaky(a_run("failed", "passed"), "t1"))] == ["t.py::t0"]
    assert "tests.vanished" in {f.code for f in judge(shaky(a_run("passed"), "t0"))}


def test_too_many_unsteady_tests_prove_nothing():
    for many, refused in ((3, False), (4, True)):
        base = a_run(*["passed"] * 10)
        found = judge(shaky(base, *(f"t{n}" for n in range(many)), base=base))
        assert [f.code for f in found] == (["tests.base_unstable"] if refused else [])
    large = a_run(*["passed"] * 200)
    assert judge(shaky(large, *(f"t{n}" for n in range(10)), base=large)) == ()
    assert [f.code for f in judge(shaky(large, *(f"t{n}" for n in range(11)), base=large))] == ["tests.base_unstable"]


def test_a_base_of_which_nothing_steady_passes_proves_nothing():
    assert "tests.base_not_green" in {f.code for f in judge(shaky(TWO, "t0", "t1"))}


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (TWO, []),
        (a_run("passed", "passed", "passed"), []),
        (a_run("passed", "failed"), [("tests.failed", "t.py::t1")]),
        (a_run("passed", "skipped"), [("tests.failed", "t.py::t1")]),
        (a_run("passed"), [("tests.failed", "t.py::t1")]),
        (a_run("passed", "passed", "failed"), [("tests.failed", "t.py::t2")]),
        (replace(TWO, outcome="memory"), [("sandbox.limit_memory", "memory")]),
        (replace(TWO, end_status=None), [("tests.ended_early", "0")]),
        (replace(TWO, forged="x"), [("tests.forged_frames", "")]),
    ],
)
def test_a_run_with_the_candidates_own_dependencies_only_adds(run, told):
    found = judge(evidence(TWO, TWO, own_layers=run))
    assert [(f.code, f.term) for f in found] == told
    assert all("own dependencies" in f.msg for f in found)
    red = judge(evidence(a_run("passed", "failed"), TWO, own_layers=TWO))
    assert [f.code for f in red] == ["tests.failed"]


def test_what_fails_unmutated_is_an_honest_failure_and_no_forgery():
    found = judge(mutated(TWO, HALF_RED))
    assert [(f.code, f.term) for f in found] == [("tests.failed", "t.py::t0")]
    assert verdict(found) == "fail"


def test_a_test_outside_the_mutated_half_must_pass_beside_it():
    assert [f.code for f in judge(mutated(a_run("failed", "failed")))] == ["tests.failed"]


def test_a_test_that_ran_apart_from_the_code_on_the_base_must_do_so_on_the_candidate():
    base = Base(TWO, split=frozenset({"t.py::t1"}), packages=("pkg",))
    good, bad = a_run("failed", "passed"), a_run("passed", "failed")
    assert judge(Evidence(base, (TWO, TWO), CANARY, split=good)) == ()
    assert [f.code for f in judge(Evidence(base, (TWO, TWO), CANARY, split=bad))] == ["tests.split_failed"]
    assert [f.code for f in judge(Evidence(base, (TWO, TWO), CANARY, split=a_run("passed")))] == ["tests.split_failed"]
    lie = replace(good, patched="split: a name that is not allowed")
    assert [f.code for f in judge(Evidence(base, (TWO, TWO), CANARY, split=lie))] == ["tests.split_forged"]


@pytest.mark.parametrize(
    "canary",
    [
        TWO,
        replace(CANARY, tests=CANARY.tests[:1]),
        replace(CANARY, tests=tuple(replace(t, outcome="passed") for t in CANARY.tests)),
        replace(CANARY, tests=tuple(replace(t, outcome="failed") for t in CANARY.tests)),
        replace(CANARY, exit_status=0),
        RunFacts(),
    ],
)
def test_a_room_that_cannot_tell_good_from_bad_proves_nothing(canary):
    found = judge(evidence(canary=canary))
    assert [f.code for f in found] == ["sandbox.canary"]
    assert verdict(found) == "void"


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ([], "pass"),
        (["tests.failed"], "fail"),
        (["tests.failed", "sandbox.void"], "void"),
        (["sandbox.void", "tests.vanished"], "tamper"),
        (["tests.held_out_failed"], "fail"),
        (["sandbox.network_attempt"], "fail"),
    ],
)
def test_the_word_for_all_findings(told, word):
    assert verdict(Finding(code, "x") for code in told) == word


def test_an_early_end_with_status_0_is_a_forgery_and_with_another_a_failure():
    assert verdict(judge(evidence(replace(a_run("passed"), end_status=None, exit_status=0)))) == "tamper"
    assert verdict(judge(evidence(replace(a_run("passed"), end_status=None, exit_status=-9)))) == "fail"


def test_the_assurance_is_that_of_the_strongest_layer_which_judged():
    both = Base(TWO, split=frozenset({"t.py::t0", "t.py::t1"}))
    assert assurance(evidence()) == "visible-only"
    assert assurance(Evidence(both, (TWO, TWO), CANARY, split=TWO)) == "split"
    assert assurance(Evidence(both, (TWO, TWO), CANARY)) == "visible-only"
    apart = Base(GREEN, held=Held(TWO))
    assert assurance(Evidence(apart, (GREEN, GREEN), CANARY, held=Held(TWO))) == "held-out"
    assert assurance(Evidence(apart, (GREEN, GREEN), CANARY, held=Held(a_run("failed")))) == "visible-only"
    # Beside the code they prove too little.
    assert assurance(evidence(held=Held(None, TWO))) == "visible-only"
    assert assurance(Evidence(apart, (GREEN, GREEN), CANARY, held=Held(TWO, TWO))) == "visible-only"


@pytest.mark.parametrize(
    ("base", "ran", "unstable", "word", "count"),
    [
        (TWO, TWO, (), "split", 2),
        (TWO, a_run("passed", "skipped"), (), "visible-only", 1),
        (TWO, a_run("passed"), (), "visible-only", 1),
        (TWO, a_run("passed", "failed"), ("t.py::t1",), "split", 1),
        (a_run("passed", "skipped"), a_run("passed"), (), "split", 1),
        (a_run("passed", "passed", "passed"), TWO, (), "visible-only", 2),
        (a_run("skipped", "skipped"), a_run("passed", "passed"), (), "visible-only", 0),
        (TWO, replace(TWO, outcome="wall"), (), "visible-only", 0),
    ],
)
def test_split_is_said_only_when_every_steady_test_that_passes_ran_so(base, ran, unstable, word, count):
    measured = Base(
        base, split=frozenset(t.id for t in ran.tests if t.outcome == "passed"), unstable=frozenset(unstable)
    )
    found = Evidence(measured, (base, base), CANARY, split=ran)
    assert (assurance(found), len(found.apart)) == (word, count)


def test_what_half_of_the_tests_left_out_on_the_base_is_not_said_to_have_run_apart():
    half = Base(TWO, split=frozenset({"t.py::t0"}))
    assert assurance(Evidence(half, (TWO, TWO), CANARY, split=TWO)) == "visible-only"


def test_a_test_that_a_candidate_could_rewrite_proves_nothing():
    base = Base(GREEN, untrusted=frozenset({"checks/check_a.py::t"}))
    (finding,) = judge(Evidence(base, (GREEN, GREEN), CANARY))
    assert (finding.code, finding.term) == ("tests.not_trusted", "checks/check_a.py::t")


def test_every_rule_is_among_the_rules_and_has_its_say_here():
    assert len({rule.__name__ for rule in RULES}) == len(RULES) == 18


def heard(*connects: Connect) -> RunFacts:
    return replace(GREEN, behaviour=Behaviour("recorded", connects=connects))


OUT = Connect("python3", "inet", "192.0.2.1", 443)


@pytest.mark.parametrize(
    ("connect", "named"),
    [
        (OUT, True),
        (Connect("sh", "inet6", "2001:db8::1", 80), True),
        (Connect("sh", "inet", "127.0.0.1", 53), True),
        (Connect("sh", "inet", "127.0.0.1", 8080), False),
        (Connect("sh", "inet6", "::1", 8080), False),
        (Connect("sh", "unix", "/run/x", 0), False),
    ],
)
def test_a_way_out_of_the_sandbox_is_named_and_loopback_is_not(connect, named):
    assert (codes(heard(connect)) == ["sandbox.network_attempt"]) is named


def test_an_attempt_that_the_base_makes_too_is_not_the_candidates():
    assert codes(heard(OUT), heard(OUT)) == []


def test_a_project_that_is_the_runner_itself_is_a_finding_and_one_that_it_borrows_is_tested_from_its_tree():
    from evoguard_sandbox.judging import changes
    from evoguard_sandbox.trees import read_tree

    tree = read_tree({"src/iniconfig/__init__.py": (0o100644, b""), "pluggy.py": (0o100644, b"")}, Limits())
    assert changes.own_names(tree) == ["iniconfig"]
    told = changes.findings(tree, tree, lambda _: False)
    assert [(f.code, f.term) for f in told] == [("tests.is_the_runner", "pluggy")]


def made_false(names: str, biting: str = "") -> Evidence:
    """Evidence in which the tests of these names were made false, and those of `biting` failed so on the base."""
    sites = [Site("t.py", name, "equal", (1, 0), (1, 1)) for name in names.split()]
    base = Base(GREEN, ({"t.py": sites}, {}), (frozenset(f"t.py::{name}" for name in biting.split()), frozenset()))
    return Evidence(base, (GREEN, GREEN), CANARY)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (evidence(GREEN, replace(GREEN, patched="_pytest.x")), ["tests.base_proves_nothing"]),
        (evidence(replace(GREEN, patched="_pytest.x"), replace(GREEN, patched="_pytest.x")),
         ["tests.base_proves_nothing"]),
        (evidence(replace(GREEN, patched="_pytest.y"), replace(GREEN, patched="_pytest.x")),
         ["tests.base_proves_nothing", "tests.runner_patched"]),
        (made_false("a b c"), ["tests.base_proves_nothing"]),
        (made_false("a b"), []),
        (made_false("a b c", "c"), []),
    ],
)  # fmt: skip
def test_a_base_on_which_a_false_test_passes_proves_nothing(seen, says):
    assert [f.code for f in judge(seen)] == says
