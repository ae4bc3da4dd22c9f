"""Rules of people's own in the flow: the constitution holds over them, and what waits is reviewed again under them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from evoguard.domain.canonical import as_digest
from evoguard.domain.evidence import Evidence
from evoguard.domain.verdict import Finding
from evoguard.errors import UnavailableError
from evoguard.flow import graph
from evoguard.flow.state import StepResult
from house import House

HELD = (Finding("author.held", "the author is held"),)


async def decision_of(house: House, change: str, event: str) -> dict[str, object]:
    """Return the newest stored decision behind an event."""
    bodies = [e.event.body for e in await house.queries.events(f"change/{change}") if e.event.type == event]
    doc: dict[str, object] = json.loads(await house.artifacts.get(as_digest(str(bodies[-1]["decision"]))))
    return doc


async def test_a_change_that_only_the_constitution_refuses_is_refused(house: House):
    house.policies.bundle, house.policies.constitution = "own", HELD
    change = await house.submit()
    done = await house.drive(change)
    assert done.outcome == "refused"
    record = await decision_of(house, change, "change.judged")
    assert record["decision"]["allow"] is True  # type: ignore[index]
    assert record["floor"]["constitution"] == ["author.held"]  # type: ignore[index]


async def test_without_the_floor_it_would_have_gone_to_people(house: House, monkeypatch: pytest.MonkeyPatch):
    async def none(*_: object) -> None:
        return None

    house.policies.bundle, house.policies.constitution = "own", HELD
    monkeypatch.setattr(type(house.policies), "floor", none)
    change = await house.submit()
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_the_constitution_refuses_at_admission_too(house: House):
    house.policies.bundle, house.policies.constitution = "own", ()
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    house.policies.constitution = HELD
    done = await house.drive(change)
    assert (done.outcome, house.forge.published) == ("refused", [])


async def test_a_constitution_without_a_verdict_is_a_closed_gate(house: House, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> None:
        raise UnavailableError("policies", "no verdict")

    house.policies.bundle, house.policies.constitution = "own", ()
    monkeypatch.setattr(type(house.policies), "floor", broken)
    change = await house.submit()
    with pytest.raises(UnavailableError):
        await house.drive(change)
    assert "change.judged" not in await house.story(change)


async def test_what_waits_for_people_is_checked_and_reviewed_again_when_other_rules_come_into_force(house: House):
    change = await house.submit()
    await house.drive(change)
    first = await house.asked(change)
    house.policies.bundle = "own"
    await house.drive(change)
    story = await house.story(change)
    assert story[-6:] == [
        "approval.voided", "candidate.scanned", "candidate.inspected", "candidate.checked", "change.judged",
        "approval.requested",
    ]  # fmt: skip
    assert await house.asked(change) != first
    assert house.sandbox.runs == 2
    await house.vote(change, "alice")
    await house.drive(change)
    assert await house.status(change) == "rolling out"


async def test_a_vote_given_under_the_rules_before_does_not_count(house: House):
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    house.policies.bundle = "own"
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    assert "change.approved" not in await house.story(change)


async def test_what_is_checked_again_passes_by_what_is_found_now_alone(house: House):
    """Its author's budget of held-out tests is used up meanwhile, and what was green is red now."""
    house.sandbox.secret_tests, house.ports = True, replace(house.ports, held_out_a_day=1)
    change = await house.submit()
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    await house.submit(head="e" * 40)
    house.policies.bundle, house.sandbox.passed = "own", False
    done = await house.drive(change)
    assert (done.outcome, house.sandbox.runs) == ("refused", 2)


async def test_no_gate_opens_on_what_a_review_under_other_rules_found(house: House, monkeypatch: pytest.MonkeyPatch):
    change = await house.submit()
    await house.drive(change)
    house.policies.bundle = "own"

    async def nothing(*_: object) -> StepResult:
        return StepResult({})

    steps = [(name, nothing if name == "check" else step, gate, to) for name, step, gate, to in graph.GUARDED]
    monkeypatch.setattr(graph, "GUARDED", tuple(steps))
    house.app = graph.build(house.saver)
    assert (await house.drive(change)).outcome == "refused"
    assert (await house.story(change)).count("change.judged") == 1


async def test_a_no_given_while_it_is_checked_again_stands(house: House, monkeypatch: pytest.MonkeyPatch):
    change = await house.submit()
    await house.drive(change)
    shown, run = await house.asked(change), house.sandbox.run

    async def meanwhile(*given: object) -> Evidence:
        await house.vote(change, "alice", verdict="reject", digest=shown)
        return await run(*given)  # type: ignore[arg-type]

    house.policies.bundle = "own"
    monkeypatch.setattr(house.sandbox, "run", meanwhile)
    assert (await house.drive(change)).outcome == "rejected"


async def test_a_refusal_after_other_rules_is_signed_under_those_that_decided(house: House):
    change = await house.submit()
    await house.drive(change)
    house.policies.bundle, house.sandbox.passed = "own", False
    assert (await house.drive(change)).outcome == "refused"
    bodies = [e.event.body for e in await house.queries.events(f"change/{change}") if "attestation" in e.event.body]
    envelope = json.loads(await house.artifacts.get(as_digest(str(bodies[-1]["attestation"]))))["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    named = {row["uri"] for row in statement["predicate"]["inputAttestations"]}
    assert "evoguard:decision" not in named
    assert f"sha256:{statement['predicate']['policy']['digest']['sha256']}" == house.policies.digest


async def test_what_the_new_rules_refuse_is_refused_though_it_waited(house: House):
    change = await house.submit()
    await house.drive(change)
    house.policies.bundle, house.policies.deny = "own", (Finding("change.unbounded", "too wide"),)
    assert (await house.drive(change)).outcome == "refused"


async def test_a_no_given_under_the_rules_before_stands(house: House):
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice", verdict="reject")
    house.policies.bundle = "own"
    assert (await house.drive(change)).outcome == "rejected"
