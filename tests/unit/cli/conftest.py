from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from unit.cli.installed import Installed, make


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    make(folder)
    return folder


@pytest.fixture
def installed(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installed:
    shutil.copytree(template, tmp_path / "i")
    return Installed(tmp_path / "i", capsys)
