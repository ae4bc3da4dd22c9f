"""Every listed package's own tests in the sandbox room, five honest changes each: what `evoguard bench suites` says.

Figures of processor time are printed and not asserted: what a loaded machine takes is no defect.
"""

from __future__ import annotations

import os
import sys

import pytest

from evoguard.bench import suites

MISSING = os.environ.get("EVOGUARD_SUITES_MISSING", "")
pytestmark = pytest.mark.needs_gvisor


def test_real_suites_come_out_the_same_and_no_honest_change_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    if MISSING:
        if os.environ.get("EVOGUARD_REQUIRE_REAL") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with capsys.disabled():
        sys.stderr.write("\n")
        figures = suites.measure()
        for figure in figures:
            sys.stderr.write(f"{figure.name}: {figure.value:.2f} {figure.unit} (bar {figure.bar}) {figure.note}\n")
    missed = [figure for figure in figures if not figure.ok and not figure.name.startswith("processor time")]
    assert missed == []
