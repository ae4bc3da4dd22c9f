"""DESIGN 4.11: for each gate, the attack that it stops, and proof that the attack goes through once the gate is gone.

The removal replaces one gate by one that always opens; everything else stays.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from evoguard.domain.canonical import Digest
from evoguard.domain.scan import Hit
from evoguard.domain.verdict import Finding
from evoguard.errors import HaltedError
from evoguard.flow import graph
from evoguard.flow.graph import GUARDED, build
from house import HEAD, House

Attack = Callable[[House], Awaitable[str]]


async def red_tests(house: House) -> str:
    """A candidate whose tests fail."""
    house.sandbox.passed = False
    return await submitted_and_approved(house)


async def tests_outside_gvisor(house: House) -> str:
    """Green tests that ran without isolation."""
    house.sandbox.isolation = ""
    return await submitted_and_approved(house)


async def no_tests(house: House) -> str:
    """A suite in which nothing ran."""
    house.sandbox.tests = 0
    return await submitted_and_approved(house)


async def a_known_fault(house: House) -> str:
    """A change that adds what the scanner knows to be malicious."""
    house.scanner.new = (Hit("python.reverse_shell", "error", "lending/scoring.py", 3, "a shell", ""),)
    return await submitted_and_approved(house)


async def not_scanned(house: House) -> str:
    """A change on which the scanner gave up."""
    house.scanner.status = "incomplete"
    return await submitted_and_approved(house)


async def denied_by_policy(house: House) -> str:
    """A change that the policies deny."""
    house.policies.deny = (Finding("change.secret", "a key in the diff"),)
    return await submitted_and_approved(house)


async def denied_at_admit(house: House) -> str:
    """A change that the policies deny once the approvals are in hand."""
    house.policies.deny_admit = (Finding("rollout.missing_kpi", "no KPI"),)
    return await submitted_and_approved(house)


async def unproved_sender(house: House) -> str:
    """A submission signed with somebody else's key."""
    house.add("mallory", "agent")
    change = await house.submit(key="mallory")
    return await approved(house, change)


async def submitted_and_approved(house: House) -> str:
    return await approved(house, await house.submit())


async def approved(house: House, change: str) -> str:
    await house.drive(change)
    if "approval.requested" in await house.story(change):
        await house.vote(change, "alice")
        await house.drive(change)
    return change


GATES: list[tuple[str, str, Attack]] = [
    ("intake", "impact", unproved_sender),
    ("check", "judge", red_tests),
    ("check", "judge", tests_outside_gvisor),
    ("check", "judge", no_tests),
    ("judge", "approve", a_known_fault),
    ("judge", "approve", not_scanned),
    ("judge", "approve", denied_by_policy),
    ("sign", "release", denied_at_admit),
]
IDS = [f"{step}-{attack.__name__}" for step, _, attack in GATES]


@pytest.mark.parametrize(("step", "opens", "attack"), GATES, ids=IDS)
async def test_the_attack_is_stopped(house: House, step: str, opens: str, attack: Attack) -> None:
    await attack(house)
    assert house.forge.published == []
    assert house.flags.writes == []


@pytest.mark.parametrize(("step", "opens", "attack"), GATES, ids=IDS)
async def test_the_attack_goes_past_the_gate_once_it_is_removed(
    house: House, step: str, opens: str, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always_open(state: object) -> str:
        return opens

    rows = tuple((n, s, always_open if n == step else gate, targets) for n, s, gate, targets in GUARDED)
    monkeypatch.setattr(graph, "GUARDED", rows)
    ran: list[str] = []
    original = graph._guarded

    def watching(inner):
        node = original(inner)

        async def seen(state, *, runtime):
            ran.append(inner.__name__)
            return await node(state, runtime=runtime)

        return seen

    monkeypatch.setattr(graph, "_guarded", watching)
    house.app = build(house.saver)
    # without the gate the next step is reached; later gates may still stop it, that is what more than one is for
    with pytest.MonkeyPatch.context():
        try:
            await attack(house)
        except Exception:  # noqa: BLE001  (a later part may refuse in its own way)
            assert ran
    assert opens in ran


async def test_nobody_approved_and_nothing_is_signed(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_without_the_count_of_people_the_change_would_be_released(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evoguard.flow.approve.people_for", lambda *_, **__: frozenset({"nobody"}))
    house.policies.without = frozenset({"approval.quorum"})  # the rules count people once more
    change = await house.submit()
    await house.drive(change)
    assert await house.status(change) == "rolling out"


async def test_a_kill_before_any_step_wins(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    house.latches.kill(scope="component", name="scoring")
    assert (await house.drive(change)).outcome == "killed"
    assert house.forge.published == []


async def test_without_the_kill_gate_the_change_would_be_published(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    monkeypatch.setattr(graph, "_guarded", graph._node)
    house.app = build(house.saver)
    house.latches.kill(scope="component", name="scoring")
    house.forge.epoch = 1
    with pytest.raises(Exception, match="killed"):  # the flag's own fence is the second line
        await house.drive(change)
    assert house.forge.published


async def test_an_unreadable_latch_kills_everything(house: House) -> None:
    change = await house.to_watch()
    house.latches.unreadable = ("kill-1.json",)
    assert (await house.drive(change)).outcome == "killed"
    assert not house.flags.states["lending-scoring"].enabled
    assert house.forge.reverted


async def test_an_unreadable_latch_stops_what_is_not_out_yet_and_loses_nothing(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    house.latches.unreadable = ("note.json",)
    with pytest.raises(HaltedError):
        await house.drive(change)
    assert house.forge.published == []
    house.latches.unreadable = ()
    await house.drive(change)
    assert await house.status(change) == "rolling out"
    assert not await house.queries.held("coder")


async def test_a_worker_frozen_before_the_kill_and_woken_after_it_publishes_nothing(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")

    def kill_now() -> None:
        """The kill happens after the decision and before the effect."""
        house.latches.kill(scope="all")
        house.forge.epoch = 1

    house.forge.on_publish = kill_now
    with pytest.raises(Exception, match="kill came first"):
        await house.drive(change)
    house.forge.on_publish = lambda: None
    assert (await house.drive(change)).outcome == "killed"
    assert house.forge.published == []
    assert house.flags.writes == []


async def test_a_kill_stays_absorbing_for_what_was_decided_before_it_after_a_lift(house: House) -> None:
    change = await house.to_watch()
    latch = house.latches.kill(scope="flag", name="lending-scoring")
    house.latches.lift(latch)
    stale = house.flags.writes[-1]
    with pytest.raises(Exception, match="killed"):
        await house.flags.write(stale)
    assert (await house.drive(change)).outcome == "killed"
    assert not house.flags.states["lending-scoring"].enabled


async def test_a_change_that_waited_through_a_kill_and_its_lift_is_not_released(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    house.latches.lift(house.latches.kill(scope="component", name="scoring"))
    await house.vote(change, "alice")
    assert (await house.drive(change)).outcome == "killed"
    assert house.forge.published == []


async def test_a_kill_and_lift_while_the_worker_is_frozen_in_a_step_open_nothing(house: House) -> None:
    change = await house.to_watch()
    house.traffic(change, units=400, percent=1, bad_known_good=20)
    house.clock.wait(2)
    original = house.kpis.batches

    async def frozen(which: str):
        """The guard has looked; now the worker sleeps through a kill and its lift, before it widens."""
        house.latches.lift(house.latches.kill(scope="flag", name="lending-scoring"))
        await house.flags.off("lending-scoring")
        return await original(which)

    house.kpis.batches = frozen  # type: ignore[method-assign]
    with pytest.raises(Exception, match="killed"):
        await house.drive(change)
    house.kpis.batches = original  # type: ignore[method-assign]
    assert not house.flags.states["lending-scoring"].enabled
    assert (await house.drive(change)).outcome == "killed"


async def test_a_kill_of_another_component_does_not_end_a_change(house: House) -> None:
    change = await house.to_watch()
    house.latches.kill(scope="component", name="pricing")
    house.forge.epoch = 1
    done = await house.promote(change)
    assert done.outcome == "known-good"


async def test_an_agent_is_never_counted_as_a_person(house: House) -> None:
    house.add("reviewer", "agent")
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "reviewer")
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_the_author_cannot_approve_their_own_change(house: House) -> None:
    change = await house.submit(author="alice", kind="person")
    await house.drive(change)
    await house.vote(change, "alice")
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_a_vote_signed_with_another_key_does_not_count(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice", key="coder")
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    assert (await house.story(change))[-1] == "approval.ignored"


async def test_a_vote_on_another_digest_does_not_count(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice", digest="sha256:" + "0" * 64)
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_an_expired_vote_does_not_count(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice", life_s=-5)
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_a_vote_that_expires_while_the_second_is_missing_does_not_count(house: House) -> None:
    house.policies.quorum = 2
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice", life_s=100)
    await house.drive(change)
    house.clock.wait(200)
    await house.vote(change, "bob")
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"


async def test_new_policies_void_the_approval(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    house.policies.bundle = "rules-2"
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    assert "approval.voided" in await house.story(change)
    assert house.forge.published == []


async def test_policies_that_change_between_approval_and_signature_sign_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    put = house.artifacts.put

    async def then_other_rules(raw: bytes) -> Digest:
        if raw.startswith(b"["):  # the votes: the last thing that is stored before the signature
            house.policies.bundle = "rules-2"
        return await put(raw)

    monkeypatch.setattr(house.artifacts, "put", then_other_rules)
    assert (await house.drive(change)).outcome == "refused"
    assert "change.approved" in await house.story(change)
    assert house.forge.published == []


async def test_a_held_author_is_refused_at_intake(house: House) -> None:
    house.latches.kill(scope="component", name="scoring")
    change = await house.submit()
    await house.drive(change)
    assert await house.queries.held("coder")
    house.latches.seen.clear()
    again = await house.submit(head="d" * 40)
    assert (await house.drive(again)).outcome == "refused"
    assert house.sandbox.runs == 0 or HEAD != "d" * 40


@pytest.mark.parametrize(("key", "outcome"), [("coder", "withdrawn"), ("alice", "")])
async def test_only_its_author_can_withdraw_a_change_that_waits(house: House, key: str, outcome: str) -> None:
    change = await house.submit()
    await house.drive(change)
    body = json.dumps({"by": "coder", "envelope": house.signed("withdraw", change, "coder", key=key)})
    await house.inbox.put(change, "withdraw", body, key="w")
    assert (await house.drive(change)).outcome == outcome


@pytest.mark.parametrize(("key", "outcome"), [("coder", "reverted"), ("alice", "")])
async def test_only_its_author_can_withdraw_a_change_that_rolls_out(house: House, key: str, outcome: str) -> None:
    change = await house.to_watch()
    body = json.dumps({"by": "coder", "envelope": house.signed("withdraw", change, "coder", key=key)})
    await house.inbox.put(change, "withdraw", body, key="w")
    assert (await house.drive(change)).outcome == outcome
    assert not await house.inbox.pending(change)
