"""The way back attacked: bundles edited, swapped, deleted, forged, replayed; repositories away; death at each step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evoguard.adapters import dsse, keys
from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.stop import Order, stop
from evoguard.adapters.way_back import KIND, BundleFolder, WaysBackOnGit
from evoguard.domain.canonical import canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.way_back import CONFLICT, WayBack, way_back_from
from evoguard.errors import EvoguardError, FencedError, IntegrityError, UnavailableError
from evoguard.ports.forge import Publication
from evoguard.ports.way_back import NoWayBackError
from given_git import Source, a_fetched_change, a_publication, git, tree_of


@dataclass
class Released:
    """One release that is published and can be taken back."""

    folder: Path
    source: Source
    what: Publication
    commit: str
    digest: str
    ways: WaysBackOnGit
    forge: GitForge

    @property
    def bare(self) -> Path:
        return self.folder / "repos" / f"{self.what.repo}.git"

    @property
    def file(self) -> Path:
        return self.folder / "way-back" / f"{self.digest.removeprefix('sha256:')}.json"

    @property
    def bundles(self) -> BundleFolder:
        return BundleFolder(
            self.folder / "way-back", self.folder / "service.key", (self.folder / "service.pub").read_bytes()
        )

    async def prove(self) -> WayBack:
        return await self.ways.prove(self.digest, change=self.what.change, commit=self.commit)

    async def take_back(self) -> str:
        return await self.ways.take_back(self.digest, change=self.what.change, commit=self.commit)

    def tip(self) -> str:
        return git(self.bare, "rev-parse", f"refs/heads/{self.what.branch}")

    def is_back(self) -> bool:
        repos = self.folder / "repos"
        return tree_of(repos, self.what.repo, self.tip()) == tree_of(repos, self.what.repo, self.what.base)

    def by_hand(self) -> str:
        """Put a commit on the branch that the guard did not make."""
        stray = git(self.bare, "commit-tree", f"{self.commit}^{{tree}}", "-p", self.commit, "-m", "by hand")
        git(self.bare, "update-ref", f"refs/heads/{self.what.branch}", stray)
        return stray

    def order(self, epoch: int = 1) -> Order:
        async def take_back(way: WayBack) -> str:
            return await self.ways.take_back(way.digest, change=way.change, commit=way.commit)

        return Order(epoch, lambda _: True, "killed", self.bundles.every()[0], take_back)


def _off(what: Publication, commit: str) -> FlagState:
    return FlagState("lending-scoring", what.component, what.change, False, 0, what.base, commit, 0, what.epoch)


@pytest.fixture
async def released(tmp_path: Path) -> Released:
    source, fetched = await a_fetched_change(tmp_path)
    (tmp_path / "service.pub").write_bytes(keys.generate(tmp_path / "service.key"))
    what, forge = a_publication(fetched), GitForge(tmp_path / "repos")
    commit = await forge.publish(what)
    folder = BundleFolder(tmp_path / "way-back", tmp_path / "service.key", (tmp_path / "service.pub").read_bytes())
    ways = WaysBackOnGit(folder, tmp_path / "repos")
    digest = await ways.keep(what, commit, off=_off(what, commit), digests={"tree": what.tree})
    return Released(tmp_path, source, what, commit, digest, ways, forge)


async def test_the_revert_is_there_before_it_is_needed_and_is_the_one_that_is_used(released: Released) -> None:
    bundle = await released.prove()
    assert git(released.bare, "rev-parse", f"{bundle.revert}^") == released.commit
    assert await released.take_back() == bundle.revert == released.tip()
    assert released.is_back()
    assert (await released.forge.refs(released.what.repo, "scoring", released.what.branch)).rollout == ""
    assert await released.take_back() == bundle.revert


async def test_keeping_it_twice_is_keeping_it_once(released: Released) -> None:
    before = released.file.read_bytes()
    off = _off(released.what, released.commit)
    again = await released.ways.keep(released.what, released.commit, off=off, digests={"tree": released.what.tree})
    assert (again, released.file.read_bytes()) == (released.digest, before)


async def test_an_edited_bundle_proves_nothing(released: Released) -> None:
    doc = json.loads(released.file.read_text())
    body = json.loads(dsse.unb64(doc["payload"]))
    doc["payload"] = dsse.b64(canonical({**body, "branch": "release/other"}))
    released.file.write_bytes(canonical(doc))
    with pytest.raises(IntegrityError) as caught:
        await released.prove()
    assert caught.value.code == "way_back.forged"
    assert released.bundles.every() == ((), (released.file.name,))


async def test_a_bundle_that_another_key_signed_proves_nothing(released: Released) -> None:
    bundle = await released.prove()
    keys.generate(released.folder / "mallory.key")
    mallory = keys.load_private(released.folder / "mallory.key")
    released.file.write_text(dsse.seal(KIND, canonical(bundle.as_json()), mallory))
    with pytest.raises(IntegrityError) as caught:
        await released.prove()
    assert caught.value.code == "way_back.forged"


async def test_another_changes_bundle_in_its_place_proves_nothing(released: Released) -> None:
    """Both are signed by the service; only the name and the release that it is of tell them apart."""
    other = replace(await released.prove(), change="ch-ffffffffffff")
    other = replace(other, off=replace(other.off, change="ch-ffffffffffff"))
    digest = released.bundles.put(other)
    swapped = released.folder / "way-back" / f"{digest.removeprefix('sha256:')}.json"
    released.file.write_bytes(swapped.read_bytes())
    with pytest.raises(IntegrityError) as caught:
        await released.prove()
    assert caught.value.code == "way_back.digest"
    with pytest.raises(IntegrityError) as caught:
        await released.ways.prove(digest, change=released.what.change, commit=released.commit)
    assert caught.value.code == "way_back.other"


@pytest.mark.parametrize("how", ["deleted", "a folder", "a link", "a pipe", "empty", "huge"])
async def test_a_bundle_that_is_not_there_or_no_file_proves_nothing(released: Released, how: str) -> None:
    raw = released.file.read_bytes()
    released.file.unlink()
    made = {
        "deleted": lambda: None,
        "a folder": released.file.mkdir,
        "a link": lambda: (released.folder / "x").write_bytes(raw) and released.file.symlink_to(released.folder / "x"),
        "a pipe": lambda: os.mkfifo(released.file),
        "empty": released.file.touch,
        "huge": lambda: released.file.write_bytes(b" " * 200_000 + raw),
    }
    made[how]()
    with pytest.raises((NoWayBackError, IntegrityError)):
        await released.prove()


async def test_an_older_releases_bundle_that_is_put_back_moves_nothing(released: Released) -> None:
    """It is signed and whole; but the branch is at a later release, which it must not take away."""
    old = released.file.read_bytes()
    await released.forge.promote(released.what, released.commit)  # type: ignore[arg-type]  # a commit id
    await released.ways.close(released.digest)
    released.file.write_bytes(old)
    assert await released.take_back() == released.commit == released.tip()
    commit = git(released.bare, "commit-tree", f"{released.what.base}^{{tree}}", "-p", released.commit, "-m", "two")
    git(released.bare, "update-ref", f"refs/heads/{released.what.branch}", commit)
    await released.take_back()
    assert released.tip() == commit


async def test_a_bundle_whose_revert_is_another_commit_is_refused(released: Released) -> None:
    doc = (await released.prove()).as_json()
    other = git(released.bare, "commit-tree", f"{released.commit}^{{tree}}", "-p", released.commit, "-m", "no revert")
    raw = git(released.bare, "cat-file", "commit", other) + "\n"
    for forged in ({"revert": other}, {"revert_object": raw}, {"revert": other, "revert_object": raw}):
        with pytest.raises(IntegrityError) as caught:
            way_back_from({**doc, **forged})
        assert caught.value.code == "way_back.revert"


async def test_a_revert_that_the_repository_lost_is_written_again(released: Released) -> None:
    bundle = await released.prove()
    (released.bare / "objects" / bundle.revert[:2] / bundle.revert[2:]).unlink()
    assert await released.take_back() == bundle.revert
    assert released.is_back()


async def test_a_branch_that_another_hand_moved_is_left_to_people(released: Released) -> None:
    stray = released.by_hand()
    with pytest.raises(FencedError) as caught:
        await released.take_back()
    assert caught.value.code == CONFLICT
    assert released.tip() == stray
    assert "another hand" in released.bundles.owed()[0].why
    back = git(released.bare, "commit-tree", f"{released.what.base}^{{tree}}", "-p", stray, "-m", "reverted by hand")
    git(released.bare, "update-ref", f"refs/heads/{released.what.branch}", back)
    await released.ways.settle()
    assert released.bundles.owed() == ()
    assert (await released.forge.refs(released.what.repo, "scoring", released.what.branch)).rollout == ""


async def test_a_kill_finds_what_git_owes_while_the_repository_is_away(released: Released) -> None:
    order = released.order()
    away = released.bare.rename(released.folder / "away.git")
    done = await stop(GitForge(released.folder / "repos"), order)
    assert "is not there" in done.failed[0]
    assert done.reverted == []
    await released.ways.settle()
    assert len(released.bundles.owed()) == 1
    away.rename(released.bare)
    await released.ways.settle()
    assert released.is_back()
    assert released.bundles.owed() == ()


async def test_a_kill_reverts_by_the_bundle_and_without_it_by_the_refs(released: Released) -> None:
    bundle = await released.prove()
    done = await stop(released.forge, released.order())
    assert done.reverted == [f"{bundle.repo} {bundle.branch} {bundle.revert}"]
    assert (await stop(released.forge, released.order(2))).failed == []


async def test_a_kill_is_not_kept_by_a_bundle_that_was_tampered_with(released: Released) -> None:
    order = released.order()
    released.file.write_text("{}")
    done = await stop(released.forge, order)
    assert (len(done.reverted), done.failed) == (1, [])
    assert released.is_back()


async def test_a_kill_that_meets_a_conflict_stays_latched_and_says_so(released: Released) -> None:
    stray = released.by_hand()
    done = await stop(released.forge, released.order())
    assert "another hand" in done.failed[0]
    assert released.tip() == stray


DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from evoguard.adapters import durable
from evoguard.adapters.git import runner
from evoguard.adapters.way_back import BundleFolder, WaysBackOnGit

folder, digest, change, commit, left = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])

def dying(real):
    def step():
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    if asyncio.iscoroutinefunction(real):
        async def waited(*args, **named):
            step()
            return await real(*args, **named)
        return waited
    def called(*args, **named):
        step()
        return real(*args, **named)
    return called

runner.Git.run = dying(runner.Git.run)
durable.write = dying(durable.write)
ways = WaysBackOnGit(BundleFolder(folder / "way-back", None, (folder / "service.pub").read_bytes()), folder / "repos")
asyncio.run(ways.take_back(digest, change=change, commit=commit))
os.write(1, b"done")
"""


async def test_kill_minus_nine_before_each_step_of_a_revert_is_finished_by_asking_again(released: Released) -> None:
    bundle = await released.prove()
    lost = released.bare / "objects" / bundle.revert[:2] / bundle.revert[2:]
    lost.unlink()
    command = [sys.executable, "-c", DYING, str(released.folder), released.digest, released.what.change,
               released.commit]  # fmt: skip
    died = 0
    for left in range(12):
        done = await asyncio.to_thread(subprocess.run, [*command, str(left)], capture_output=True, check=False)
        if done.stdout == b"done":
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        died += 1
    assert died >= 4
    assert (await released.take_back(), released.tip()) == (bundle.revert, bundle.revert)
    assert git(released.bare, "rev-list", "--count", f"{released.commit}..{released.tip()}") == "1"


async def test_nothing_is_kept_for_a_release_that_is_not_rolled_out(released: Released) -> None:
    await released.take_back()
    with pytest.raises(FencedError):
        await released.ways.keep(released.what, released.commit, off=_off(released.what, ""), digests={})


async def test_a_note_of_what_is_owed_that_cannot_be_read_still_counts(released: Released) -> None:
    released.bundles.owe(released.digest, "\x1b[2J why")
    assert released.bundles.owed()[0].why == "?[2J why"
    next((released.folder / "way-back" / "owed").iterdir()).write_text("no json")
    assert released.bundles.owed()[0].why == "unreadable"
    await released.ways.settle()
    assert released.is_back()


async def test_a_digest_that_is_none_reaches_no_file(released: Released) -> None:
    for digest in ("", "sha256:../../etc/passwd", released.digest.upper()):
        with pytest.raises(NoWayBackError):
            await released.ways.prove(digest, change=released.what.change, commit=released.commit)
    with pytest.raises(EvoguardError):
        released.bundles.drop("sha256:..")


async def test_a_disk_that_refuses_keeps_nothing(released: Released) -> None:
    released.file.unlink()
    reading = BundleFolder(released.folder / "way-back", None, (released.folder / "service.pub").read_bytes())
    with pytest.raises(UnavailableError):
        reading.put(replace(await _again(released), branch="release/x"))


async def _again(released: Released) -> WayBack:
    off = _off(released.what, released.commit)
    await released.ways.keep(released.what, released.commit, off=off, digests={"tree": released.what.tree})
    return await released.prove()
