from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evoguard.adapters import latch_files
from evoguard.adapters.latch_files import latch_from, write_latch, write_lift
from evoguard.adapters.latches import FileLatches
from evoguard.domain.canonical import canonical
from evoguard.domain.latch import MAX_EPOCH, MAX_LEAP, Latch
from evoguard.errors import InputError, UnavailableError
from unit.kill.killing import Plant, a_folder, an_order, as_nobody


def test_a_latch_is_on_the_disk_as_it_was_returned(plant: Plant):
    latch = write_latch(plant.folder, an_order("flag", "lending-scoring", signed="{}"))
    raw = (plant.folder / f"{latch.id}.json").read_bytes()
    assert latch_from(raw, latch.id) == latch
    assert raw == canonical(latch.as_json())


def test_each_epoch_is_one_above_every_one_ever_seen(plant: Plant):
    assert write_latch(plant.folder, an_order()).epoch == 1
    assert write_latch(plant.folder, an_order()).epoch == 2
    assert write_latch(plant.folder, an_order(), floor=40).epoch == 41
    known = Latch("kill-00000001", 90, "all", "", "why", "ada", 1, lifted=True)
    assert write_latch(plant.folder, an_order(), known=[known]).epoch == 91


def test_an_epoch_never_leaves_the_range_that_can_be_read_back(plant: Plant):
    write_latch(plant.folder, an_order(), floor=MAX_EPOCH)
    assert FileLatches(plant.folder, plant.registry, tuple, lambda: MAX_EPOCH).board().unreadable == ()


def test_a_latch_far_above_the_others_is_believed_once_git_or_the_log_say_so(plant: Plant):
    latch = write_latch(plant.folder, an_order(), floor=3 * MAX_LEAP)
    assert plant.latches().board().unreadable == (f"{latch.id}.json",)
    assert FileLatches(plant.folder, plant.registry, tuple, lambda: latch.epoch).board().latches == (latch,)
    assert FileLatches(plant.folder, plant.registry, lambda: [latch]).board().unreadable == ()


def test_a_latch_that_cannot_be_read_does_not_stop_the_next_one(plant: Plant):
    (plant.folder / "broken.json").write_text("{")
    (plant.folder / "link.json").symlink_to("/dev/zero")
    os.mkfifo(plant.folder / "pipe.json")
    assert write_latch(plant.folder, an_order()).epoch == 1


def test_modes_let_the_group_of_the_folder_read_and_nobody_else_in(plant: Plant):
    old = os.umask(0o077)
    try:
        latch = write_latch(plant.folder, an_order())
    finally:
        os.umask(old)
    assert stat.S_IMODE(plant.folder.stat().st_mode) == 0o1770
    assert stat.S_IMODE((plant.folder / "lifts").stat().st_mode) == 0o1770
    assert stat.S_IMODE((plant.folder / f"{latch.id}.json").stat().st_mode) == 0o644


def test_two_kills_at_once_get_distinct_ids_and_epochs(plant: Plant):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: write_latch(plant.folder, an_order(), lock_s=60), range(16)))
    assert len({latch.id for latch in made}) == 16
    assert {latch.epoch for latch in made} == set(range(1, 17))


def test_a_kill_goes_ahead_while_a_frozen_process_holds_the_lock(plant: Plant):
    held = os.open(plant.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        latch = write_latch(plant.folder, an_order(), lock_s=0.0)
    finally:
        os.close(held)
    assert plant.latches().board().latches == (latch,)


@pytest.mark.parametrize("obstacle", ["folder", "link", "pipe"])
def test_a_kill_goes_ahead_without_a_lock_file(plant: Plant, obstacle: str):
    lock = plant.folder / ".lock"
    {"folder": lock.mkdir, "link": lambda: lock.symlink_to("/dev/null"), "pipe": lambda: os.mkfifo(lock)}[obstacle]()
    assert write_latch(plant.folder, an_order(), lock_s=0.0).epoch == 1


def test_a_read_only_folder_latches_nothing_and_says_so():
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        top.chmod(0o755)
        folder = a_folder(top)
        folder.chmod(0o555)
        with as_nobody(), pytest.raises(UnavailableError, match="NOTHING IS LATCHED") as caught:
            write_latch(folder, an_order())
        assert caught.value.fix
        assert [path.name for path in folder.iterdir()] == ["lifts"]
        folder.chmod(0o755)


def test_a_missing_folder_is_not_made_up(tmp_path: Path):
    with pytest.raises(UnavailableError):
        write_latch(tmp_path / "kill", an_order())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "order",
    [
        an_order("component"),
        an_order("flag"),
        an_order("all", "lending"),
        an_order("planet", "earth"),  # type: ignore[arg-type]  (what a caller in another language may send)
        an_order(reason="\ud800"),
        an_order(signed="x" * 70_000),
    ],
    ids=["no component", "no flag", "all with a name", "unknown scope", "no text", "too large"],
)
def test_a_latch_that_could_not_be_read_back_is_not_written(plant: Plant, order: Latch):
    with pytest.raises(InputError):
        write_latch(plant.folder, order)
    assert plant.latches().board().latches == ()


@pytest.mark.parametrize(
    ("kill_id", "person"),
    [("../../etc", "ada"), ("kill-00000001", "../ada"), ("kill-00000001", ""), ("", "ada"), ("kill.00000001", "ada")],
)
def test_a_lift_cannot_be_filed_elsewhere(plant: Plant, kill_id: str, person: str):
    with pytest.raises(InputError):
        write_lift(plant.folder, kill_id, person, "{}")
    assert list((plant.folder / "lifts").iterdir()) == []


def test_a_lift_that_cannot_be_filed_is_unavailable(plant: Plant):
    (plant.folder / "lifts").rmdir()
    with pytest.raises(UnavailableError):
        write_lift(plant.folder, "kill-00000001", "ada", "{}")


def test_the_folder_is_made_once_and_again_without_harm(plant: Plant):
    latch = write_latch(plant.folder, an_order())
    latch_files.prepare(plant.folder)
    assert plant.latches().board().latches == (latch,)
