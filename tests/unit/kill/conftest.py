from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.kill.killing import Hanging, Plant, a_folder
from unit.signing.people import Actor, an_actor


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(a_folder(tmp_path))


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    part = Hanging()
    yield part
    part.release.set()


@pytest.fixture
def ada(plant: Plant) -> Actor:
    actor = an_actor("ada")
    plant.registry.add(actor)
    return actor


@pytest.fixture
def bob(plant: Plant) -> Actor:
    actor = an_actor("bob")
    plant.registry.add(actor)
    return actor
