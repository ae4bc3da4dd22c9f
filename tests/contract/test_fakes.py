"""A fake is trusted because it passes the suite that the real part passes."""

from __future__ import annotations

import pytest

from contract.flags_suite import FlagsSuite
from contract.forge_suite import ForgeSuite
from evoguard.domain.change import CommitId, TreeId
from evoguard.errors import IntegrityError
from evoguard.ports.forge import Publication
from fakes import FakeArtifacts, FakeFlags, FakeForge


class TestFakeForge(ForgeSuite):
    @pytest.fixture
    def forge(self) -> FakeForge:
        return FakeForge()

    @pytest.fixture
    def what(self) -> Publication:
        return Publication(
            "repo", "scoring", "release/scoring", "ch-000000000001", CommitId("a" * 40), CommitId("b" * 40),
            TreeId("c" * 40), "a better rule", 1_800_000_000, 0,
        )  # fmt: skip

    @pytest.fixture
    def raise_epoch(self, forge: FakeForge):
        async def raised(epoch: int) -> None:
            forge.raise_epoch(epoch)

        return raised


class TestFakeFlags(FlagsSuite):
    @pytest.fixture
    def flags(self, latches) -> FakeFlags:
        return FakeFlags(latches)


async def test_fake_artifacts_are_proved_against_their_digest():
    store = FakeArtifacts()
    digest = await store.put(b"x")
    assert await store.get(digest) == b"x"
    store.kept[digest] = b"y"
    with pytest.raises(IntegrityError):
        await store.get(digest)
