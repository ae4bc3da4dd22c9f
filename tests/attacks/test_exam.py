"""A sample of `evoguard exam gates`, one row of each kind, and an exam that is itself attacked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evoguard.domain.canonical import digest_of
from evoguard.errors import InputError, IntegrityError
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen
from evoguard.exam.running import Examiner
from evoguard.exam.surgery import Cut, Silent, function_at, removed
from evoguard.exam.table import GATES
from evoguard.exam.unexamined import unexamined

SAMPLE = (
    "intake.subject", "approve.subject", "approval.guard_paths", "summary.tree", "release.swap", "flags.epoch",
    "lift.two", "rules.constitution", "audit.roots", "rollout.worse", "verdicts.signature", "state.private",
)  # fmt: skip
BY_NAME = {gate.name: gate for gate in GATES}


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as made:
        yield made


@pytest.mark.parametrize("name", SAMPLE)
def test_the_attack_is_refused_with_the_gate_and_goes_through_without_it(examiner: Examiner, name: str) -> None:
    assert examiner.examine(BY_NAME[name]).why == ""


def test_a_name_stands_for_one_gate_and_each_that_backs_another_is_examined() -> None:
    assert len(BY_NAME) == len(GATES) >= 40
    assert {name for gate in GATES for name in gate.backed_by} <= BY_NAME.keys()
    assert all(gate.what and gate.finding for gate in GATES)


def test_every_row_names_a_condition_that_is_there() -> None:
    for gate in GATES:
        with removed(gate.removals):
            pass


def test_every_rule_of_the_constitution_and_every_other_is_a_row() -> None:
    from evoguard import bundle

    silent = {one.code for gate in GATES for one in gate.removals if isinstance(one, Silent)}
    assert silent == set(bundle.load().manifest.rules)


async def open_door(hall: Hall) -> Seen:
    """Whatever is tried goes through."""
    return Seen(True, "open")


async def wall(hall: Hall) -> Seen:
    """Whatever is tried is refused."""
    raise InputError("no", code="some.gate")


async def crash(hall: Hall) -> Seen:
    """What is tried breaks."""
    raise KeyError("approval")


CUT = Cut("evoguard.desk:vote", "identity.kind == 'agent' and (not seats_in(asked))")


@pytest.mark.parametrize(
    ("attack", "finding", "why"),
    [
        (open_door, "some.gate", "goes through with the gate in place"),
        (wall, "some.gate", "still refused without it"),
        (wall, "other.gate", "something else refuses"),
        (crash, "some.gate", "something else refuses"),
    ],
)
def test_a_gate_that_holds_nothing_is_told_from_one_that_something_hides(examiner, attack, finding, why) -> None:
    assert why in examiner.examine(Gate("x", CUT, attack, finding)).why


def test_a_gate_that_is_said_to_be_backed_and_is_not_fails(examiner: Examiner) -> None:
    alone = BY_NAME["desk.agent"]
    said = examiner.examine(Gate(alone.name, alone.removal, alone.attack, alone.finding, ("state.private",)))
    assert "though state.private should hold" in said.why


def test_a_backer_that_is_not_in_the_table_is_refused(examiner: Examiner) -> None:
    with pytest.raises(InputError) as caught:
        examiner.examine(Gate("x", CUT, wall, "some.gate", ("nobody.knows",)))
    assert caught.value.code == "exam.not_examined"


@pytest.mark.parametrize(
    "cut",
    [Cut("evoguard.desk:vote", "identity.kind != 'human'"), Cut("evoguard.desk:gone", "x"), Cut("evoguard.gone:x", "x"),
     Cut("evoguard.desk:MAX_INTENT", "x")],
)  # fmt: skip
def test_a_row_that_rotted_is_an_error_and_no_pass(examiner: Examiner, cut: Cut) -> None:
    with pytest.raises(IntegrityError) as caught:
        examiner.examine(Gate("x", cut, wall, "some.gate"))
    assert caught.value.code == "exam.gate_gone"


def test_what_was_taken_out_is_back_even_after_an_error() -> None:
    function = function_at("evoguard.desk:vote")
    before = function.__code__
    with pytest.raises(KeyError), removed([CUT, Silent("change.secret")]):
        assert function.__code__ is not before
        raise KeyError
    assert function.__code__ is before


def test_what_is_not_examined_is_found_in_the_sources() -> None:
    few = [BY_NAME["desk.agent"]]
    left = unexamined(few)
    assert "evoguard.desk:vote: person == row.author" in left
    assert f"evoguard.desk:vote: {CUT.of}" not in left
    assert "rule change.secret" in left
    assert len(unexamined(GATES)) < len(left)
    assert digest_of(left) == digest_of(unexamined(few))
