"""The bench of judging asks whole questions, and what the past is asked again is recorded as the flow does."""

from __future__ import annotations

from pathlib import Path

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.bench import policy
from evoguard.bench.asked import question


async def test_the_questions_are_whole_and_allowed_up_to_the_limit_of_files() -> None:
    rules = OpaWasmPolicies()
    for files, denied in ((1, set()), (10, set()), (1_000, {"change.unbounded"})):
        decision = await rules.decide("review", question(files))
        assert {finding.code for finding in decision.deny} == denied


async def test_the_past_is_answered_as_it_was_and_tighter_rules_deny_the_wider(tmp_path: Path) -> None:
    took, memory = await policy._past(tmp_path, 40)
    assert took.name.startswith("40 decisions")
    assert memory.ok
