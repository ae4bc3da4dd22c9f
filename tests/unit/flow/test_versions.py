"""A rollout of a version that is no commit: kept and pinned before anybody meets it, put back when it ends badly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from evoguard.adapters.version_store import FileVersions
from evoguard.domain.canonical import Digest
from evoguard.domain.change import CommitId
from evoguard.domain.version import Version, versions_in
from evoguard.errors import UnavailableError
from evoguard.ports.versions import NoVersions
from fakes import FakeSources
from house import BASE, COMPONENT, HEAD, House

PROMPT = COMPONENT + b'[component.scoring.version]\nkind = "prompt"\nfiles = ["p.txt"]\n'
FLAG = "lending-scoring"
GOOD, NEW = (Version("scoring", "prompt", {"p.txt": text}) for text in ("good", "new"))


class Sources(FakeSources):
    """The prompt of each commit; a published commit has the tree of its head."""

    prompts: Mapping[str, bytes | None]

    async def file(self, repo: str, commit: CommitId, path: str) -> bytes | None:
        if path != "p.txt":
            return self.component_file
        return self.prompts.get(commit, self.prompts.get(HEAD))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    sources = Sources(PROMPT)
    sources.prompts = {BASE: b"good", HEAD: b"new"}
    made = House(tmp_path, sources=sources)
    yield made
    made.close()


def _store(house: House) -> FileVersions:
    return FileVersions(house.folder / "versions")


async def test_the_flag_names_both_versions_and_both_are_kept_before_it_opens(house: House) -> None:
    await house.to_watch()
    named = versions_in(house.flags.states[FLAG].versions)
    assert named
    assert (named.candidate, named.known_good) == (NEW.digest, GOOD.digest)
    pins = _store(house).pins(FLAG)
    assert (pins.known_good, pins.candidate) == ((GOOD.digest,), NEW.digest)
    assert _store(house).read(NEW.digest) == NEW.packed()


async def test_a_kill_pins_the_known_good_again(house: House) -> None:
    change = await house.to_watch()
    house.latches.kill()
    assert (await house.drive(change)).outcome == "killed"
    pins = _store(house).pins(FLAG)
    assert (pins.known_good, pins.candidate) == ((GOOD.digest,), None)


async def test_a_version_that_went_all_the_way_is_pinned_with_the_one_before_it(house: House) -> None:
    change = await house.to_watch()
    assert (await house.promote(change)).outcome == "known-good"
    assert _store(house).pins(FLAG).known_good == (NEW.digest, GOOD.digest)


async def test_a_known_good_that_the_store_lost_is_read_from_git_again(house: House) -> None:
    change = await house.to_watch()
    for path in (house.folder / "versions" / "sha256").glob("??/*"):
        path.unlink()
    house.latches.kill()
    assert (await house.drive(change)).outcome == "killed"
    assert _store(house).read(GOOD.digest) == GOOD.packed()
    assert _store(house).pins(FLAG).candidate is None


async def test_a_store_that_is_down_stops_no_way_back_and_is_said(house: House) -> None:
    change = await house.to_watch()
    house.ports = _with(house, NoVersions())
    house.latches.kill()
    assert (await house.drive(change)).outcome == "killed"
    assert "version.not_pinned" in await house.story(change)


@pytest.mark.parametrize(
    ("prompts", "code"),
    [
        ({BASE: b"good", HEAD: None}, "version.missing"),
        ({BASE: None, HEAD: b"new"}, "version.missing"),
        ({BASE: b"good", HEAD: b"\xff"}, "version.invalid"),
        ({BASE: b"good", HEAD: b"x" * 300_000}, "version.invalid"),
    ],
)
async def test_a_commit_without_its_version_is_refused_at_once(
    house: House, prompts: dict[str, bytes | None], code: str
) -> None:
    assert isinstance(house.sources, Sources)
    house.sources.prompts = prompts
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    last = (await house.queries.events(f"change/{change}"))[-1].event
    assert code in str(last.body)


async def test_a_commit_that_is_its_own_version_names_none(house: House) -> None:
    house.sources.component_file = COMPONENT
    await house.to_watch()
    assert house.flags.states[FLAG].versions == ""
    assert not (house.folder / "versions").exists()


class _Down(NoVersions):
    """Keeps, and cannot pin."""

    async def keep(self, raw: bytes) -> Digest:
        return Version("scoring", "prompt", {"p.txt": raw.decode()}).digest


@pytest.mark.parametrize("store", [NoVersions(), _Down()], ids=["without a store", "not pinned"])
async def test_what_could_not_be_kept_and_pinned_is_not_opened(house: House, store: NoVersions) -> None:
    house.ports = _with(house, store)
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    with pytest.raises(UnavailableError):
        await house.drive(change)
    assert FLAG not in house.flags.states


def _with(house: House, store: NoVersions):
    from dataclasses import replace

    return replace(house.ports, versions=store)
