"""Declared requests along the path: asked of what passed its tests, before the policies, which decide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from evoguard.domain.canonical import as_digest
from evoguard.domain.change import CommitId
from evoguard.domain.regression import Answer, Answers
from evoguard.errors import UnavailableError
from evoguard.ports.forge import Blob
from evoguard.ports.replay import Asked, NoReplay, Replay, Replayed
from fakes import FakeSources
from house import COMPONENT, House

CASES = b'[component.scoring.cases]\nkind = "callable"\ntarget = "lending.scoring:score"\nfile = "cases/scoring.json"\n'
FILE = json.dumps({"version": 1, "cases": [{"name": "a loan", "request": {"args": [1]}}]}).encode()
ONE, TWO, RAISED = (Answer("answer", {name: text}) for name, text in (("value", "1"), ("value", "2"), ("raised", "E")))


@dataclass
class Sources(FakeSources):
    file_there: bytes = FILE

    async def files(self, repo: str, commit: CommitId) -> Mapping[str, Blob]:
        more = {"cases/scoring.json": Blob("100644", self.file_there)} if self.file_there else {}
        return {"lending/scoring.py": Blob("100644", b"x = 1\n"), **more}


@dataclass
class Answering:
    was: Answer = ONE
    now: Answer = ONE
    count: int = 1
    isolation: str = "gvisor"
    reached: tuple[str, ...] = ()
    behaviour: str = "recorded"
    asked: list[Sequence[Asked]] = field(default_factory=list)

    async def replay(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], asked: Sequence[Asked], lock: str = ""
    ) -> Replayed:
        self.asked.append(asked)
        sides = [tuple(Answers(((one,), (one,))) for _ in range(self.count)) for one in (self.was, self.now)]
        return Replayed(*sides, self.reached, self.isolation, self.behaviour)


def declaring(house: House, replay: Replay, file: bytes = FILE) -> None:
    house.ports = replace(house.ports, sources=Sources(COMPONENT + CASES, file_there=file), replay=replay)


async def judged(house: House) -> tuple[str, dict[str, Any], dict[str, Any]]:
    change = await house.submit()
    done = await house.drive(change)
    events = {item.event.type: item.event for item in await house.queries.events(f"change/{change}")}
    replayed, verdict = dict(events["candidate.replayed"].body), dict(events["change.judged"].body)
    record = json.loads(await house.artifacts.get(as_digest(str(verdict["decision"]))))
    assert record["question"]["regression"]["digest"] == replayed["regression"]
    return done.outcome, replayed, record


async def test_the_same_answers_are_told_and_change_nothing(house: House) -> None:
    asking = Answering()
    declaring(house, asking)
    outcome, replayed, record = await judged(house)
    assert (outcome, replayed["status"], replayed["answered"], replayed["findings"]) == ("", "complete", 1, 0)
    assert record["decision"]["allow"]
    assert [one.declared.component for one in asking.asked[0]] == ["scoring"]


@pytest.mark.parametrize(
    ("replay", "file", "code"),
    [
        (Answering(now=RAISED), FILE, "regression.error"),
        (Answering(count=0), FILE, "regression.not_run"),
        (Answering(count=2), FILE, "regression.not_run"),
        (Answering(isolation=""), FILE, "regression.not_run"),
        (Answering(reached=("192.0.2.1 port 80",)), FILE, "regression.effect"),
        (Answering(now=replace(TWO, refused=50)), FILE, "regression.effect"),
        (Answering(behaviour="incomplete"), FILE, "regression.not_run"),
        (NoReplay(), FILE, "regression.not_run"),
        (Answering(), b"", "regression.not_run"),
        (Answering(), b"{}", "regression.not_run"),
    ],
)
async def test_what_went_wrong_denies_by_its_code(house: House, replay: Replay, file: bytes, code: str) -> None:
    declaring(house, replay, file)
    outcome, _, record = await judged(house)
    assert (outcome, record["decision"]["allow"]) == ("refused", False)
    denied = {(f["code"], f["term"]) for f in record["decision"]["deny"]}
    assert ("evidence.regression", code) in denied


async def test_another_answer_asks_people_and_refuses_nothing(house: House) -> None:
    declaring(house, Answering(now=TWO))
    outcome, _, record = await judged(house)
    assert (outcome, record["decision"]["allow"]) == ("", True)
    told = {(f["code"], f["term"], f["path"]) for f in record["decision"]["escalate"]}
    assert told == {("evidence.regression", "regression.answer", "scoring a loan")}


async def test_a_sandbox_that_cannot_be_had_leaves_the_gate_shut(house: House) -> None:
    class Gone(Answering):
        async def replay(self, *_: object, **__: object) -> Replayed:
            raise UnavailableError("sandbox", "no room")

    declaring(house, Gone())
    change = await house.submit()
    with pytest.raises(UnavailableError):
        await house.drive(change)
    assert "change.judged" not in await house.story(change)


async def test_an_agent_cannot_change_the_cases(house: House) -> None:
    declaring(house, Answering())
    sources = Sources(COMPONENT.replace(b'"tests/', b'"cases/**", "tests/') + CASES, touched=("cases/scoring.json",))
    house.ports = replace(house.ports, sources=sources)
    _, _, record = await judged(house)
    assert "approval.guard_paths" in {f["code"] for f in record["decision"]["deny"]}


async def test_without_a_declaration_nothing_is_asked(house: House) -> None:
    asking = Answering()
    house.ports = replace(house.ports, replay=asking)
    change = await house.submit()
    await house.drive(change)
    assert not asking.asked
    assert "candidate.replayed" not in await house.story(change)
