from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """Give each test the usual umask: opening a state sets the process's to 077, as the service wants it."""
    before = os.umask(0o022)
    yield
    os.umask(before)
