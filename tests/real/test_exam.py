"""Every row of the exam: the attack is refused by this gate, and goes through once it is taken out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evoguard.exam.gate import Gate
from evoguard.exam.running import Examiner
from evoguard.exam.table import GATES


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as made:
        yield made


@pytest.mark.parametrize("gate", GATES, ids=[gate.name for gate in GATES])
def test_the_gate_holds_the_attack_that_goes_through_without_it(examiner: Examiner, gate: Gate) -> None:
    assert examiner.examine(gate).why == ""
