"""Every rule that ships, by an attack that this rule alone stands against."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.canonical import Json, canonical
from evoguard.domain.events import Event
from evoguard.domain.scan import Hit
from evoguard.domain.verdict import Finding, PolicyStage
from evoguard.exam.gate import Attack, Gate
from evoguard.exam.hall import BETTER, Hall, Seen
from evoguard.exam.surgery import Silent

LINE = 'key = "{made}"\n'


async def guard_path(hall: Hall) -> Seen:
    """An agent edits the policies, and two people overlook it."""
    return await hall.carried(await hall.submit({"policies/a/rule.rego": "package a\n"}))


async def one_vote_of_two(hall: Hall) -> Seen:
    """A component asks for three people; two approve."""
    return await hall.carried(await hall.submit(component="quorum = 3"), "alice", "bob")


async def no_agent_reviewed(hall: Hall) -> Seen:
    """A repository asks that an agent reviews as well; only people do."""
    return await hall.carried(await hall.submit(policy="seats = 1"))


async def own_vote(hall: Hall) -> Seen:
    """A person votes for their own change, beside another person's vote."""
    return await hall.carried(await hall.submit(author="alice"), "alice", "bob")


async def held_meanwhile(hall: Hall) -> Seen:
    """The author is held after the review, before the signature."""
    change = await hall.submit()
    await hall.drive(change)
    hall.append("kills", Event("author.held", {"author": "coder", "kill": "abort-exam"}, reason="exam"))
    return await hall.carried(change)


async def lock_changed(hall: Hall) -> Seen:
    """Another lock is to pass without anybody being told to look."""
    return await _unmarked(hall, await hall.submit({"requirements.lock": "# other pins\n"}), "change.lock_changed")


async def needs_review(hall: Hall) -> Seen:
    """Code that looks at its environment is to pass without anybody being told to look."""
    hall.room.seen = {"review": (Finding("code.looks_around", "reads the environment"),)}
    return await _unmarked(hall, await hall.submit(), "evidence.needs_review")


async def known_fault(hall: Hall) -> Seen:
    """The change adds what the scanner knows to be malicious."""
    hall.room.hits = (Hit("python.reverse_shell", "error", "scoring.py", 1, "a shell"),)
    return await hall.carried(await hall.submit())


async def not_scanned(hall: Hall) -> Seen:
    """The scanner gave up, and the change goes on."""
    hall.room.scanned = False
    return await hall.carried(await hall.submit())


async def secret(hall: Hall) -> Seen:
    """A key stands on an added line."""
    made = "AK" + "IA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
    return await hall.carried(await hall.submit({"scoring.py": LINE.format(made=made)}))


async def special_file(hall: Hall) -> Seen:
    """A file that is no script becomes executable."""
    return await hall.carried(await hall.submit({"tool.dat": "run me\n"}, mode="100755"))


async def unbounded(hall: Hall) -> Seen:
    """More files than anybody reads."""
    return await hall.carried(await hall.submit({f"f{n}.py": "x = 1\n" for n in range(101)}))


async def weak_assurance(hall: Hall) -> Seen:
    """The component asks for held-out tests; there were none."""
    return await hall.carried(await hall.submit(policy='assurance = "held-out"'))


async def unsafe_room(hall: Hall) -> Seen:
    """The tests ran in a runtime that isolates nothing."""
    hall.room.seen = {"isolation": "unsafe-runc"}
    return await hall.carried(await hall.submit())


async def red(hall: Hall) -> Seen:
    """The candidate's tests fail."""
    hall.room.seen = {"passed": False, "failed": 1, "verdict": "fail"}
    return await hall.carried(await hall.submit())


async def unstable(hall: Hall) -> Seen:
    """A test that comes out as it likes judges the change."""
    hall.room.seen = {"unstable": ("tests/test_scoring.py::test_0",)}
    return await hall.carried(await hall.submit())


async def without_flag(hall: Hall) -> Seen:
    """A component that nobody can switch off is released."""
    config = 'version = 1\n[component.scoring]\npaths = ["**"]\n[component.scoring.kpi.errors]\n'
    return await hall.carried(await hall.submit(config=config))


async def without_kpi(hall: Hall) -> Seen:
    """A component that nobody measures is released."""
    config = 'version = 1\n[component.scoring]\npaths = ["**"]\nflag = "scoring"\n'
    return await hall.carried(await hall.submit(config=config))


async def lost_field(hall: Hall) -> Seen:
    """The question loses the list of secrets, so that the rule about secrets finds nothing."""
    question = dict(await _question(hall))
    del question["secrets"]
    return await _decided(hall, "review", question)


async def other_rules_reviewed(hall: Hall) -> Seen:
    """What was reviewed under milder rules is admitted under these."""
    change = await hall.submit()
    await hall.carried(change)
    question = dict(cast("Mapping[str, Json]", (await hall.record(change, "change.admitted"))["question"]))
    policy = cast("Mapping[str, Json]", question["policy"])
    question["policy"] = {**policy, "reviewed_bundle": "sha256:" + "0" * 64}
    return await _decided(hall, "admit", question)


async def closed_calendar(hall: Hall) -> Seen:
    """A change of some risk goes on in a freeze, and nobody is told."""
    question = dict(await _question(hall))
    question["impact"] = {**cast("Mapping[str, Json]", question["impact"]), "risk": 200}
    loaded = bundle.load()
    frozen = {"from": "1970-01-01", "to": "2099-12-31", "reason": "exam"}
    dates: Json = {"closed": [], "freezes": [frozen], "low_risk": 100, "people": 2}
    rules = OpaWasmPolicies(loaded=replace(loaded, data=canonical({**json.loads(loaded.data), "calendar": dates})))
    decision = await rules.decide("review", question)
    told = {finding.code for finding in decision.escalate}
    return Seen(decision.allow and "rollout.calendar" not in told, ", ".join(sorted(told)) or "nobody is told")


async def _question(hall: Hall) -> Mapping[str, Json]:
    change = await hall.submit(BETTER)
    await hall.drive(change)
    return cast("Mapping[str, Json]", (await hall.record(change))["question"])


async def _decided(hall: Hall, stage: PolicyStage, question: Mapping[str, Json]) -> Seen:
    decision = await hall.driver.ports.policies.decide(stage, question)
    return Seen(decision.allow, ", ".join(sorted({f.code for f in decision.deny})) or "allowed")


async def _unmarked(hall: Hall, change: str, code: str) -> Seen:
    await hall.drive(change)
    decision = cast("Mapping[str, Json]", (await hall.record(change))["decision"])
    marked = {str(f["code"]) for f in cast("list[Mapping[str, Json]]", decision["escalate"])}
    return Seen(bool(decision["allow"]) and code not in marked, ", ".join(sorted(marked)) or "nobody is told")


RULES: Mapping[str, tuple[Attack, tuple[str, ...]]] = {
    "approval.guard_paths": (guard_path, ()),
    "approval.quorum": (one_vote_of_two, ("approve.count", "repository.people")),
    "approval.seats": (no_agent_reviewed, ()),
    "approval.self": (own_vote, ()),
    "author.held": (held_meanwhile, ()),
    "change.lock_changed": (lock_changed, ()),
    "change.scan_finding": (known_fault, ()),
    "change.secret": (secret, ()),
    "change.special_file": (special_file, ()),
    "change.unbounded": (unbounded, ()),
    "evidence.assurance": (weak_assurance, ()),
    "evidence.needs_review": (needs_review, ()),
    "evidence.not_isolated": (unsafe_room, ()),
    "evidence.not_passed": (red, ("check.green",)),
    "evidence.not_scanned": (not_scanned, ()),
    "evidence.unstable_tests": (unstable, ()),
    "input.incomplete": (lost_field, ()),
    "policy.bundle_changed": (other_rules_reviewed, ()),
    "rollout.missing_flag": (without_flag, ("flags.names",)),
    "rollout.missing_kpi": (without_kpi, ()),
    "rollout.calendar": (closed_calendar, ()),
}
GATES = tuple(Gate(code, Silent(code), attack, code, backed) for code, (attack, backed) in RULES.items())
