"""Old images of ours leave an engine; those in use, those of others and those of unknown age stay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evoguard_sandbox.rooms import engine_image
from evoguard_sandbox.rooms.engine_image import KEEP_DAYS, OURS, REPOSITORY, clear

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class BusyError(Exception):
    pass


class AnEngine:
    """Holds images by id; each was named some days ago."""

    def __init__(self, days: Mapping[str, float | None], busy: tuple[str, ...] = ()) -> None:
        self.days, self.busy = dict(days), busy

    def images(self, *, name: str, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        assert (name, filters) == (REPOSITORY, {"label": [OURS]})
        return [{"Id": held} for held in self.days]

    def inspect_image(self, image: str) -> dict[str, Any]:
        days = self.days[image]
        when = "0001-01-01T00:00:00Z" if days is None else (NOW - timedelta(days=days)).isoformat()
        return {"Metadata": {"LastTagTime": when.replace("+00:00", ".123456789Z")}}

    def tag(self, image: str, repository: str, tag: str) -> bool:
        raise AssertionError

    def remove_image(self, image: str, *, force: bool) -> object:
        assert not force
        if image in self.busy:
            raise BusyError
        return self.days.pop(image)


def test_what_was_not_named_for_long_goes_and_what_is_in_use_or_tells_no_age_stays():
    engine = AnEngine({"old": KEEP_DAYS + 1, "busy": 99, "kept": 99, "young": 1, "unknown": None}, ("busy",))
    assert clear(engine, {"kept"}, NOW, (BusyError,)) == ("old",)
    assert set(engine.days) == {"busy", "kept", "young", "unknown"}


def test_of_too_many_the_longest_unnamed_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine_image, "MOST_KEPT", 2)
    engine = AnEngine({f"of {n} days": n for n in (3, 1, 4, 2)})
    assert clear(engine, set(), NOW, (BusyError,)) == ("of 4 days", "of 3 days")
