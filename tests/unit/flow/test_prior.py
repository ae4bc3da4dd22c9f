"""People are told of other changes: which are open on the same files, and what the component's came to lately."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evoguard.domain.canonical import as_digest
from evoguard.domain.events import Event
from fakes import FakeSources
from house import COMPONENT, HEAD, House

OTHER, THIRD = "c" * 40, "d" * 40
DAY_S = 86_400


async def asked(house: House, change: str) -> tuple[dict[str, Any], set[str]]:
    """Return the newest `prior` that the rules were told, and the codes that they told people."""
    stored = await house.queries.events(f"change/{change}")
    judged = next(e.event.body for e in reversed(stored) if e.event.type in ("change.judged", "change.admitted"))
    record = json.loads(await house.ports.artifacts.get(as_digest(str(judged["decision"]))))
    told = {finding["code"] for finding in record["decision"]["escalate"]}
    return record["question"]["prior"], told & {"change.overlap", "change.reverted_before"}


async def waiting(house: House, author: str, head: str) -> str:
    """Carry a change of this author to its approval."""
    if author not in house.pens:
        house.add(author, "agent")
    change = await house.submit(author=author, head=head)
    await house.drive(change)
    assert await house.status(change) == "waiting for approval"
    return change


async def taken_back(house: House, author: str, head: str, kind: str = "change.reverted") -> str:
    """End an open change as rollouts and kills do."""
    change = await waiting(house, author, head)
    house.registry.append(f"change/{change}", Event(kind))
    return change


async def test_a_lone_change_has_nothing_beside_it(house: House) -> None:
    change = await waiting(house, "coder", HEAD)
    assert await asked(house, change) == ({"reverted": [], "open": [], "omitted": 0}, set())


async def test_another_authors_open_change_on_the_same_file_is_told_to_the_later_one(house: House) -> None:
    first = await waiting(house, "coder", HEAD)
    second = await waiting(house, "rival", OTHER)
    prior, codes = await asked(house, second)
    assert prior["open"] == [{"change": first, "author": "coder", "paths": ["lending/scoring.py"]}]
    assert codes == {"change.overlap"}


async def test_one_that_came_while_the_first_waited_is_told_when_it_is_admitted(house: House) -> None:
    first = await waiting(house, "coder", HEAD)
    second = await waiting(house, "rival", OTHER)
    await house.vote(first, "alice")
    await house.drive(first)
    prior, codes = await asked(house, first)
    assert ([row["change"] for row in prior["open"]], codes) == ([second], {"change.overlap"})
    assert await house.status(first) == "rolling out"


async def test_one_that_ended_is_told_no_more(house: House) -> None:
    first = await waiting(house, "coder", HEAD)
    await house.vote(first, "alice", verdict="reject")
    await house.drive(first)
    prior, codes = await asked(house, await waiting(house, "rival", OTHER))
    assert (prior["open"], codes) == ([], set())


async def test_what_this_change_replaces_is_not_beside_it(house: House) -> None:
    await waiting(house, "coder", HEAD)
    prior, codes = await asked(house, await waiting(house, "coder", OTHER))
    assert (prior["open"], codes) == ([], set())


async def test_other_files_and_other_repositories_are_not_the_same_files(house: House) -> None:
    first = await waiting(house, "coder", HEAD)
    house.con.execute("update changes set repo='elsewhere' where id=?", (first,))
    assert (await asked(house, await waiting(house, "rival", OTHER)))[0]["open"] == []
    house.sources = FakeSources(COMPONENT, touched=("lending/other.py",))
    house.again()
    assert (await asked(house, await waiting(house, "third", THIRD)))[0]["open"] == []


async def test_open_changes_that_are_too_many_to_look_at_are_counted(house: House, monkeypatch) -> None:
    monkeypatch.setattr("evoguard.flow.prior.MOST_OPEN", 1)
    await waiting(house, "coder", HEAD)
    second = await waiting(house, "rival", OTHER)
    prior, codes = await asked(house, await waiting(house, "third", THIRD))
    assert ([row["change"] for row in prior["open"]], prior["omitted"]) == ([second], 1)
    assert codes == {"change.overlap"}


async def test_two_changes_taken_back_within_a_month_are_told_to_the_next(house: House) -> None:
    first = await taken_back(house, "coder", HEAD)
    house.clock.wait(29 * DAY_S)
    prior, codes = await asked(house, await waiting(house, "third", THIRD))
    assert ([row["change"] for row in prior["reverted"]], codes) == ([first], set())
    second = await taken_back(house, "rival", OTHER, "change.killed")
    assert await told_after(house, "fourth") == ([second, first], True)
    house.clock.wait(2 * DAY_S)
    assert await told_after(house, "fifth") == ([second, first], False)


async def told_after(house: House, author: str) -> tuple[list[str], bool]:
    """Return what the next change of this author is told of reverts, and whether people are."""
    prior, codes = await asked(house, await waiting(house, author, author[:1].encode().hex() * 20))
    return [row["change"] for row in prior["reverted"]], "change.reverted_before" in codes


@pytest.mark.parametrize(
    ("kind", "repo", "component", "counts"),
    [("change.killed", "lending", "scoring", 1), ("change.reverted", "lending", "scoring", 1),
     ("change.refused", "lending", "scoring", 0), ("change.reverted", "other", "scoring", 0),
     ("change.reverted", "lending", "other", 0), ("change.reverted", "lending", "", 0)],
)  # fmt: skip
async def test_what_counts_as_taken_back(house: House, kind: str, repo: str, component: str, counts: int) -> None:
    change = await taken_back(house, "coder", HEAD, kind)
    house.con.execute("update changes set repo=?, component=? where id=?", (repo, component, change))
    prior = house.ports.prior
    assert [name for name, _ in await prior.reverted("lending", "scoring", 0, 10)] == [change] * counts
    assert await prior.reverted("lending", "", 0, 10) == ()
    assert await prior.reverted("lending", "scoring", house.clock.now_ms() + 1, 10) == ()
