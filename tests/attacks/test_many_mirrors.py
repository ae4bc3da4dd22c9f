"""Thousands of mirrors that a sender can make never slow a kill, and none of them is a way around it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters.git.epochs import Epochs
from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.mirror import Fetched, Mirror
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.stop import Order, stop
from evoguard.errors import FencedError
from given_git import Source, a_fetched_change, a_publication, git, tree_of

EVERYTHING = Order(1, lambda _: True, "killed")


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    return tmp_path / "repos"


@pytest.fixture
def forge(repos: Path) -> GitForge:
    return GitForge(repos)


@pytest.fixture
async def fetched(tmp_path: Path) -> Fetched:
    return (await a_fetched_change(tmp_path))[1]


def flooded(repos: Path, fetched: Fetched, count: int = 50) -> list[str]:
    """Copy a mirror as often as a sender submits from another path; return the names."""
    names = [f"flood-{number:08x}" for number in range(count)]
    for name in names:
        shutil.copytree(repos / f"{fetched.repo}.git", repos / f"{name}.git")
    return names


async def another(repos: Path, folder: Path) -> Fetched:
    source = Source(folder)
    source.commit({"app.py": "x = 9\n"}, branch="topic")
    return await Mirror(repos).fetch(source.path, head="topic", base="main")


async def test_a_kill_asks_git_only_where_something_may_have_been_published(
    repos: Path, forge: GitForge, fetched: Fetched
) -> None:
    await Mirror(repos).pin(fetched.repo, "ch-0123456789ab", fetched.base, fetched.head)
    flood = flooded(repos, fetched)
    await forge.publish(a_publication(fetched))
    done = await stop(forge, EVERYTHING)
    assert (len(done.reverted), done.failed) == (1, [])
    assert forge.released() == (fetched.repo,)
    assert not any((repos / f"{name}.git/refs/evoguard/epoch").exists() for name in flood)


async def test_a_mirror_that_the_kill_passed_by_publishes_nothing_that_was_decided_before(
    repos: Path, forge: GitForge, fetched: Fetched
) -> None:
    for name in flooded(repos, fetched, 2):
        await stop(forge, EVERYTHING)
        with pytest.raises(FencedError) as caught:
            await forge.publish(a_publication(fetched, repo=name))
        assert caught.value.code == "fenced.epoch"
        assert not (repos / f"{name}.git/refs/heads").exists() or not list((repos / f"{name}.git/refs/heads").iterdir())


class Frozen(Epochs):
    """A publisher that is frozen after it read the floor, while a whole kill comes and goes."""

    async def raise_to(self, git: Git, epoch: int) -> None:
        if epoch == 0:
            await stop(GitForge(git.git_dir.parent), EVERYTHING)
        await super().raise_to(git, epoch)


class FrozenAndTrusting(Frozen):
    """The same, with the floor read once: what the second look at it is for."""

    async def ensure(self, git: Git) -> None:
        await self.raise_to(git, self.floor())


def frozen(repos: Path, kind: type[Frozen]) -> GitForge:
    forge = GitForge(repos)
    forge._epochs = kind(repos)
    return forge


async def test_a_first_publication_frozen_before_its_epoch_exists_moves_nothing(repos: Path, fetched: Fetched) -> None:
    with pytest.raises(FencedError) as caught:
        await frozen(repos, Frozen).publish(a_publication(fetched))
    assert caught.value.code == "fenced.epoch"
    assert not (repos / f"{fetched.repo}.git/refs/heads/release").exists()


async def test_with_one_look_at_the_floor_the_same_publication_would_go_out(repos: Path, fetched: Fetched) -> None:
    assert await frozen(repos, FrozenAndTrusting).publish(a_publication(fetched))


@pytest.mark.parametrize("odd", ["packed", "headless", "rootless", "epoch folder", "branch link"])
async def test_a_mirror_that_cannot_be_told_to_be_untouched_is_asked(
    repos: Path, forge: GitForge, fetched: Fetched, odd: str
) -> None:
    bare = repos / f"{fetched.repo}.git"
    assert forge.released() == ()
    if odd == "packed":
        await forge.publish(a_publication(fetched))
        git(bare, "pack-refs", "--all")
        (bare / "refs/evoguard/epoch").unlink(missing_ok=True)
        shutil.rmtree(bare / "refs/evoguard/branch")
    elif odd == "headless":
        (bare / "HEAD").unlink()
    elif odd == "rootless":
        shutil.rmtree(bare / "refs")
    elif odd == "epoch folder":
        (bare / "refs/evoguard/epoch").mkdir(parents=True)
    else:
        (bare / "refs/evoguard").mkdir()
        (bare / "refs/evoguard/branch").symlink_to("nowhere")
    assert forge.released() == (fetched.repo,)


async def test_what_is_in_scope_goes_back_first_and_one_broken_mirror_keeps_nothing_from_it(
    tmp_path: Path, repos: Path, forge: GitForge, fetched: Fetched
) -> None:
    other = await another(repos, tmp_path / "a-source")
    what = a_publication(fetched)
    await forge.publish(what)
    await forge.publish(a_publication(other, component="billing", branch="release/billing"))
    (repos / "aa-broken-01234567.git").mkdir()
    asked: list[str] = []

    class Listening(GitForge):
        async def raise_epoch(self, repo: str, epoch: int) -> None:
            asked.append(repo)
            await super().raise_epoch(repo, epoch)

    done = await stop(Listening(repos), Order(1, lambda component: component == "scoring", "killed"))
    assert asked[0] == fetched.repo
    assert sorted(asked) == sorted([fetched.repo, other.repo, "aa-broken-01234567"])
    assert [line.split()[0] for line in done.reverted] == [fetched.repo]
    assert all("aa-broken-01234567" in line for line in done.failed)
    assert tree_of(repos, what.repo, "release/scoring") == tree_of(repos, what.repo, what.base)
    with pytest.raises(FencedError):
        await forge.publish(a_publication(other, component="pricing", branch="release/pricing"))


@pytest.mark.parametrize("shows", ["the release", "another", "nothing"])
async def test_git_follows_a_killed_finished_release_that_the_flag_shows_and_no_other(
    forge: GitForge, fetched: Fetched, shows: str
) -> None:
    what = a_publication(fetched)
    commit = await forge.publish(what)
    await forge.promote(what, commit)
    shown = {"the release": commit, "another": what.base, "nothing": ""}[shows]
    done = await stop(forge, replace(EVERYTHING, shown=lambda _component: shown))
    refs = await forge.refs(what.repo, what.component, what.branch)
    assert done.failed == []
    assert (len(done.reverted), refs.known_good) == ((1, what.base) if shows == "the release" else (0, commit))
    await stop(forge, replace(EVERYTHING, shown=lambda _component: shown))
    assert await forge.refs(what.repo, what.component, what.branch) == refs
