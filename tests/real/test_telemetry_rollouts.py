"""Whole rollouts of candidates that hide their failures, through the real edge to the real decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard.bench.telemetry_forgeries import roll


@pytest.mark.parametrize("mode", ["plain 500", "steal the token"])
async def test_a_forger_is_not_promoted_by_the_real_decision(tmp_path: Path, mode: str) -> None:
    seen = await roll(mode, tmp_path)
    assert (seen.end, seen.by_itself) == ("rollout.kpi_worse", "promoted")
