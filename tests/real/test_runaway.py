"""Rules that run away, compiled by the real OPA: no verdict, in bounds, and the next question is answered right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evoguard.adapters.opa_wasm_host import Program
from evoguard.bench import runaway
from evoguard.errors import UnavailableError

pytestmark = pytest.mark.needs_opa
OPA = Path(os.environ.get("EVOGUARD_OPA", "opa"))


@pytest.fixture(scope="module")
def wasm() -> bytes:
    return runaway.compiled(OPA)


def test_each_is_no_verdict_the_next_is_right_and_the_memory_is_bounded(wasm: bytes, tmp_path: Path) -> None:
    rows = runaway.tried(wasm)["rows"]
    assert [(row["name"], row["verdict"], row["next"]) for row in rows] == [
        (name, "none", "right") for name in runaway.NAMES
    ]
    *_, memory = runaway.figures(OPA, tmp_path)
    assert memory.value <= runaway.BAR_MB


def test_it_is_the_fuel_and_the_memory_that_end_them(wasm: bytes) -> None:
    question = b'{"long": "a", "n": 1}'
    few = Program(wasm, fuel=10_000_000)
    with pytest.raises(UnavailableError):
        few.evaluate(runaway.ENTRIES[0], data=b"{}", question=b'{"n": 1, "x": [%s1]}' % (b"1," * 200_000))
    with pytest.raises(UnavailableError):
        Program(wasm, max_pages=70).evaluate("evoguard/runaway/by_doubling", data=b"{}", question=question)
