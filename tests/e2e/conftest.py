"""One real installation for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from real_house import RealHouse


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealHouse]:
    house = RealHouse.make(tmp_path)
    yield house
    house.close()
