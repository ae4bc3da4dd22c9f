"""Attacks on lifts whose files are newer than they say: what the log recorded counts, a file alone never does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evoguard.adapters.latch_files import write_latch
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.domain.latch import Latch
from fakes import FakeClock
from unit.kill.killing import Plant, an_order
from unit.signing.people import Actor, an_actor


def killed(latches: FileLatches) -> bool:
    return latches.board().killed(component="scoring", flag="lending-scoring")


def filed(plant: Plant, latch: Latch, name: str, envelope: str) -> None:
    """Put a lift into the folder as a restored backup does: by hand, past every check."""
    (plant.folder / "lifts" / f"{latch.id}.{name}.json").write_text(envelope)


@dataclass
class Restored:
    """A kill that two people lifted, that the log recorded, and whose files were all restored after they expired."""

    latch: Latch
    log: SqliteRegistry
    latches: FileLatches


@pytest.fixture
def restored(plant: Plant, ada: Actor, bob: Actor, tmp_path: Path) -> Iterator[Restored]:
    con = db.connect(tmp_path / "evoguard.db", create=True)
    latch = write_latch(plant.folder, an_order())
    log = SqliteRegistry(con, FakeClock())
    latches = FileLatches(plant.folder, plant.registry, log.known_kills)
    for actor in (ada, bob):
        filed(plant, latch, actor.identity.name, actor.signs(latch.id))
    log.reconcile(latches.board())
    for actor in (ada, bob):  # the very same order, of which only the time has passed since
        filed(plant, latch, actor.identity.name, actor.signs(latch.id, expires=1_000_000_000))
    yield Restored(latch, log, latches)
    con.close()


def test_a_lift_that_the_log_recorded_outlives_a_restored_folder(plant: Plant, restored: Restored):
    assert not killed(restored.latches)
    assert not killed(FileLatches(plant.folder, plant.registry, restored.log.known_kills))


def test_without_the_log_the_same_files_lift_nothing(plant: Plant, restored: Restored):
    assert killed(plant.latches())
    assert killed(FileLatches(plant.folder, plant.registry, lambda: [replace(restored.latch, lifted=False)]))


def test_the_log_counts_no_lift_that_it_has_not_seen(plant: Plant, restored: Restored, ada: Actor, bob: Actor):
    later = write_latch(plant.folder, an_order())
    for actor in (ada, bob):
        filed(plant, later, actor.identity.name, actor.signs(later.id, expires=1_000_000_000))
    restored.log.reconcile(restored.latches.board())
    assert killed(restored.latches)


def test_what_the_log_recorded_lifts_nothing_without_two_peoples_signatures(
    plant: Plant, restored: Restored, bob: Actor
):
    path = plant.folder / "lifts" / f"{restored.latch.id}.bob.json"
    kept = path.read_text()
    for forged in (an_actor("bob").signs(restored.latch.id), bob.signs("kill-0000000000000000"), "{}"):
        path.write_text(forged)
        assert killed(restored.latches)
    path.write_text(kept)
    assert not killed(restored.latches)
    plant.registry.revoke(bob)
    assert killed(restored.latches)


def test_a_lift_that_the_log_recorded_counts_while_the_log_gives_no_answer(plant: Plant, restored: Restored):
    answers = iter([restored.log.known_kills()])
    latches = FileLatches(plant.folder, plant.registry, lambda: next(answers))
    assert not killed(latches)
    assert not killed(latches)
