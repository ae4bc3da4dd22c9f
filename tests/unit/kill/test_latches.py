from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters.latch_files import write_latch, write_lift
from evoguard.adapters.latches import FileLatches
from evoguard.domain.identity import Identity
from evoguard.domain.latch import Latch
from unit.kill.killing import Plant, an_order
from unit.signing.people import Actor, Registry, an_actor


@pytest.fixture
def bob(plant: Plant) -> Actor:
    actor = an_actor("bob.b")
    plant.registry.add(actor)
    return actor


def lifted(plant: Plant, latch: Latch, *people: Actor) -> None:
    for actor in people:
        write_lift(plant.folder, latch.id, actor.identity.name, actor.signs(latch.id))


def test_an_empty_folder_kills_nothing(plant: Plant):
    board = plant.latches().board()
    assert not board.killed(component="scoring", flag="lending-scoring")
    assert board.epoch == 0


def test_a_latch_covers_its_scope_only(plant: Plant):
    write_latch(plant.folder, an_order("component", "scoring"))
    board = plant.latches().board()
    assert board.killed(component="scoring", flag="x")
    assert not board.killed(component="pricing", flag="scoring")


def test_a_running_process_sees_a_new_kill_at_the_next_question(plant: Plant):
    latches = plant.latches()
    assert latches.board().latches == ()
    latch = write_latch(plant.folder, an_order())
    assert latches.board().latches == (latch,)


def test_two_people_lift_a_kill_and_its_fence_stays(plant: Plant, ada: Actor, bob: Actor):
    latch = write_latch(plant.folder, an_order())
    latches = plant.latches()
    lifted(plant, latch, ada)
    assert latches.board().killed(component="scoring", flag="")
    lifted(plant, latch, bob)
    board = latches.board()
    assert not board.killed(component="scoring", flag="")
    assert board.fence(component="scoring", flag="") == 1
    assert latches.lifters(latch.id) == {"ada", "bob.b"}


def test_a_lift_says_nothing_about_the_next_kill(plant: Plant, ada: Actor, bob: Actor):
    lifted(plant, write_latch(plant.folder, an_order()), ada, bob)
    write_latch(plant.folder, an_order())
    assert plant.latches().board().killed(component="scoring", flag="")


def test_a_lift_stays_valid_while_the_registry_gives_no_answer(plant: Plant, ada: Actor, bob: Actor):
    lifted(plant, write_latch(plant.folder, an_order()), ada, bob)
    latches = plant.latches()
    assert not latches.board().killed(component="", flag="")
    plant.registry.silent = True
    assert not latches.board().killed(component="", flag="")


def test_a_process_that_never_had_an_answer_keeps_the_kill(plant: Plant, ada: Actor, bob: Actor):
    lifted(plant, write_latch(plant.folder, an_order()), ada, bob)
    plant.registry.silent = True
    assert plant.latches().board().killed(component="", flag="")


def test_a_kill_that_only_the_event_log_knows_is_in_force(plant: Plant, ada: Actor, bob: Actor):
    known = Latch("kill-00000001", 7, "flag", "lending-scoring", "why", "ada", 1)
    latches = FileLatches(plant.folder, plant.registry, lambda: [known])
    assert latches.board().killed(component="", flag="lending-scoring")
    assert latches.board().epoch == 7
    lifted(plant, known, ada, bob)
    assert not latches.board().killed(component="", flag="lending-scoring")


def test_what_the_event_log_said_counts_while_it_gives_no_answer(plant: Plant):
    answers = iter([[Latch("kill-00000001", 7, "all", "", "why", "ada", 1)]])
    latches = FileLatches(plant.folder, plant.registry, lambda: next(answers))
    assert latches.board().epoch == 7
    assert latches.board().killed(component="", flag="")


def test_a_file_that_tells_less_than_the_event_log_does_not_narrow_the_kill(plant: Plant):
    latch = write_latch(plant.folder, an_order("flag", "harmless"))
    known = replace(latch, scope="all", name="")
    latches = FileLatches(plant.folder, plant.registry, lambda: [known])
    assert latches.board().killed(component="scoring", flag="")


def test_a_missing_folder_kills_everything(tmp_path: Path):
    board = FileLatches(tmp_path / "kill", Registry()).board()
    assert board.killed(component="", flag="")
    assert board.unreadable == (str(tmp_path / "kill"),)


def test_a_missing_folder_for_lifts_lifts_nothing_and_kills_nothing(plant: Plant):
    (plant.folder / "lifts").rmdir()
    assert plant.latches().board().unreadable == ()


def test_a_lookup_is_asked_once_a_person_a_question(plant: Plant, ada: Actor, bob: Actor):
    asked: list[str] = []

    def counting(name: str) -> Identity | None:
        asked.append(name)
        return plant.registry(name)

    for _ in range(5):
        lifted(plant, write_latch(plant.folder, an_order()), ada, bob)
    FileLatches(plant.folder, counting).board()
    assert sorted(asked) == ["ada", "bob.b"]


def test_other_files_in_the_folder_are_no_latches(plant: Plant):
    (plant.folder / ".lock").touch()
    (plant.folder / ".0123456789abcdef.tmp").write_text("{")
    (plant.folder / "README").write_text("kills live here")
    assert plant.latches().board().unreadable == ()
