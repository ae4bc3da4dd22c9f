from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from evoguard.adapters import tool_cache
from evoguard_sandbox import Room
from house import House

hypothesis.settings.register_profile("evoguard", deadline=None)  # how long an example takes says nothing of the code
hypothesis.settings.load_profile("evoguard")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Open a room of one file's own, with the gVisor and the runner layer that `make setup` built."""
    made = Room.open(tmp_path_factory.mktemp("room"), tool_cache.runsc_path(), tool_cache.layer_dir())
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """Give each test the usual umask: opening a state sets the process's to 077, as the service wants it."""
    before = os.umask(0o022)
    yield
    os.umask(before)
