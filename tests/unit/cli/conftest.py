from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from unit.cli.installed import Installed, make
from unit.cli.recorded import GOOD, HELD, MANY, MANY_TOTALS, WIDE, decided


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    make(folder)
    return folder


@pytest.fixture
def installed(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installed:
    shutil.copytree(template, tmp_path / "i")
    return Installed(tmp_path / "i", capsys)


@pytest.fixture(scope="module")
def rules() -> OpaWasmPolicies:
    return OpaWasmPolicies()


@pytest.fixture
def past(installed: Installed, rules: OpaWasmPolicies) -> Installed:
    assert decided(installed, rules, GOOD)
    assert decided(installed, rules, WIDE, files=MANY, totals=MANY_TOTALS)
    assert not decided(installed, rules, HELD, author={"held": True}, at=1_900_000_000_000)
    return installed
