"""A rule that was broken on purpose turns a test of the rules red. All edits: deploy/mutate_policies.py, nightly."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from mutate_policies import every, judged, mutants

SAMPLE, SEED = 24, 7


@pytest.mark.needs_opa
def test_of_a_sample_of_edits_nearly_all_are_noticed() -> None:
    opa = Path(os.environ["EVOGUARD_OPA"])
    told = {mutant: judged(opa, mutant) for mutant in random.Random(SEED).sample(every(), SAMPLE)}  # noqa: S311
    survived = [str(mutant) for mutant, word in told.items() if word == "survived"]
    killed = sum(word == "killed" for word in told.values())
    assert killed >= SAMPLE // 2
    assert len(survived) <= 3, survived  # some edits change nothing: a bound that another line holds as well


def test_each_kind_of_edit_is_made() -> None:
    text = "deny contains 1 if {\n\tcount(input.x) > 3\n\tnot input.y\n}\n"
    made = {(mutant.line, mutant.after.strip()) for mutant in mutants("a.rego", text)}
    assert made == {
        (1, "notes contains 1 if {"), (1, "deny contains 2 if {"),
        (2, ""), (2, "not count(input.x) > 3"), (2, "count(input.x) >= 3"), (2, "count(input.x) > 4"),
        (3, ""), (3, "input.y"),
    }  # fmt: skip
