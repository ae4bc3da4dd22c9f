"""Risk along the path: what is measured, recorded and asked, and how somebody would try to lower it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evoguard.domain.canonical import Digest, as_digest
from evoguard.domain.change import CommitId, Diff, FileChange
from evoguard.domain.reach import Dependant
from evoguard.errors import UnavailableError
from evoguard.ports.impact import Past
from fakes import FakeSources
from house import COMPONENT, House


class Changing(FakeSources):
    """A repository in which every head changes what the test says."""

    def __init__(self, by_head: dict[str, list[FileChange]]) -> None:
        super().__init__(COMPONENT)
        self.by_head = by_head

    async def diff(self, repo: str, base: CommitId, head: CommitId) -> Diff:
        files = tuple(self.by_head[head])
        return Diff(files, sum(f.added for f in files), sum(f.deleted for f in files), 0)


def a_file(path: str = "lending/scoring.py", added: int = 3, deleted: int = 0, *, binary: bool = False) -> FileChange:
    return FileChange(path, "modified", added, deleted, binary, "100644", "100644", 100)


async def facts(house: House, change: str) -> dict[str, Any]:
    stored = await house.queries.events(f"change/{change}")
    digest = [e.event.body["impact"] for e in stored if e.event.type == "change.mapped"][-1]
    doc: dict[str, Any] = json.loads(await house.artifacts.get(as_digest(str(digest))))
    return doc


async def sent(house: House, files: list[FileChange], *, author: str = "coder", number: int = 1) -> dict[str, Any]:
    head = f"{number:040x}"
    if not isinstance(house.sources, Changing):
        house.sources = Changing({})
        house.again()
    house.sources.by_head[head] = files
    change = await house.submit(author=author, kind="agent" if author == "coder" else "person", head=head)
    await house.drive(change)
    return {**(await facts(house, change)), "change": change}


def points(doc: dict[str, Any]) -> dict[str, int]:
    return {row["name"]: row["points"] for row in doc["risk"]["features"]}


async def test_the_sum_is_recorded_line_by_line_and_asked(house: House) -> None:
    house.impact.dependants = (Dependant("lending/app.py", 1),)
    doc = await sent(house, [a_file(added=60)])
    assert points(doc)["lines"] == 60
    assert points(doc)["newcomer"] == 60
    assert doc["risk"]["floor"] == doc["risk"]["risk"] == sum(points(doc).values())
    question = await judged(house, doc["change"])
    assert question["impact"]["risk"] == doc["risk"]["risk"]
    assert question["impact"]["dependants"] == 1
    assert question["impact"]["known"] is True


async def judged(house: House, change: str) -> dict[str, Any]:
    stored = await house.queries.events(f"change/{change}")
    digest = [e.event.body["decision"] for e in stored if e.event.type == "change.judged"][-1]
    record: dict[str, Any] = json.loads(await house.artifacts.get(as_digest(str(digest))))
    question: dict[str, Any] = record["question"]
    return question


async def test_a_risky_change_needs_two_people(house: House) -> None:
    house.impact.seen = Past(9, True, 9)
    doc = await sent(house, [a_file(added=900), a_file("tests/test_scoring.py", 0, 40)])
    assert doc["risk"]["risk"] >= 500
    await house.vote(doc["change"], "alice")
    await house.drive(doc["change"])
    assert await house.status(doc["change"]) == "waiting for approval"
    await house.vote(doc["change"], "bob")
    await house.drive(doc["change"])
    assert await house.status(doc["change"]) == "rolling out"


async def test_parts_sent_one_by_one_end_no_lower_than_the_whole(house: House) -> None:
    parts = [a_file(f"lending/part{n}/x.py", 100) for n in range(8)]
    whole = await sent(house, parts, number=99, author="alice")
    last: dict[str, Any] = {}
    for n, part in enumerate(parts):
        last = await sent(house, [part], number=n, author="bob")
    assert last["risk"]["floor"] >= whole["risk"]["floor"]
    assert points(last)["lines"] == points(whole)["lines"] == 200
    assert points(last)["folders"] == points(whole)["folders"] == 100


async def test_a_delicate_place_touched_in_an_earlier_part_stays_one(house: House) -> None:
    await sent(house, [a_file("lending/auth.py")], number=1)
    assert points(await sent(house, [a_file()], number=2))["place"] == 200


async def test_a_day_later_the_parts_are_others(house: House) -> None:
    await sent(house, [a_file("lending/other.py", 400)], number=1)
    house.clock.wait(24 * 3_600 + 1)
    assert points(await sent(house, [a_file()], number=2))["lines"] == 0


async def test_lines_of_a_day_are_a_least(house: House) -> None:
    for n in range(3):
        doc = await sent(house, [a_file(f"lending/x{n}.py", 2_000)], number=n)
    assert points(doc)["day_lines"] == 600
    assert doc["risk"]["floor"] >= 600


async def test_what_was_refused_or_replaced_counts_for_nobody(house: House) -> None:
    house.sandbox.passed = False
    await sent(house, [a_file("lending/other.py", 900)], number=1)
    house.sandbox.passed = True
    first = await sent(house, [a_file(added=900)], number=2)
    assert points(first)["lines"] == 200
    assert points(await sent(house, [a_file(added=5)], number=3))["lines"] == 0  # it supersedes the one before


async def test_more_changes_a_day_than_can_be_added_up_are_the_most(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evoguard.flow.risk.MOST_A_DAY", 1)
    for n in range(3):
        doc = await sent(house, [a_file(f"lending/x{n}.py", 1)], number=n)
    assert points(doc)["day_lines"] == 600
    assert points(doc)["lines"] == 300


async def test_a_guard_path_is_1000(house: House) -> None:
    doc = await sent(house, [a_file("policies/data.json", 1)], author="alice")
    assert doc["risk"]["risk"] == 1_000


async def test_a_guard_path_of_the_component_file_is_1000_too(house: House) -> None:
    house.sources = Changing({})
    house.sources.component_file = COMPONENT + b'[policy]\nguard = ["lending/limits/**"]\n'
    house.again()
    assert (await sent(house, [a_file("lending/limits/a.py")], author="alice"))["risk"]["risk"] == 1_000


async def test_binary_content_is_700_at_least(house: House) -> None:
    assert (await sent(house, [a_file(added=0, binary=True)]))["risk"]["floor"] == 700


async def test_a_reach_that_is_not_known_costs_points_and_is_told(house: House) -> None:
    known = await sent(house, [a_file()], author="alice", number=1)
    house.impact.unknown = {"lending/scoring.py": "it does not parse"}
    doc = await sent(house, [a_file()], author="bob", number=2)
    assert doc["risk"]["floor"] == known["risk"]["floor"] + 150
    question = await judged(house, doc["change"])
    assert question["impact"]["known"] is False
    assert question["impact"]["unknown"] == ["lending/scoring.py"]


async def test_a_past_that_cannot_be_told_costs_points(house: House) -> None:
    house.impact.seen = Past(0, False, 1, known=False)
    assert points(await sent(house, [a_file()]))["unknown"] == 150


async def test_a_person_with_merges_is_no_newcomer_and_an_agent_always_is(house: House) -> None:
    for author, expected in (("coder", 60), ("bob", 60)):
        assert points(await sent(house, [a_file()], author=author, number=len(author)))["newcomer"] == expected
    for n in range(5):
        house.con.execute(
            "insert into changes values(?,'x','lending','','','bob','','','','known-good',0,'',1,1)", (f"ch-{n:012x}",)
        )
        if n == 0:
            assert points(await sent(house, [a_file()], author="bob", number=77))["newcomer"] == 30
    assert points(await sent(house, [a_file()], author="bob", number=78))["newcomer"] == 0
    house.con.execute("update changes set author='coder' where author='bob' and outcome='known-good'")
    assert points(await sent(house, [a_file()], number=79))["newcomer"] == 60


async def test_weights_that_cannot_be_read_stop_the_change_where_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(house.policies), "data", property(lambda _: {"guard": {"globs": ["x"]}}))
    change = await house.submit()
    with pytest.raises(UnavailableError, match="risk"):
        await house.drive(change)
    assert await house.story(change) == ["change.submitted"]


async def test_facts_from_before_risk_was_measured_are_of_the_highest(house: House) -> None:
    change = await house.submit()
    real = house.artifacts.put

    async def before(raw: bytes) -> Digest:
        doc = json.loads(raw)
        return await real(json.dumps({k: v for k, v in doc.items() if k not in ("risk", "reach")}).encode())

    house.artifacts.put = before  # type: ignore[method-assign]  # a guard of an older version stored these facts
    await house.drive(change)
    question = await judged(house, change)
    assert (question["impact"]["risk"], question["impact"]["known"]) == (1_000, False)
    asked = [
        e.event.body for e in await house.queries.events(f"change/{change}") if e.event.type == "approval.requested"
    ]
    assert asked[-1]["quorum"] == 2


async def test_authors_of_releases_are_those_who_signed(house: House) -> None:
    change = await house.to_watch()
    published = house.forge.published[0]
    assert await house.ports.authors.releases("lending") == {published: "coder"}
    assert await house.ports.authors.releases("other") == {}
    house.again()
    assert (await house.ports.authors.releases("lending"))[published] == "coder"
    assert await house.ports.authors.merges("coder", "lending") == 0
    await house.promote(change)
    assert await house.ports.authors.merges("coder", "lending") == 1
