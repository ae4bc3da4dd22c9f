"""The held-out tests' one bit: they pass on the candidate as on the base, or not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard_sandbox.judging.evidence import Base, Evidence, Held
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.verdict import judge
from evoguard_sandbox.types import Behaviour, Connect
from unit.sandbox.seen_runs import CANARY, GREEN, TWO, a_run, evidence


@pytest.mark.parametrize(
    "held", [a_run("failed"), a_run(), replace(TWO, outcome="wall"), replace(TWO, end_status=None), a_run("skipped")]
)
@pytest.mark.parametrize("apart", [True, False])
def test_held_out_tests_tell_one_bit(held, apart):
    (finding,) = judge(evidence(held=Held(held) if apart else Held(None, held)))
    assert (finding.code, finding.path, finding.term) == ("tests.held_out_failed", "", "")
    assert "t.py" not in finding.msg
    assert "why" not in finding.msg


SKIPPED, LESS = a_run("passed", "skipped"), a_run("passed")


@pytest.mark.parametrize(
    ("base", "now", "again", "lost"),
    [
        (Held(TWO), Held(TWO), None, False),
        (Held(TWO), Held(SKIPPED), None, True),
        (Held(TWO), Held(LESS), None, True),
        (Held(SKIPPED), Held(SKIPPED), None, False),
        (Held(SKIPPED), Held(TWO), None, False),
        (Held(SKIPPED), Held(LESS), None, True),
        (Held(None, TWO), Held(None, LESS), None, True),
        (Held(LESS, TWO), Held(LESS, SKIPPED), None, True),
        (Held(TWO, TWO), Held(LESS, TWO), None, True),
        # Not the same each time on the base itself: nothing hangs on it.
        (Held(TWO), Held(LESS), Held(LESS), False),
        (Held(TWO), Held(LESS), Held(TWO), True),
        # It fails apart from the code on the base, too, and passes beside it.
        (Held(a_run("passed", "failed"), TWO), Held(LESS, TWO), None, False),
    ],
)
def test_a_held_out_test_that_came_out_well_on_the_base_may_not_be_skipped_or_gone(base, now, again, lost):
    found = judge(Evidence(Base(GREEN, held=base), (GREEN, GREEN), CANARY, held=now, held_again=again))
    assert [f.code for f in found] == ["tests.held_out_failed"] * lost


def test_a_forgery_apart_from_the_code_is_one_though_the_rest_runs_beside_it():
    base = Base(GREEN, held=Held(a_run("passed", "failed"), TWO))
    for lie in (replace(TWO, patched="split: a lie"), replace(TWO, forged="x"), replace(TWO, end_status=None)):
        found = judge(Evidence(base, (GREEN, GREEN), CANARY, held=Held(lie, TWO)))
        assert [f.code for f in found] == ["tests.held_out_failed"]
    void = judge(Evidence(base, (GREEN, GREEN), CANARY, held=Held(TWO, RunFacts())))
    assert [f.code for f in void] == ["sandbox.void"]


@pytest.mark.parametrize("apart", [True, False])
def test_a_way_out_that_only_they_see_tried_is_told_by_their_one_bit(apart):
    out = Behaviour("recorded", "", connects=(Connect("python", "inet", "192.0.2.7", 80),))
    tries = replace(TWO, behaviour=out)
    held, now = (Held(TWO), Held(tries)) if apart else (Held(None, TWO), Held(None, tries))
    (finding,) = judge(Evidence(Base(GREEN, held=held), (GREEN, GREEN), CANARY, held=now))
    assert (finding.code, "192.0.2.7" in finding.msg) == ("tests.held_out_failed", False)
    assert judge(Evidence(Base(GREEN, held=now), (GREEN, GREEN), CANARY, held=now)) == ()


FALSE = a_run("failed", "failed")


@pytest.mark.parametrize(
    ("base", "now", "forged"),
    [
        (Held(None, TWO, FALSE), Held(None, TWO, FALSE), False),
        (Held(None, TWO, FALSE), Held(None, TWO, a_run("failed", "passed")), True),
        (Held(None, TWO, FALSE), Held(None, TWO, a_run("failed", "skipped")), True),
        (Held(None, TWO, FALSE), Held(None, TWO, a_run("failed")), True),
        (Held(None, TWO, FALSE), Held(None, TWO, replace(FALSE, end_status=None)), True),
        # There was nothing to be made false, it was green on the base, too, or all of them run apart as well.
        (Held(None, TWO), Held(None, TWO), False),
        (Held(None, TWO, TWO), Held(None, TWO), False),
        (Held(TWO, TWO, FALSE), Held(TWO, TWO), False),
    ],
)
def test_held_out_tests_beside_the_code_fail_when_they_are_false_as_on_the_base(base, now, forged):
    found = judge(Evidence(Base(GREEN, held=base), (GREEN, GREEN), CANARY, held=now))
    assert [f.code for f in found] == ["tests.held_out_failed"] * forged
