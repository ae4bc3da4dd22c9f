"""What no layer proves reaches policies and record; unstable tests and unsafe rooms are the policies' to deny."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from evoguard.domain.canonical import Json, as_digest, canonical
from evoguard.domain.evidence import Evidence
from evoguard.domain.verdict import Decision, Finding
from evoguard.flow.question import ask
from evoguard.ports.forge import Blob
from fakes import FakeSandbox
from house import House

CLOCK = "tests/test_clock.py::test_midnight"


@dataclass
class Telling(FakeSandbox):
    """A sandbox that has something for people to look at."""

    review: tuple[Finding, ...] = ()
    unstable: tuple[str, ...] = ()

    async def run(
        self, repo: str, tree: str, base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str = ""
    ) -> Evidence:
        seen = await super().run(repo, tree, base, candidate, lock)
        return replace(seen, review=self.review, unstable=self.unstable, split=2)


def telling(house: House, **told: Any) -> None:  # noqa: ANN401  (what Telling takes)
    house.sandbox = Telling(**told)
    house.again()


async def body(house: House, change: str, kind: str) -> Mapping[str, Json]:
    events = await house.queries.events(f"change/{change}")
    return next(item.event.body for item in reversed(events) if item.event.type == kind)


async def artifact(house: House, digest: Json) -> dict[str, Any]:
    doc: dict[str, Any] = json.loads(await house.ports.artifacts.get(as_digest(str(digest))))
    return doc


async def test_what_no_test_proves_escalates_and_refuses_nothing(house: House) -> None:
    telling(house, review=(Finding("review.time_bomb", "a.py:3"), Finding("review.differs", "f(3)")))
    change = await house.submit()
    await house.drive(change)
    assert (await house.story(change))[-1] == "approval.requested"
    checked, judged = await body(house, change, "candidate.checked"), await body(house, change, "change.judged")
    assert checked["review"] == ["review.differs", "review.time_bomb"]
    record = await artifact(house, judged["decision"])
    assert record["question"]["evidence"]["review"] == ["review.differs", "review.time_bomb"]
    told = [(f["code"], f["term"]) for f in record["decision"]["escalate"]]
    assert told == [("evidence.needs_review", "review.differs"), ("evidence.needs_review", "review.time_bomb")]
    assert (await artifact(house, checked["evidence"]))["review"][0]["msg"] == "a.py:3"


async def test_an_unstable_test_that_nobody_set_aside_is_refused_by_the_policies(house: House) -> None:
    telling(house, unstable=(CLOCK,))
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = await body(house, change, "change.refused")
    assert refused["step"] == "judge"
    assert [f["code"] for f in (await body(house, change, "change.judged"))["deny"]] == ["evidence.unstable_tests"]  # type: ignore[union-attr, index, call-overload]


async def test_a_room_that_settings_call_unsafe_is_shown_and_refused_by_the_policies(house: House) -> None:
    telling(house, isolation="unsafe-runc")
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    assert (await body(house, change, "candidate.checked"))["isolation"] == "unsafe-runc"
    assert (await body(house, change, "change.refused"))["step"] == "judge"


@pytest.mark.parametrize("there", [True, False])
async def test_the_event_says_whether_there_are_held_out_tests(house: House, there: bool) -> None:
    telling(house, secret_tests=there)
    change = await house.submit()
    await house.drive(change)
    assert (await body(house, change, "candidate.checked"))["held_out"] is there


async def asked_again(house: House, **changes: Json) -> Decision:
    """Ask the policies about a waiting change whose stored documents are an older or another version's."""
    change = await house.submit()
    await house.drive(change)
    ports = house.ports
    checked, mapped = await body(house, change, "candidate.checked"), await body(house, change, "change.mapped")
    evidence, impact = await artifact(house, checked["evidence"]), await artifact(house, mapped["impact"])
    for name in ("review", "unstable", "usage", "limits", "split"):
        evidence.pop(name)
    impact["tighten"].pop("split_percent", None)
    impact.pop("quarantine", None)
    evidence |= changes.get("evidence", {})  # type: ignore[operator]
    impact |= changes.get("impact", {})  # type: ignore[operator]
    submitted = await body(house, change, "change.submitted")
    scanned = {"scan": (await body(house, change, "candidate.scanned"))["scan"]} if changes.get("scan", True) else {}
    brings = (await body(house, change, "candidate.inspected"))["inspection"]
    inspected = {"inspection": brings} if changes.get("inspection", True) else {}
    state: Any = {
        **{name: str(submitted[name]) for name in ("repo", "base", "head", "tree", "intent", "author", "author_kind")},
        "change": change, "component": "scoring",
        "impact": await ports.artifacts.put(canonical(impact)),
        "evidence": await ports.artifacts.put(canonical(evidence)),
        **scanned, **inspected,
    }  # fmt: skip
    decision, _ = await ask("review", state, ports)
    return decision


async def test_documents_of_an_older_version_are_judged_as_before(house: House) -> None:
    decision = await asked_again(house)
    assert (decision.allow, decision.deny, decision.escalate) == (True, (), ())


async def test_a_change_that_was_checked_before_scans_were_made_is_checked_again(house: House) -> None:
    decision = await asked_again(house, scan=False)
    assert (decision.allow, [(f.code, f.term) for f in decision.deny]) == (False, [("evidence.not_scanned", "not run")])


async def test_a_change_that_was_checked_before_changes_were_inspected_is_checked_again(house: House) -> None:
    decision = await asked_again(house, inspection=False)
    assert not decision.allow
    terms = {f.term for f in decision.deny if f.code == "evidence.not_inspected"}
    assert terms == {"not run", "base", "head", "difference"}
    assert {f.code for f in decision.deny} == {"evidence.not_inspected"}


async def test_a_quarantine_in_the_facts_of_the_base_counts(house: House) -> None:
    entry = {"test": CLOCK, "until": house.clock.now_ms() // 1000 + 3600, "reason": "clock", "owner": "ada"}
    told: dict[str, Json] = {"evidence": {"unstable": [CLOCK]}}
    assert not (await asked_again(house, **told)).allow
    assert (await asked_again(house, **told, impact={"quarantine": [entry]})).allow
