"""The corpus of forgeries is what it says, and one of each class is caught for real; the bench runs them all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evoguard.bench import forgeries as bench
from evoguard.bench.corpus import Forgery, base_tree, candidate_tree, forgeries, held_out_tests, honest
from evoguard.bench.corpus.forgery import BUGS, wrong
from evoguard.bench.corpus.project_tests import IDS
from evoguard.errors import ConfigError
from evoguard_sandbox import Job, Limits, Suite, execute, run
from evoguard_sandbox.trees import read_tree

ALL, HONEST = forgeries(), honest()
SAMPLE = [pytest.param(one, id=one.kind) for one in bench.sample(ALL)]
needs_gvisor = pytest.mark.needs_gvisor
HELD_OUT = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_the_corpus_is_large_and_each_forgery_has_a_name_of_its_own():
    assert len(ALL) >= 64
    assert len(HONEST) >= 12
    assert len({one.name for one in (*ALL, *HONEST)}) == len(ALL) + len(HONEST)
    assert all(one.why and one.kind for one in ALL)


@pytest.mark.parametrize("kind", ["layer", "cache"])
def test_dependencies_and_caches_are_classes_of_their_own(kind):
    found = [one for one in ALL if one.kind == kind]
    assert len(found) >= 5
    assert {one.needs for one in found} == {kind}


@pytest.mark.parametrize("one", [one for one in ALL if one.edits], ids=lambda one: one.name)
def test_a_forgery_is_a_tree_that_is_read_and_a_program_that_can_be_compiled(one):
    tree = candidate_tree(one.edits)
    assert read_tree(tree, Limits())
    assert tree != base_tree()
    for path, (_, data) in tree.items():
        if path.endswith(".py"):
            compile(data, path, "exec")


@pytest.mark.parametrize("one", [one for one in ALL if one.edits], ids=lambda one: one.name)
def test_a_forgery_changes_the_program_itself(one):
    faulty = {path for path, _, _ in BUGS.values()}
    assert any(path in faulty for path in one.edits)


def test_held_out_tests_are_in_no_tree_of_the_corpus():
    names = set(held_out_tests())
    assert names
    assert not any(names & set(candidate_tree(one.edits)) for one in (*ALL, *HONEST))


def seen(kind: str, *, passed: bool, codes: tuple[str, ...] = (), plain: bool = True) -> bench.Seen:
    return bench.Seen(Forgery("a", kind, "why"), passed, codes, plain)


def test_a_room_that_failed_is_no_credit():
    void = seen("exit", passed=False, codes=("sandbox.void",))
    assert void.void
    assert not void.caught
    found = {figure.name: figure for figure in bench.figures([void], [])}
    assert not found["runs that proved nothing"].ok
    assert not found["caught, exit"].ok


def test_figures_hold_believed_and_refused_against_plain_pytest():
    caught, believed = seen("exit", passed=False, codes=("tests.failed",)), seen("exit", passed=True)
    refused = seen("honest", passed=False, codes=("tests.failed",), plain=True)
    found = {figure.name: figure for figure in bench.figures([caught, believed], [refused])}
    assert (found["forgeries believed"].value, found["forgeries believed"].baseline) == (1, 2)
    assert (found["caught, exit"].value, found["caught, exit"].bar, found["caught, exit"].ok) == (1, 2, False)
    assert (found["honest changes refused"].value, found["honest changes refused"].baseline) == (1, 0)


def test_a_part_is_those_of_the_whole_in_order_and_parts_make_the_whole():
    wrong, right = bench.runnable(ALL), HONEST
    assert bench.part(wrong, right, "") == (wrong, right)
    assert bench.part(wrong, right, "0:3") == (wrong[:3], ())
    size = len(wrong) + len(right)
    parts = [bench.part(wrong, right, f"{n}:{n + 50}") for n in range(0, size, 50)]
    assert [one for some, _ in parts for one in some] == list(wrong)
    assert [one for _, some in parts for one in some] == list(right)


@pytest.mark.parametrize("asked", ["5", "5:5", "6:5", "a:b", "-1:5", ":"])
def test_a_part_that_names_none_is_refused(asked):
    with pytest.raises(ConfigError):
        bench.part(bench.runnable(ALL), HONEST, asked)


def test_forgeries_that_no_tree_can_express_are_told_with_where_they_are_tested():
    figure = next(one for one in bench.figures([], []) if one.name == "forgeries that no tree can express")
    assert figure.value == sum(not one.edits for one in ALL) >= 5
    assert (Path(__file__).parents[2] / bench.ELSEWHERE).is_file()
    assert bench.ELSEWHERE in figure.note


@needs_gvisor
async def test_the_base_is_green_and_a_forger_knows_its_tests(room):
    report = await run(Suite(base_tree(), base_tree()), limits=bench.LIMITS, room=room)
    assert report.findings == ()
    assert report.expected == IDS


@needs_gvisor
@pytest.mark.parametrize("bug", BUGS)
async def test_a_fault_without_a_trick_fails_the_base_tests_and_the_held_out_ones(room, bug):
    edits = wrong(bug=bug)
    report = await run(Suite(base_tree(), candidate_tree(edits)), limits=bench.LIMITS, room=room)
    assert {finding.code for finding in report.findings} == {"tests.failed"}
    held = await execute(Job(HELD_OUT, held_out(edits)), limits=bench.LIMITS, room=room)
    assert held.exit_status == 1


@needs_gvisor
async def test_held_out_tests_pass_on_every_honest_change(room):
    for one in HONEST[:4]:
        held = await execute(Job(HELD_OUT, held_out(one.edits)), limits=bench.LIMITS, room=room)
        assert (one.name, held.exit_status) == (one.name, 0)


def held_out(edits: dict[str, str | None]) -> dict[str, tuple[int, bytes]]:
    kept = {p: e for p, e in candidate_tree(edits).items() if not p.startswith("tests/test_")}
    return {**kept, **held_out_tests()}


@needs_gvisor
@pytest.mark.parametrize("one", SAMPLE)
def test_one_forgery_of_each_class_is_caught(room, one):
    assert asyncio.run(bench.look(one, room)).caught


@needs_gvisor
@pytest.mark.parametrize("one", HONEST[:3], ids=lambda one: one.name)
def test_an_honest_change_passes(room, one):
    found = asyncio.run(bench.look(one, room))
    assert (found.passed, found.codes, found.plain_green) == (True, (), True)


@needs_gvisor
def test_plain_pytest_believes_the_first_forgery(room):
    """The baseline is a real one: it has plugins and configuration as a user would have."""
    assert asyncio.run(bench.look(ALL[0], room)).plain_green
