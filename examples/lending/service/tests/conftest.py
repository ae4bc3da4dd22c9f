"""Builders for the tests: a healthy application, to be changed one figure at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def an_application() -> Callable[..., dict[str, object]]:
    """Return a builder; keyword arguments replace figures."""

    def build(**figures: object) -> dict[str, object]:
        healthy: dict[str, object] = {
            "amount": 50_000,
            "revenue": 200_000,
            "profit": 20_000,
            "debts": 20_000,
            "years": 8,
            "sector": "retail",
            "postcode": "1012",
        }
        return {**healthy, **figures}

    return build
