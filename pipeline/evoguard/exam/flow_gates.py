"""The gates of the path: who sent it, what was tested, who approved what, and what is signed."""

from __future__ import annotations

import json

from evoguard import desk
from evoguard.domain.events import Event
from evoguard.exam import rule_gates as rules
from evoguard.exam.bundles import another, enforced
from evoguard.exam.gate import Gate
from evoguard.exam.hall import COMPONENT, Hall, Seen
from evoguard.exam.surgery import Cut

INTAKE, APPROVE, VOTES = "evoguard.flow.intake:_doubts", "evoguard.flow.approve", "evoguard.domain.approval:people_for"
ROUTES = "evoguard.flow.routes"
_SENDER = ("intake.route", "impact.route")


async def foreign_key(hall: Hall) -> Seen:
    """A submission in coder's name, signed with mallory's key."""
    return await hall.carried(await hall.smuggled(key="mallory"))


async def false_kind(hall: Hall) -> Seen:
    """An agent says that it is a person, for whom milder rules hold."""
    return await hall.carried(await hall.smuggled(kind="person"))


async def other_submission(hall: Hall) -> Seen:
    """A signature that was given for another proposal is put under this one."""
    return await hall.carried(await hall.smuggled(other="sha256:" + "0" * 64))


async def old_submission(hall: Hall) -> Seen:
    """A submission whose signature had expired."""
    return await hall.carried(await hall.smuggled(life_s=-5))


async def held_author(hall: Hall) -> Seen:
    """A held author sends again, past the front desk."""
    hall.append("kills", Event("author.held", {"author": "coder", "kill": "abort-exam"}, reason="exam"))
    return await hall.carried(await hall.smuggled())


async def submitted_while_held(hall: Hall) -> Seen:
    """A held author submits at the front desk."""
    hall.append("kills", Event("author.held", {"author": "coder", "kill": "abort-exam"}, reason="exam"))
    return Seen(True, await hall.submit())


async def submitted_while_killed(hall: Hall) -> Seen:
    """A change is submitted while everything is killed."""
    await hall.kill("all", "")
    return Seen(True, await hall.submit())


async def own_settings(hall: Hall) -> Seen:
    """A candidate takes the demand for held-out tests out of its own component file."""
    weaker = COMPONENT.format(component="", policy="")
    change = await hall.submit({".evoguard.toml": weaker}, author="alice", policy='assurance = "held-out"')
    return await hall.carried(change, "bob", "carol")


async def denied_at_admit(hall: Hall) -> Seen:
    """A change that the policies deny once the votes are in hand is signed all the same."""
    return await rules.without_kpi(hall)


async def nobody_approved(hall: Hall) -> Seen:
    """Nobody approves, and the worker goes on."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.drive(change)
    return await hall.outcome(change)


async def agents_vote(hall: Hall) -> Seen:
    """An agent votes as if it were the second person."""
    return await hall.carried(await hall.submit(), "robot", "alice")


async def authors_vote(hall: Hall) -> Seen:
    """A person's own vote is the only one."""
    return await hall.carried(await hall.submit(author="alice"), "alice")


async def sponsor_votes(hall: Hall) -> Seen:
    """Who put their name to the agent is one of the two whom its first release needs."""
    return await hall.carried(await hall.submit(), "carol", "alice")


async def vote_on_another_digest(hall: Hall) -> Seen:
    """Votes that were given to an earlier digest are filed for this one."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.vote(change, "alice", "bob", digest="sha256:" + "0" * 64)
    await hall.drive(change)
    return await hall.outcome(change)


async def vote_that_had_expired(hall: Hall) -> Seen:
    """Votes whose signatures were over when they arrived."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.vote(change, "alice", "bob", life_s=-5)
    await hall.drive(change)
    return await hall.outcome(change)


async def vote_that_expires(hall: Hall) -> Seen:
    """One person's vote expires long before the second person's arrives."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.vote(change, "alice", life_s=60)
    await hall.drive(change)
    hall.later(3_600)
    await hall.vote(change, "bob", life_s=7_200)
    await hall.drive(change)
    return await hall.outcome(change)


async def vote_for_something_else(hall: Hall) -> Seen:
    """What two people signed for another purpose is filed as their approvals."""
    change = await hall.submit()
    await hall.drive(change)
    for name in ("alice", "bob"):
        body = json.dumps({"by": name, "envelope": hall.signed("withdraw", await hall.asked(change), name)})
        await hall.opened.inbox.put(change, "approve", body, key=f"vote/{name}")
    await hall.drive(change)
    return await hall.outcome(change)


async def vote_of_a_stranger(hall: Hall) -> Seen:
    """Mallory, who is not registered, signs for alice and bob."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.vote(change, "alice", "bob", key="mallory")
    await hall.drive(change)
    return await hall.outcome(change)


async def first_release(hall: Hall) -> Seen:
    """An agent names the base that becomes known-good, and one person vouches for it."""
    return await hall.carried(await hall.submit(), "alice")


async def rules_changed_while_it_waited(hall: Hall) -> Seen:
    """Stricter rules come into force while a change waits; it is approved as it was reviewed."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.vote(change, "alice", "bob")
    enforced(hall, another(hall, {"change": {"locks": ["scoring.lock"]}}))
    await hall.drive(change)
    return await hall.outcome(change)


async def desk_agent(hall: Hall) -> Seen:
    """An agent files a vote at the front desk."""
    return await _at_the_desk(hall, await hall.submit(), "robot")


async def desk_author(hall: Hall) -> Seen:
    """An author files a vote for their own change at the front desk."""
    return await _at_the_desk(hall, await hall.submit(author="alice"), "alice")


async def desk_sponsor(hall: Hall) -> Seen:
    """Who put their name to the agent files a vote for its change at the front desk."""
    return await _at_the_desk(hall, await hall.submit(), "carol")


async def withdrawn_by_another(hall: Hall) -> Seen:
    """Coder's change is ended by what coder signed for another purpose."""
    change = await hall.submit()
    await hall.drive(change)
    body = json.dumps({"by": "coder", "envelope": hall.signed("approve", change, "coder")})
    await hall.opened.inbox.put(change, "withdraw", body, key="withdraw/x")
    await hall.drive(change)
    ended = [e.event.type for e in await hall.events(change)][-1] == "change.withdrawn"
    return Seen(ended, "withdrawn" if ended else (await hall.outcome(change)).said)


async def _at_the_desk(hall: Hall, change: str, name: str) -> Seen:
    await hall.drive(change)
    digest = await hall.asked(change)
    filed = await desk.vote(
        hall.desk, hall.pen(name), change=change, digest=digest, person=name, verdict="approve", reason=""
    )
    return Seen(True, f"filed as message {filed}")


_IGNORED = "approval.ignored"
GATES = (
    Gate("intake.route", Cut(f"{ROUTES}:after_intake", "state.get('refused') is False", "True"), foreign_key,
         "author.unverified", ("impact.route",)),
    Gate("impact.route", Cut(f"{ROUTES}:after_impact", "state.get('refused') is False", "True"), foreign_key,
         "author.unverified", ("intake.route",)),
    Gate("intake.signature", Cut("evoguard.adapters.dsse:unseal", SEAL := (
        "key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))"), "None"), foreign_key,
         "author.unverified"),
    Gate("intake.kind", Cut(INTAKE, "identity.kind != proposal.author.kind"), false_kind, "author.unknown"),
    Gate("intake.subject", Cut(INTAKE, "command.subject != proposal_subject(proposal)"), other_submission,
         "author.unverified"),
    Gate("intake.expiry", Cut(INTAKE, "command.expires * 1000 <= message.at"), old_submission, "author.expired"),
    Gate("intake.held", Cut(INTAKE, "(reason := await ports.queries.held(proposal.author.id))"), held_author,
         "author.held", ("author.held",)),
    Gate("desk.held", Cut("evoguard.desk:submit", "(reason := await parts.queries.held(author))"),
         submitted_while_held, "author.held"),
    Gate("desk.killed", Cut("evoguard.desk:submit", "parts.latches.board().killed(component='', flag='')"),
         submitted_while_killed, "halted.all"),
    Gate("impact.base_file", Cut("evoguard.flow.impact:impact",
         "ports.sources.file(proposal.repo, proposal.base, FILE_NAME)",
         "ports.sources.file(proposal.repo, proposal.head, FILE_NAME)"), own_settings, "evidence.assurance"),
    Gate("check.green", Cut(f"{ROUTES}:after_check", "state.get('passed') is True", "True"), rules.red, "refused at",
         ("evidence.not_passed",)),
    Gate("judge.allow", (Cut(f"{ROUTES}:after_judge", "state.get('allow') is True", "True"),
         Cut("evoguard.flow.judge:judge", "not decision.allow")), rules.not_scanned, "evidence.not_scanned",
         ("sign.allow",)),
    Gate("approve.count", Cut(f"{APPROVE}:approve", "len(people) >= max(1, state['quorum'])", "True"),
         rules.one_vote_of_two, "waits", ("approval.quorum", "repository.people")),
    Gate("approve.route", (Cut(f"{ROUTES}:after_approve", "state.get('approved') is True", "True"),
         Cut(f"{APPROVE}:_waiting", "interrupt({'waiting': 'approval', 'wake_at': 0})", "None")), nobody_approved,
         "waits", ("approval.quorum",)),
    Gate("approve.person", Cut(VOTES, "a.kind == 'person'", "True"), agents_vote, "waits"),
    Gate("approve.author", Cut(VOTES, "a.by != author.id", "True"), authors_vote, "waits",
         ("approval.quorum", "approval.self")),
    Gate("approve.apart", Cut(VOTES, "a.by not in apart", "True"), sponsor_votes, "waits"),
    Gate("approve.digest", Cut(VOTES, "a.digest == digest", "True"), vote_on_another_digest, "waits",
         ("approve.subject", "approval.quorum")),
    Gate("approve.subject", Cut(f"{APPROVE}:_must_be_about", "command.subject not in digests"), vote_on_another_digest,
         _IGNORED, ("approve.digest", "approval.quorum")),
    Gate("approve.expired", Cut(f"{APPROVE}:_must_be_about", "command.expires * 1000 <= message.at"),
         vote_that_had_expired, _IGNORED, ("approve.expiry", "approval.quorum")),
    Gate("approve.expiry", Cut(VOTES, "a.expires > now", "True"), vote_that_expires, "waits"),
    Gate("approve.purpose", Cut(f"{APPROVE}:_must_be_about",
         "command.purpose not in ('approve', 'reject') or command.purpose != message.kind"), vote_for_something_else,
         _IGNORED, ("approve.verdict",)),
    Gate("approve.verdict", Cut(f"{APPROVE}:_recorded", "'approve' if command.purpose == 'approve' else 'reject'",
         "'approve'"), vote_for_something_else, "waits after change.rejected", ("approve.purpose",)),
    Gate("approve.signature", Cut("evoguard.adapters.dsse:unseal", SEAL, "None"), vote_of_a_stranger, _IGNORED),
    Gate("approve.first_release", Cut("evoguard.flow.judge:judge", "FIRST_QUORUM", "1"), first_release, "waits"),
    Gate("approve.other_rules", Cut(f"{APPROVE}:approve", "bundle != state['bundle']"), rules_changed_while_it_waited,
         "waits", ("sign.digest", "policy.bundle_changed")),
    Gate("sign.digest", Cut("evoguard.flow.sign:sign", "same != state['approval']"), rules_changed_while_it_waited,
         "approval.void", ("approve.other_rules", "policy.bundle_changed")),
    Gate("sign.allow", Cut("evoguard.flow.sign:sign", "not decision.allow or doubts"), denied_at_admit,
         "rollout.missing_kpi"),
    Gate("approve.withdraw", Cut(f"{APPROVE}:_withdrawn", "command.purpose == 'withdraw'", "True"),
         withdrawn_by_another, "approval.ignored: a withdraw"),
    Gate("desk.agent", Cut("evoguard.desk:vote", "identity.kind == 'agent' and (not seats_in(asked))"),
         desk_agent, "approval.agent"),
    Gate("desk.apart", Cut("evoguard.desk:vote", "person in set_apart(asked)"),
         desk_sponsor, "approval.apart"),
    Gate("desk.author", Cut("evoguard.desk:vote", "person == row.author"), desk_author, "approval.self"),
)  # fmt: skip
