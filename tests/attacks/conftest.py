"""Attacks on a kill start from the same folder and people as its own tests; those on rules from one office."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evoguard.wiring import activating
from rules_office import Office
from unit.kill.conftest import ada, bob, plant

__all__ = ["ada", "bob", "plant"]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Return an office in which the bundles' own tests take no time."""
    monkeypatch.setattr(activating, "run_rule_tests", lambda *_, **__: [("told/to/pass", True)])
    monkeypatch.setattr(activating, "QUESTIONS", 20)
    made = Office(tmp_path)
    yield made
    made.opened.close()
