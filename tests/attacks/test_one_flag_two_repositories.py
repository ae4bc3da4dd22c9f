"""Two repositories name one flag, and both first releases come at once: one goes out, the other is told why not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest

from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.domain.canonical import digest_of
from evoguard.domain.change import Author, CommitId, Proposal, TreeId, change_id
from evoguard.domain.flag import FlagState
from evoguard.errors import InputError
from evoguard.flow import release
from evoguard.ports.forge import Publication, ReleaseRefs
from fakes import FakeForge
from house import BASE, TREE, House

FLAG = "lending-scoring"
HEADS = {"lending": "b" * 40, "billing": "d" * 40}


@dataclass
class Forges:
    """A forge a repository; a publication of `lending` waits at the gate that a test closed."""

    of: dict[str, FakeForge] = field(default_factory=lambda: {repo: FakeForge() for repo in HEADS})
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        for forge in self.of.values():
            forge.tip = forge.known_good = BASE  # released before without a flag, so one person is enough

    async def refs(self, repo: str, component: str, branch: str) -> ReleaseRefs:
        return await self.of[repo].refs(repo, component, branch)

    async def publish(self, what: Publication) -> CommitId:
        self.arrived.set()
        if what.repo == "lending":
            await self.gate.wait()
        return await self.of[what.repo].publish(what)

    async def promote(self, what: Publication, commit: CommitId) -> None:
        await self.of[what.repo].promote(what, commit)

    async def revert(self, repo: str, component: str, branch: str, *, reason: str) -> CommitId | None:
        return await self.of[repo].revert(repo, component, branch, reason=reason)

    def published(self) -> list[str]:
        return [repo for repo, forge in self.of.items() if forge.published]


@pytest.fixture
def forges(house: House) -> Forges:
    made = Forges()
    flags = SqliteFlags(house.con, house.latches)  # the real row is what decides
    house.ports = replace(house.ports, forge=made, flags=flags)
    house.ways_back.forge = made
    house.add("coder2", "agent")
    return made


async def approved(house: House, repo: str, *, author: str = "coder") -> str:
    """Carry a change of a repository to where one vote more releases it, and file that vote."""
    head = HEADS[repo]
    proposal = Proposal(repo, CommitId(BASE), CommitId(head), TreeId(TREE), "a better rule", Author(author, "agent"))
    change = change_id(repo, BASE, head, author)
    envelope = house.signed("submit", digest_of(proposal.as_json()), author)
    body = json.dumps({"proposal": proposal.as_json(), "envelope": envelope})
    await house.inbox.put(change, "submit", body, key=f"submit/{change}")
    await house.drive(change)
    await house.vote(change, "alice")
    await house.vote(change, "bob")
    return change


async def both(house: House) -> tuple[str, str]:
    return await approved(house, "lending"), await approved(house, "billing", author="coder2")


async def shown(house: House) -> FlagState:
    state = await house.ports.flags.read(FLAG)
    assert state is not None
    return state


async def why(house: House, change: str) -> tuple[str, str, str]:
    event = (await house.queries.events(f"change/{change}"))[-1].event
    return event.type, str(event.body["step"]), str(event.body["findings"][0]["code"])  # type: ignore[index,call-overload]


async def test_of_two_first_releases_at_once_one_opens_the_flag_and_the_other_is_refused(
    house: House, forges: Forges
) -> None:
    changes = await both(house)
    done = await asyncio.gather(*(house.drive(change) for change in changes))
    (winner,) = [change for change, end in zip(changes, done, strict=True) if not end.outcome]
    (loser,) = [change for change in changes if change != winner]
    assert await house.status(winner) == "rolling out"
    assert await why(house, loser) in (
        ("change.refused", "release", "flag.taken"), ("change.refused", "release", "flag.claimed"),
    )  # fmt: skip
    assert len(forges.published()) == 1
    assert (await shown(house)).change == winner
    assert "release.published" not in await house.story(loser)
    assert not await house.queries.held("coder")
    assert not await house.queries.held("coder2")


async def test_what_is_being_published_has_the_flag_already(house: House, forges: Forges) -> None:
    first, second = await both(house)
    forges.gate.clear()
    publishing = asyncio.create_task(house.drive(first))
    await forges.arrived.wait()
    assert (await house.drive(second)).outcome == "refused"
    assert await why(house, second) == ("change.refused", "release", "flag.taken")
    assert forges.published() == []
    forges.gate.set()
    await publishing
    assert forges.published() == ["lending"]
    assert ((await shown(house)).change, (await shown(house)).enabled) == (first, True)


async def test_without_the_claim_both_would_be_published(
    house: House, forges: Forges, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(release, "_claim", none)
    first, second = await both(house)
    forges.gate.clear()
    drives = [asyncio.create_task(house.drive(change)) for change in (first, second)]
    await forges.arrived.wait()
    forges.gate.set()
    await asyncio.gather(*drives)
    assert sorted(forges.published()) == ["billing", "lending"]
    # the row is the second line: the later one never opens, and is taken back
    outcomes = sorted([await house.status(first), await house.status(second)])
    assert outcomes == ["reverted", "rolling out"]


async def test_a_flag_that_was_released_since_it_was_mapped_is_refused_before_anything_is_published(
    house: House, forges: Forges
) -> None:
    first, second = await both(house)
    await house.drive(first)
    withdrawal = json.dumps({"by": "coder", "envelope": house.signed("withdraw", first, "coder")})
    await house.inbox.put(first, "withdraw", withdrawal, key="w")
    assert (await house.drive(first)).outcome == "reverted"
    assert (await house.drive(second)).outcome == "refused"
    assert await why(house, second) == ("change.refused", "release", "flag.claimed")
    assert forges.published() == ["lending"]


async def test_a_claim_that_came_to_nothing_blocks_nobody(house: House, forges: Forges) -> None:
    first, second = await both(house)
    forges.of["lending"].tip = "f" * 40  # its branch moved, so it is refused after its claim
    assert (await house.drive(first)).outcome == "refused"
    await house.drive(second)
    assert await house.status(second) == "rolling out"
    assert ((await shown(house)).change, (await shown(house)).enabled) == (second, True)


async def test_a_flag_that_shows_another_change_ends_the_rollout_and_is_not_turned_off(
    house: House, forges: Forges
) -> None:
    first = await approved(house, "lending")
    await house.drive(first)
    taken = FlagState(FLAG, "scoring", "ch-other", True, 5, BASE, "e" * 40, 0, 0)
    house.con.execute("update flags set change='ch-other', percent=5, candidate=?, known_good=?, lease_until=0",
                      (taken.candidate, taken.known_good))  # fmt: skip
    assert (await house.drive(first)).outcome == "reverted"
    assert await shown(house) == taken
    assert forges.of["lending"].reverted


async def test_the_row_of_an_open_change_refuses_every_other_writer(house: House, forges: Forges) -> None:
    first = await approved(house, "lending")
    await house.drive(first)
    flags = house.ports.flags
    for take in (flags.claim(FLAG, "ch-other"), flags.write(replace(await shown(house), change="ch-other"))):
        with pytest.raises(InputError) as caught:
            await take
        assert caught.value.code == "flag.taken"
        assert "lending" in caught.value.message
