"""kill -9 before and after every durable write of a change's whole way; the core tests take a part of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from attacks.test_crash_at_every_line import LEAST, crash_at_each


async def test_a_crash_at_any_transaction_neither_loses_nor_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await crash_at_each(tmp_path, monkeypatch, first=1, step=1) > 2 * LEAST
