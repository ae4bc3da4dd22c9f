"""One change along the whole path, on the real graph and SQLite, everything else faked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evoguard.domain.flag import FlagState
from evoguard.domain.verdict import Finding
from house import COMPONENT, House

TO_APPROVAL = [
    "change.submitted",
    "change.mapped",
    "candidate.scanned",
    "candidate.inspected",
    "candidate.checked",
    "change.judged",
    "approval.requested",
]


async def test_a_good_change_becomes_known_good(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    assert await house.story(change) == TO_APPROVAL
    await house.vote(change, "alice")
    await house.drive(change)
    assert house.flags.states["lending-scoring"].percent == 1
    done = await house.promote(change)
    assert done.outcome == "known-good"
    assert await house.story(change) == [
        *TO_APPROVAL, "approval.recorded", "change.approved", "change.admitted", "change.attested", "release.published",
        "rollout.opened", "rollout.widened", "rollout.widened", "rollout.widened", "rollout.completed",
        "change.known_good",
    ]  # fmt: skip
    assert house.forge.known_good == house.forge.published[0]
    row = await house.queries.change(change)
    assert row is not None
    assert row.stage_percent == 100
    assert house.flags.states["lending-scoring"].lease_until == 0


async def test_a_candidate_that_is_worse_in_production_is_taken_back(house: House) -> None:
    change = await house.to_watch()
    house.traffic(change, units=400, percent=1, bad_known_good=20)
    house.clock.wait(2)
    await house.drive(change)
    assert house.flags.states["lending-scoring"].percent == 10
    house.traffic(change, units=300, percent=10, bad_candidate=9, bad_known_good=13)
    done = await house.drive(change)
    assert done.outcome == "reverted"
    assert not house.flags.states["lending-scoring"].enabled
    assert house.forge.reverted
    assert await house.queries.held("coder")


async def test_red_tests_are_refused_at_check_with_the_finding_that_names_the_cheat(house: House) -> None:
    house.sandbox.passed = False
    house.sandbox.findings = (Finding("tests.config_changed", "conftest.py was edited", "conftest.py"),)
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = (await house.queries.events(f"change/{change}"))[-1].event
    assert refused.type == "change.refused"
    assert refused.body["step"] == "check"
    assert "conftest.py" in refused.reason


async def test_a_denial_is_refused_at_judge_and_signed_like_a_yes(house: House) -> None:
    house.policies.deny = (Finding("approval.guard_paths", "policies/ was touched", "policies/a.rego"),)
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = (await house.queries.events(f"change/{change}"))[-1].event
    statement = await house.ports.signer.verify(house.artifacts.kept[str(refused.body["attestation"])])
    assert json.loads(json.dumps(statement))["predicate"]["verificationResult"] == "FAILED"
    assert not house.forge.published


async def test_a_reject_ends_the_change(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "bob", verdict="reject")
    assert (await house.drive(change)).outcome == "rejected"


async def test_two_people_are_needed_when_the_policies_ask_for_two(house: House) -> None:
    house.policies.quorum = 2
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    await house.vote(change, "alice")
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    await house.vote(change, "bob")
    await house.drive(change)
    assert await house.status(change) == "rolling out"


async def test_a_second_change_of_a_component_waits_its_turn(house: House) -> None:
    house.add("coder2", "agent")
    first = await house.to_watch()
    second = await house.submit(author="coder2", head="d" * 40)
    await house.drive(second)
    await house.vote(second, "bob")
    assert (await house.drive(second)).wake_at > 0
    assert await house.status(second) == "queued"
    assert await house.status(first) == "rolling out"


async def test_a_new_head_supersedes_the_older_one(house: House) -> None:
    old = await house.submit()
    await house.drive(old)
    new = await house.submit(head="d" * 40)
    await house.drive(new)
    assert (await house.drive(old)).outcome == "superseded"
    assert await house.status(new) == "waiting for approval"


async def test_silence_reverts_and_never_widens(house: House) -> None:
    change = await house.to_watch()
    for _ in range(10):
        house.clock.wait(10)
        done = await house.drive(change)
        if done.outcome:
            break
    assert done.outcome == "reverted"
    assert [w.percent for w in house.flags.writes if w.percent > 1] == []


async def test_the_lease_is_not_renewed_without_data(house: House) -> None:
    change = await house.to_watch()
    opened = house.flags.states["lending-scoring"].lease_until
    house.clock.wait(house.ports.pace.lease_s + 5)
    await house.drive(change)
    assert house.flags.states["lending-scoring"].lease_until == opened


async def test_the_lease_is_renewed_while_data_comes(house: House) -> None:
    change = await house.to_watch()
    opened = house.flags.states["lending-scoring"].lease_until
    house.clock.wait(house.ports.pace.lease_s * 0.6)
    house.traffic(change, units=100, percent=1)
    await house.drive(change)
    assert house.flags.states["lending-scoring"].lease_until > opened


@pytest.mark.parametrize("component", [None, b"version = 1\n"])
async def test_a_repository_without_components_reaches_approval_but_no_release(
    house: House, component: bytes | None
) -> None:
    house.sources.component_file = component
    house.policies.deny_admit = (Finding("rollout.missing_flag", "no flag"),)
    change = await house.submit()
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    await house.vote(change, "alice")
    assert (await house.drive(change)).outcome == "refused"
    assert not house.forge.published


async def test_a_flag_of_another_component_is_refused_before_anything_runs(house: House) -> None:
    await house.to_watch()
    house.add("coder2", "agent")
    house.sources.component_file = COMPONENT.replace(b"scoring", b"limits").replace(
        b'"lending-limits"', b'"lending-scoring"'
    )
    house.sources.touched = ("lending/limits.py",)
    change = await house.submit(author="coder2", head="d" * 40)
    assert (await house.drive(change)).outcome == "refused"
    refused = (await house.queries.events(f"change/{change}"))[-1].event
    assert refused.body["findings"][0]["code"] == "flag.claimed"


async def test_a_flag_that_another_claimed_in_the_meantime_ends_the_rollout_and_stays_as_it_is(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    taken = FlagState("lending-scoring", "limits", "ch-other", True, 5, "a" * 40, "b" * 40, 0, 0)
    house.flags.states["lending-scoring"] = taken
    await house.vote(change, "alice")
    assert (await house.drive(change)).outcome == "reverted"
    assert house.forge.reverted
    assert house.flags.states["lending-scoring"] == taken


async def test_a_withdrawal_before_the_first_stage_leaves_an_earlier_release_on(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    earlier = FlagState("lending-scoring", "scoring", "ch-earlier", True, 100, "a" * 40, "b" * 40, 0, 0)
    house.flags.states["lending-scoring"] = earlier
    await house.vote(change, "alice")

    def withdraw_now() -> None:
        body = json.dumps({"by": "coder", "envelope": house.signed("withdraw", change, "coder")})
        house.con.execute(
            "insert into inbox(change,kind,body,key,at) values(?,?,?,?,?)",
            (change, "withdraw", body, "w", house.clock.ms),
        )

    house.forge.on_publish = withdraw_now
    assert (await house.drive(change)).outcome == "reverted"
    assert house.flags.states["lending-scoring"] == earlier


async def test_an_approved_change_that_was_superseded_is_not_released(house: House) -> None:
    old = await house.submit()
    await house.drive(old)
    await house.vote(old, "alice")
    new = await house.submit(head="d" * 40)
    await house.drive(new)  # tells the older one
    assert (await house.drive(old)).outcome == "superseded"
    assert house.forge.published == []


async def test_a_change_refused_after_it_was_signed_carries_a_failed_attestation(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    house.forge.tip = "f" * 40  # the release branch moved
    await house.vote(change, "alice")
    assert (await house.drive(change)).outcome == "refused"
    refused = (await house.queries.events(f"change/{change}"))[-1].event
    assert refused.body["step"] == "release"
    statement = await house.ports.signer.verify(house.artifacts.kept[str(refused.body["attestation"])])
    assert json.loads(json.dumps(statement))["predicate"]["verificationResult"] == "FAILED"


async def test_a_base_that_is_not_the_release_tip_is_refused_before_anything_runs(house: House) -> None:
    house.forge.tip = house.forge.known_good = "f" * 40
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = (await house.queries.events(f"change/{change}"))[-1].event
    assert refused.body["findings"][0]["code"] == "release.base_not_tip"
    assert house.sandbox.runs == 0


async def test_the_first_release_of_an_agent_needs_two_people(house: House) -> None:
    house.forge.tip = house.forge.known_good = ""
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    await house.vote(change, "bob")
    await house.drive(change)
    assert await house.status(change) == "rolling out"


async def test_an_author_gets_so_many_bits_of_the_held_out_tests_a_day_and_no_more(house: House) -> None:
    house.sandbox.secret_tests = True
    house.ports = replace(house.ports, held_out_a_day=1)
    first = await house.submit()
    await house.drive(first)
    assert await house.status(first) == "waiting for approval"
    second = await house.submit(head="c" * 40)
    runs = house.sandbox.runs
    done = await house.drive(second)
    assert (done.outcome, house.sandbox.runs) == ("refused", runs)
    refused = (await house.queries.events(f"change/{second}"))[-1].event
    assert "1 are judged by held-out tests" in refused.reason
    house.clock.wait(25 * 3600)
    third = await house.submit(head="d" * 40)
    await house.drive(third)
    assert await house.status(third) == "waiting for approval"
