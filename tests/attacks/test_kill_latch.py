"""Attacks on a kill by somebody who may write into its folder: whatever they do, what is killed stays killed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters import latches as latches_module
from evoguard.adapters.latch_files import write_latch, write_lift
from evoguard.adapters.latches import FileLatches
from evoguard.domain import latch as latch_module
from evoguard.domain.latch import MAX_EPOCH, MAX_LEAP, Latch
from unit.kill.killing import Plant, an_order
from unit.signing.people import Actor, an_actor


def killed(latches: FileLatches, flag: str = "lending-scoring") -> bool:
    return latches.board().killed(component="scoring", flag=flag)


def file_of(plant: Plant, latch: Latch) -> Path:
    return plant.folder / f"{latch.id}.json"


def filed(plant: Plant, latch: Latch, name: str, envelope: str) -> None:
    """Put a lift into the folder as an attacker does: by hand, past every check."""
    (plant.folder / "lifts" / f"{latch.id}.{name}.json").write_text(envelope)


def with_doubled_scope(path: Path) -> None:
    path.write_text(path.read_text().replace('"scope":"all"', '"scope":"all","scope":"all"'))


def to_another_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "v": 2}))


def to_a_true_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "v": True}))


def to_a_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def to_a_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def to_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def under_another_name(path: Path) -> None:
    path.rename(path.with_name("kill-0000000000000000.json"))


CORRUPTIONS: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
    lambda path: path.write_bytes(b" " * 70_000 + path.read_bytes()),
    lambda path: path.write_text("[]"),
    lambda path: path.write_text("null"),
    lambda path: path.write_text(path.read_text().replace('"all"', '"nothing"')),
    lambda path: path.write_text(path.read_text().replace('"epoch":1', '"epoch":0')),
    lambda path: path.write_text(path.read_text().replace('"epoch":1', '"epoch":-1')),
    lambda path: path.write_text(path.read_text().replace('"epoch":1', '"epoch":1.0')),
    lambda path: path.write_text(path.read_text().replace('"epoch":1', '"epoch":' + "9" * 40)),
    lambda path: path.write_text(path.read_text().replace('"scope":"all"', '"scope":"flag"')),
    lambda path: path.write_text(path.read_text().replace('"v":1', '"v":1,"lifted":true')),
    with_doubled_scope,
    to_another_version,
    to_a_true_version,
    to_a_link,
    to_a_dead_link,
    to_a_folder,
    to_a_pipe,
    under_another_name,
]


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
def test_a_corrupted_latch_kills_everything_also_for_a_process_that_starts_now(
    plant: Plant, corrupt: Callable[[Path], object]
):
    corrupt(file_of(plant, write_latch(plant.folder, an_order())))
    board = plant.latches().board()
    assert board.unreadable
    assert board.killed(component="another", flag="another")


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
def test_a_corrupted_latch_stays_what_it_was_for_a_process_that_saw_it(plant: Plant, corrupt: Callable[[Path], object]):
    latch = write_latch(plant.folder, an_order())
    latches = plant.latches()
    assert killed(latches)
    corrupt(file_of(plant, latch))
    assert latch in latches.board().latches
    assert killed(latches, flag="another")


def test_a_deleted_latch_lifts_nothing(plant: Plant):
    latch = write_latch(plant.folder, an_order("flag", "lending-scoring"))
    latches = plant.latches()
    assert killed(latches)
    file_of(plant, latch).unlink()
    assert killed(latches)
    assert latches.board().epoch == 1


def test_a_deleted_latch_lifts_nothing_for_a_process_that_starts_now_and_asks_the_event_log(plant: Plant):
    latch = write_latch(plant.folder, an_order("flag", "lending-scoring"))
    file_of(plant, latch).unlink()
    assert not killed(plant.latches())
    assert killed(FileLatches(plant.folder, plant.registry, lambda: [latch]))


def test_a_latch_narrowed_after_it_was_seen_narrows_nothing(plant: Plant):
    latch = write_latch(plant.folder, an_order("component", "scoring"))
    latches = plant.latches()
    assert killed(latches)
    path = file_of(plant, latch)
    path.write_text(path.read_text().replace('"name":"scoring"', '"name":"nothing"'))
    assert latch in latches.board().latches
    assert latches.board().unreadable == (path.name,)


def test_a_deleted_folder_kills_everything(plant: Plant):
    latches = plant.latches()
    assert not killed(latches)
    (plant.folder / "lifts").rmdir()
    plant.folder.rmdir()
    assert killed(latches)


def test_a_folder_replaced_by_a_file_kills_everything(tmp_path: Path, plant: Plant):
    (tmp_path / "file").touch()
    assert killed(FileLatches(tmp_path / "file", plant.registry))


def test_a_file_name_that_is_no_text_breaks_no_answer(plant: Plant):
    (plant.folder / os.fsdecode(b"\xff\x1b[2J.json")).touch()
    assert plant.latches().board().unreadable == ("\\udcff\\x1b[2J.json",)


def lift_by_one_person_twice(plant: Plant, latch: Latch, ada: Actor, _bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "ada2", ada.signs(latch.id))
    filed(plant, latch, "bob", ada.signs(latch.id))


def lift_by_one_person_under_two_names(plant: Plant, latch: Latch, ada: Actor, _bob: Actor) -> None:
    twin = an_actor("twin", key=ada.key)
    plant.registry.add(twin)
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "twin", twin.signs(latch.id))


def lift_by_a_person_and_an_agent(plant: Plant, latch: Latch, ada: Actor, _bob: Actor) -> None:
    bot = an_actor("bot", "agent")
    plant.registry.add(bot)
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "bot", bot.signs(latch.id))


def lift_for_another_kill(plant: Plant, latch: Latch, ada: Actor, bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "bob", bob.signs("kill-0000000000000000"))


def lift_with_a_forged_key(plant: Plant, latch: Latch, ada: Actor, _bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "bob", an_actor("bob").signs(latch.id))


def lift_by_a_stranger(plant: Plant, latch: Latch, ada: Actor, _bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "eve", an_actor("eve").signs(latch.id))


def lift_by_a_revoked_person(plant: Plant, latch: Latch, ada: Actor, bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "bob", bob.signs(latch.id))
    plant.registry.revoke(bob)


def lift_that_expired_before_it_was_filed(plant: Plant, latch: Latch, ada: Actor, bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "bob", bob.signs(latch.id, expires=1_000_000_000))
    os.utime(plant.folder / "lifts" / f"{latch.id}.bob.json", (1, 1))


def approval_posing_as_a_lift(plant: Plant, latch: Latch, ada: Actor, bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    filed(plant, latch, "bob", bob.signs(latch.id, purpose="approve"))


def lift_changed_after_it_was_signed(plant: Plant, latch: Latch, ada: Actor, bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    doc = json.loads(bob.signs(latch.id))
    doc["signatures"].append(json.loads(ada.signs(latch.id))["signatures"][0])
    filed(plant, latch, "bob", json.dumps(doc))


def lift_through_a_link(plant: Plant, latch: Latch, ada: Actor, bob: Actor) -> None:
    filed(plant, latch, "ada", ada.signs(latch.id))
    (plant.folder.parent / "elsewhere").write_text(bob.signs(latch.id))
    (plant.folder / "lifts" / f"{latch.id}.bob.json").symlink_to(plant.folder.parent / "elsewhere")


ATTACKS = [
    lift_by_one_person_twice, lift_by_one_person_under_two_names, lift_by_a_person_and_an_agent, lift_for_another_kill,
    lift_with_a_forged_key, lift_by_a_stranger, lift_by_a_revoked_person, lift_that_expired_before_it_was_filed,
    approval_posing_as_a_lift, lift_changed_after_it_was_signed, lift_through_a_link,
]  # fmt: skip
Attack = Callable[[Plant, Latch, Actor, Actor], None]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_kill_stays_in_force_under(plant: Plant, ada: Actor, bob: Actor, attack: Attack):
    latch = write_latch(plant.folder, an_order())
    latches = plant.latches()
    attack(plant, latch, ada, bob)
    assert killed(latches)
    assert killed(plant.latches())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_if_one_signature_were_enough_the_same_attack_would_lift(
    plant: Plant, ada: Actor, bob: Actor, attack: Attack, monkeypatch: pytest.MonkeyPatch
):
    """The gate is load-bearing: with "one signature is enough" in its place, each of these goes through."""
    monkeypatch.setattr(latches_module, "PEOPLE_TO_LIFT", 1)
    latch = write_latch(plant.folder, an_order())
    attack(plant, latch, ada, bob)
    assert not killed(plant.latches())


def test_a_revoked_persons_lift_is_void_at_the_next_question(plant: Plant, ada: Actor, bob: Actor):
    latch = write_latch(plant.folder, an_order())
    for actor in (ada, bob):
        write_lift(plant.folder, latch.id, actor.identity.name, actor.signs(latch.id))
    latches = plant.latches()
    assert not killed(latches)
    plant.registry.revoke(bob)
    assert killed(latches)


def test_a_deleted_lift_is_no_lift(plant: Plant, ada: Actor, bob: Actor):
    latch = write_latch(plant.folder, an_order())
    for actor in (ada, bob):
        write_lift(plant.folder, latch.id, actor.identity.name, actor.signs(latch.id))
    latches = plant.latches()
    assert not killed(latches)
    (plant.folder / "lifts" / f"{latch.id}.bob.json").unlink()
    assert killed(latches)


def test_a_folder_full_of_rubbish_lifts_is_answered(plant: Plant, ada: Actor):
    latch = write_latch(plant.folder, an_order())
    for name in ("", ".", "..", "x.json", "ada.ada", "-", "ADA"):
        (plant.folder / "lifts" / f"{latch.id}.{name}.json").write_text(ada.signs(latch.id))
    (plant.folder / "lifts" / ".json").write_text("{}")
    os.mkfifo(plant.folder / "lifts" / f"{latch.id}.pipe.json")
    assert killed(plant.latches())


def planted(plant: Plant, epoch: int, scope: str = "flag", name: str = "harmless") -> Latch:
    """Write a latch by hand, as a member of the kill folder's group may."""
    forged = replace(an_order(scope, name), id=f"kill-{epoch:016x}", epoch=epoch)  # type: ignore[arg-type]  (a Scope)
    file_of(plant, forged).write_text(json.dumps(forged.as_json()))
    return forged


LEAPS = [2 * MAX_LEAP, MAX_EPOCH, MAX_EPOCH + 1, 2**53 - 2, 2**53 - 1]


@pytest.mark.parametrize("epoch", LEAPS)
def test_a_latch_whose_number_leaps_kills_everything_and_does_not_end_the_numbering(plant: Plant, epoch: int):
    first = write_latch(plant.folder, an_order("flag", "pricing"))
    forged = planted(plant, epoch)
    latches = plant.latches()
    assert latches.board().unreadable == (f"{forged.id}.json",)
    assert killed(latches)
    second, third = (write_latch(plant.folder, an_order("flag", "pricing")) for _ in range(2))
    assert (first.epoch, second.epoch, third.epoch) == (1, 2, 3)
    assert latches.board().fence(component="", flag="pricing") == 3


@pytest.mark.parametrize("epoch", LEAPS[:2])
def test_if_any_number_were_believed_the_next_kills_would_share_one(
    plant: Plant, epoch: int, monkeypatch: pytest.MonkeyPatch
):
    """The gate is load-bearing: without it a latch of the highest number leaves none above it."""
    monkeypatch.setattr(latch_module, "MAX_LEAP", MAX_EPOCH)
    planted(plant, epoch)
    assert not killed(plant.latches())
    made = [write_latch(plant.folder, an_order("flag", "pricing")).epoch for _ in range(2)]
    assert (made[0] == made[1]) is (epoch == MAX_EPOCH)


def test_many_latches_that_each_leap_as_far_as_they_may_still_leave_a_higher_number(plant: Plant):
    for n in range(1, 6):
        planted(plant, n * MAX_LEAP)
    assert write_latch(plant.folder, an_order()).epoch == 5 * MAX_LEAP + 1
    assert plant.latches().board().unreadable == ()
