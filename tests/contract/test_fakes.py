"""A fake is trusted because it passes the suite that the real part passes."""

from __future__ import annotations

import pytest

from contract.flags_suite import FlagsSuite
from contract.forge_suite import ForgeSuite
from contract.kpis_suite import KpisSuite
from contract.policies_suite import PoliciesSuite, a_question, codes
from evoguard.domain.change import CommitId, TreeId
from evoguard.domain.kpi import KpiBatch
from evoguard.domain.verdict import Finding
from evoguard.errors import IntegrityError
from evoguard.ports.forge import Publication
from fake_policies import FakePolicies
from fakes import FakeArtifacts, FakeClock, FakeFlags, FakeForge, FakeKpis


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


class TestFakePolicies(PoliciesSuite):
    @pytest.fixture
    def policies(self) -> FakePolicies:
        return FakePolicies()


class TestFakeKpis(KpisSuite):
    @pytest.fixture
    def kpis(self) -> FakeKpis:
        return FakeKpis(FakeClock())

    @pytest.fixture
    def post(self, kpis: FakeKpis):
        def posted(*batches: KpiBatch) -> None:
            kpis.kept += batches

        return posted


async def test_fake_policies_object_where_a_test_says_so_and_nowhere_else():
    objection = Finding("change.secret", "a key in the diff")
    policies = FakePolicies(deny=(objection,), quorum=3)
    review, admit = [await policies.decide(stage, a_question(stage)) for stage in ("review", "admit")]
    assert (review.allow, review.deny, review.quorum) == (False, (objection,), 3)
    assert admit.allow


async def test_fake_policies_without_a_rule_keep_the_others():
    alone = FakePolicies(without=frozenset({"approval.quorum"}))
    assert (await alone.decide("admit", a_question("admit", approvals=[]))).allow
    held = a_question("admit", approvals=[], author={"held": True})
    assert codes(await alone.decide("admit", held)) == {"author.held"}


def test_fake_policies_of_another_bundle_have_another_digest():
    assert FakePolicies(bundle="rules-2").digest != FakePolicies().digest


async def test_fake_artifacts_are_proved_against_their_digest():
    store = FakeArtifacts()
    digest = await store.put(b"x")
    assert await store.get(digest) == b"x"
    store.kept[digest] = b"y"
    with pytest.raises(IntegrityError):
        await store.get(digest)
