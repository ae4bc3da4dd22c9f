from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from evoguard.domain.attestation import LEVELS, VSA_TYPE, check_vsa, resource_uri
from evoguard.domain.canonical import canonical, digest_of
from unit.signing.people import AT, HEAD, POLICY, TREE, a_statement

RESOURCE = "git+evoguard:lending@refs/heads/release/scoring"


def doubts(statement: Mapping[str, Any], **changes: object) -> list[str]:
    demand: dict[str, Any] = {
        "tree": TREE,
        "policy": POLICY,
        "verifier": "evoguard:test",
        "now_s": AT + 60,
        "resource": RESOURCE,
    }
    return [finding.code for finding in check_vsa(statement, **{**demand, **changes})]


def test_a_fresh_passed_summary_about_the_tree_is_good():
    assert doubts(a_statement()) == []


def test_a_statement_has_canonical_form_and_names_commit_and_tree():
    statement = a_statement()
    assert canonical(statement)
    assert [subject["digest"] for subject in statement["subject"]] == [{"gitCommit": HEAD}, {"gitTree": TREE}]
    assert statement["predicateType"] == VSA_TYPE
    assert statement["predicate"]["resourceUri"] == RESOURCE


def test_a_passed_summary_names_its_levels_and_all_evidence():
    predicate = a_statement(inputs={"evidence": b"1", "decision": b"2", "admit": b"3", "approvals": b"4"})["predicate"]
    assert predicate["verifiedLevels"] == list(LEVELS)
    assert {entry["uri"] for entry in predicate["inputAttestations"]} == {
        "evoguard:evidence",
        "evoguard:decision",
        "evoguard:admit",
        "evoguard:approvals",
    }


def test_a_failed_summary_claims_no_level_and_opens_no_gate():
    statement = a_statement(passed=False)
    assert not set(LEVELS) & set(statement["predicate"]["verifiedLevels"])
    assert doubts(statement) == ["attestation.result", "attestation.levels"]
    assert doubts(statement, result="FAILED") == []


def test_own_levels_do_not_pose_as_slsa_levels():
    assert not any(level.startswith("SLSA_") for level in LEVELS)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tree": "d" * 40}, "attestation.subject"),
        ({"tree": ""}, "attestation.subject"),
        ({"policy": digest_of(b"another bundle")}, "attestation.policy"),
        ({"policy": frozenset()}, "attestation.policy"),
        ({"verifier": "somebody"}, "attestation.verifier"),
        ({"verifier": ""}, "attestation.verifier"),
        ({"resource": resource_uri("lending", "release/other")}, "attestation.resource"),
        ({"now_s": AT + 90_000}, "attestation.stale"),
        ({"now_s": AT - 1_000}, "attestation.time"),
    ],
)
def test_another_demand_than_what_was_verified_is_not_met(changes: dict[str, Any], code: str):
    assert doubts(a_statement(), **changes) == [code]


def test_one_of_several_allowed_policies_is_enough():
    assert doubts(a_statement(), policy=frozenset({digest_of(b"older"), POLICY})) == []


PATHS = [
    ("_type",), ("predicateType",), ("subject",), ("predicate",), ("predicate", "verifier"), ("predicate", "policy"),
    ("predicate", "timeVerified"), ("predicate", "resourceUri"), ("predicate", "policy", "digest"),
    ("predicate", "inputAttestations"), ("predicate", "verificationResult"), ("predicate", "verifiedLevels"),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=".".join)
@pytest.mark.parametrize("value", [None, "", 7, [], {}, [None], {"sha256": "x"}, "missing"])
def test_every_missing_or_malformed_field_is_a_doubt(path: tuple[str, ...], value: object):
    statement: Any = copy.deepcopy(a_statement())
    inner = statement
    for name in path[:-1]:
        inner = inner[name]
    if value == "missing":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    assert doubts(statement)


def test_a_second_tree_among_the_subjects_is_a_doubt():
    statement: Any = a_statement()
    statement["subject"].append({"name": "more", "digest": {"gitTree": "e" * 40}})
    assert doubts(statement) == ["attestation.subject"]


def test_evidence_without_a_digest_is_a_doubt():
    statement: Any = a_statement()
    statement["predicate"]["inputAttestations"][0]["digest"] = {"sha1": "0" * 40}
    assert doubts(statement) == ["attestation.inputs"]


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+00:00", "yesterday"])
def test_a_time_in_another_form_is_a_doubt(text: str):
    statement: Any = a_statement()
    statement["predicate"]["timeVerified"] = text
    assert doubts(statement) == ["attestation.time"]


def test_a_repository_name_cannot_pose_as_another_branch():
    assert resource_uri("a@refs/heads/main", "b") != resource_uri("a", "main@refs/heads/b")
    assert resource_uri("lending", "") == "git+evoguard:lending"
