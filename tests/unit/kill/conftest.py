from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.kill.killing import Hanging, Plant, a_folder


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(a_folder(tmp_path))


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    part = Hanging()
    yield part
    part.release.set()
