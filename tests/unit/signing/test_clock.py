from __future__ import annotations

import time

import pytest

from evoguard.adapters.clock import SystemClock

FUTURE_MS = 4_000_000_000_000


def test_time_is_never_below_what_the_log_has_seen():
    assert SystemClock(FUTURE_MS).now_ms() == FUTURE_MS
    assert SystemClock(lambda: FUTURE_MS).now_ms() == FUTURE_MS


def test_a_clock_set_back_does_not_go_back_here(monkeypatch: pytest.MonkeyPatch):
    clock = SystemClock()
    before = clock.now_ms()
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    assert clock.now_ms() >= before


def test_a_clock_set_back_does_not_stand_still_here(monkeypatch: pytest.MonkeyPatch):
    ticks = [5_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: ticks[0])
    clock = SystemClock(FUTURE_MS)
    assert clock.now_ms() == FUTURE_MS
    ticks[0] += 90_000_000_000
    assert clock.now_ms() == FUTURE_MS + 90_000
    assert clock.wall_ms() < FUTURE_MS


def test_a_floor_that_gives_no_answer_gives_no_time():
    def silent() -> int:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        SystemClock(silent).now_ms()
