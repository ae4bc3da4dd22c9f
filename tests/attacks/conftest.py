"""Attacks on a kill start from the same folder and the same two people as the kill's own tests."""

from __future__ import annotations

from unit.kill.conftest import ada, bob, plant

__all__ = ["ada", "bob", "plant"]
