"""The suite of the port on the shipped rules, in process."""

from __future__ import annotations

import pytest

from contract.policies_suite import PoliciesSuite, a_question
from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.ports import Policies


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Policies:
    return OpaWasmPolicies(tmp_path_factory.mktemp("cache"))


class TestOpaWasm(PoliciesSuite):
    pass


async def test_the_rules_seen_are_those_of_the_manifest(policies: Policies) -> None:
    assert (await policies.decide("review", a_question())).rules_seen == bundle.load().manifest.rules


async def test_a_thousand_files_fit_the_bounds(policies: Policies) -> None:
    file = a_question()["files"][0]
    files = [{**file, "path": f"pkg/module_{n}.py"} for n in range(1000)]
    decision = await policies.decide("review", a_question(files=files))
    assert {finding.code for finding in decision.deny} == {"change.unbounded"}
