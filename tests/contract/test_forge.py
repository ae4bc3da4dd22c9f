"""The forge's promises, kept by git."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.forge_suite import ForgeSuite, RaiseEpoch
from evoguard.adapters.git.forge import GitForge
from evoguard.ports.forge import Forge, Publication
from given_git import a_fetched_change, a_publication


@pytest.fixture
async def what(tmp_path: Path) -> Publication:
    _, fetched = await a_fetched_change(tmp_path)
    return a_publication(fetched)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return GitForge(tmp_path / "repos")


@pytest.fixture
def raise_epoch(tmp_path: Path, what: Publication) -> RaiseEpoch:
    return GitForge(tmp_path / "repos").raise_epoch_all


class TestGitForge(ForgeSuite):
    pass
