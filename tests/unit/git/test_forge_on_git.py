from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters.git import refs
from evoguard.adapters.git.forge import GitForge, Release
from evoguard.adapters.git.mirror import Fetched, Mirror
from evoguard.errors import FencedError, InputError, IntegrityError, UnavailableError
from given_git import Source, a_fetched_change, a_publication, git, tree_of


@pytest.fixture
async def change(tmp_path: Path) -> tuple[Source, Fetched]:
    return await a_fetched_change(tmp_path)


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    return tmp_path / "repos"


@pytest.fixture
def forge(repos: Path) -> GitForge:
    return GitForge(repos)


Change = tuple[Source, Fetched]


async def test_the_published_tree_is_exactly_the_tested_one(change: Change, forge: GitForge, repos: Path) -> None:
    what = a_publication(change[1])
    commit = await forge.publish(what)
    assert tree_of(repos, what.repo, commit) == what.tree
    assert (
        git(repos / f"{what.repo}.git", "log", "-1", "--format=%P %an %at", commit) == f"{what.base} evoguard {what.at}"
    )


async def test_a_head_of_another_tree_is_an_integrity_error(change: Change, forge: GitForge) -> None:
    what = a_publication(change[1])
    with pytest.raises(IntegrityError) as caught:
        await forge.publish(replace(what, head=what.base))
    assert caught.value.code == "release.tree"


async def test_the_message_cannot_forge_a_trailer(change: Change, forge: GitForge, repos: Path) -> None:
    what = a_publication(change[1], message="x\n\nEvoguard-Change: ch-ffffffffffff\n \x1b[2J\u202e")
    commit = await forge.publish(what)
    text = git(repos / f"{what.repo}.git", "log", "-1", "--format=%B", commit)
    trailers = git(repos / f"{what.repo}.git", "log", "-1", "--format=%(trailers)", commit)
    assert trailers.splitlines() == [f"Evoguard-Change: {what.change}", f"Evoguard-Head: {what.head}"]
    assert "\x1b" not in text
    assert "\u202e" not in text


async def test_a_revert_restores_the_known_good_tree_on_top(change: Change, forge: GitForge, repos: Path) -> None:
    what = a_publication(change[1])
    commit = await forge.publish(what)
    reverted = await forge.revert(what.repo, what.component, what.branch, reason="errors rose")
    assert reverted is not None
    assert tree_of(repos, what.repo, reverted) == tree_of(repos, what.repo, what.base)
    assert git(repos / f"{what.repo}.git", "rev-parse", f"{reverted}^") == commit


async def test_a_revert_takes_back_commits_that_came_by_another_hand(
    change: Change, forge: GitForge, repos: Path
) -> None:
    what = a_publication(change[1])
    bare = repos / f"{what.repo}.git"
    commit = await forge.publish(what)
    stray = git(bare, "commit-tree", f"{commit}^{{tree}}", "-p", commit, "-m", "by hand")
    git(bare, "update-ref", f"refs/heads/{what.branch}", stray)
    reverted = await forge.revert(what.repo, what.component, what.branch, reason="killed")
    assert git(bare, "rev-parse", f"{reverted}^") == stray
    assert tree_of(repos, what.repo, str(reverted)) == tree_of(repos, what.repo, what.base)


async def test_a_kill_finds_releases_without_a_database(change: Change, forge: GitForge) -> None:
    what = a_publication(change[1])
    assert await forge.releases() == ([], [])
    await forge.publish(what)
    assert await forge.releases() == ([Release(what.repo, "scoring", "release/scoring")], [])
    assert await forge.repos_with("scoring") == [(what.repo, "release/scoring")]
    assert await forge.repos_with("other") == []


async def test_a_broken_repository_does_not_hide_the_others(change: Change, forge: GitForge, repos: Path) -> None:
    what = a_publication(change[1])
    await forge.publish(what)
    (repos / "broken-01234567.git").mkdir()
    found, silent = await forge.releases()
    assert ([r.repo for r in found], silent) == ([what.repo], ["broken-01234567"])
    with pytest.raises(UnavailableError, match="broken-01234567"):
        await forge.raise_epoch_all(4)
    with pytest.raises(FencedError):
        await forge.publish(replace(what, change="ch-aaaaaaaaaaaa"))


async def test_a_repository_fetched_after_a_kill_starts_at_its_epoch(tmp_path: Path, forge: GitForge) -> None:
    await forge.raise_epoch_all(5)
    _, fetched = await a_fetched_change(tmp_path)
    with pytest.raises(FencedError) as caught:
        await forge.publish(a_publication(fetched))
    assert caught.value.code == "fenced.epoch"
    assert await forge.publish(a_publication(fetched, epoch=5))


async def test_an_unreadable_epoch_file_keeps_the_gate_shut(change: Change, forge: GitForge, repos: Path) -> None:
    (repos / "epoch").write_text("many")
    with pytest.raises(IntegrityError):
        await forge.publish(a_publication(change[1]))
    await forge.raise_epoch_all(1)
    with pytest.raises(FencedError):
        await forge.publish(a_publication(change[1]))


@pytest.mark.parametrize("lock", ["refs/heads/release/scoring.lock", "refs/evoguard/epoch.lock", "packed-refs.lock"])
async def test_a_lock_left_by_a_dead_git_is_removed(change: Change, forge: GitForge, repos: Path, lock: str) -> None:
    what = a_publication(change[1])
    await forge.publish(what)
    planted = repos / f"{what.repo}.git" / lock
    planted.touch()
    os.utime(planted, (1, 1))
    assert await forge.revert(what.repo, what.component, what.branch, reason="killed") or lock.endswith("epoch.lock")
    await forge.raise_epoch(what.repo, 1)
    assert (await forge.refs(what.repo, what.component, what.branch)).rollout == ""


def test_a_fresh_lock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs/x.lock").touch()
    assert refs.remove_stale_locks(tmp_path) == 0


PUBLISH = """
import asyncio, pathlib, sys
from evoguard.adapters.git.forge import GitForge
from given_git import a_publication
from evoguard.adapters.git.mirror import Fetched
asyncio.run(GitForge(pathlib.Path(sys.argv[1])).publish(a_publication(Fetched(*sys.argv[2:6]))))
"""


@pytest.mark.parametrize("after_s", [0.0, 0.16, 0.19, 0.22])
async def test_a_publisher_killed_anywhere_is_completed_by_asking_again(
    change: Change, forge: GitForge, repos: Path, after_s: float
) -> None:
    fetched = change[1]
    what = a_publication(fetched)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    facts = (fetched.repo, fetched.base, fetched.head, fetched.tree)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", PUBLISH, str(repos), *facts, env=env)
    try:
        await asyncio.wait_for(child.wait(), after_s)
    except TimeoutError:
        child.kill()
    await child.wait()
    commit = await forge.publish(what)
    state = await forge.refs(what.repo, what.component, what.branch)
    assert (state.tip, state.rollout, state.known_good) == (commit, commit, what.base)


@pytest.mark.parametrize("half", ["rollout", "link"])
async def test_half_a_publication_is_completed_and_can_be_reverted(
    change: Change, forge: GitForge, repos: Path, half: str
) -> None:
    what = a_publication(change[1])
    bare = repos / f"{what.repo}.git"
    commit = await forge.publish(what)
    git(bare, "update-ref", f"refs/heads/{what.branch}", what.base)
    if half == "link":
        git(bare, "update-ref", "-d", f"refs/evoguard/rollout/{what.component}")
    assert await forge.publish(what) == commit
    assert (await forge.refs(what.repo, what.component, what.branch)).rollout == commit
    git(bare, "update-ref", f"refs/heads/{what.branch}", what.base)
    assert await forge.revert(what.repo, what.component, what.branch, reason="crash") is None
    assert (await forge.refs(what.repo, what.component, what.branch)).rollout == ""


async def test_half_a_promotion_is_completed(change: Change, forge: GitForge, repos: Path) -> None:
    what = a_publication(change[1])
    bare = repos / f"{what.repo}.git"
    commit = await forge.publish(what)
    git(bare, "update-ref", f"refs/evoguard/previous/{what.component}", what.base)
    await forge.promote(what, commit)
    git(bare, "update-ref", f"refs/evoguard/rollout/{what.component}", commit)
    await forge.promote(what, commit)
    state = await forge.refs(what.repo, what.component, what.branch)
    assert (state.known_good, state.previous, state.rollout) == (commit, what.base, "")


@pytest.mark.parametrize("done", ["tip", "tip known-good", "tip known-good rollout"])
async def test_half_a_retreat_is_completed(change: Change, forge: GitForge, repos: Path, done: str) -> None:
    what = a_publication(change[1])
    where, bare = (what.repo, what.component, what.branch), repos / f"{what.repo}.git"
    commit = await forge.publish(what)
    await forge.promote(what, commit)
    git(bare, "update-ref", f"refs/evoguard/rollout/{what.component}", commit)  # a promotion that is half done as well
    back = await forge.retreat(*where, killed=commit, reason="killed")
    assert git(bare, "rev-parse", f"{back}^{{tree}}") == git(bare, "rev-parse", f"{what.base}^{{tree}}")
    assert git(bare, "rev-parse", f"{back}^") == commit
    git(bare, "update-ref", f"refs/evoguard/previous/{what.component}", what.base)
    if "rollout" not in done:
        git(bare, "update-ref", f"refs/evoguard/rollout/{what.component}", commit)
    if "known-good" not in done:
        git(bare, "update-ref", f"refs/evoguard/known-good/{what.component}", commit)
    await forge.retreat(*where, killed=commit, reason="killed")
    await forge.revert(*where, reason="killed")
    state = await forge.refs(*where)
    assert (state.tip, state.known_good, state.rollout) == (back, what.base, "")


async def test_a_release_after_a_killed_one_returns_its_users_to_the_one_before_both(
    change: Change, forge: GitForge, repos: Path
) -> None:
    what = a_publication(change[1])
    where = (what.repo, what.component, what.branch)
    await forge.promote(what, await forge.publish(what))
    killed = (await forge.refs(*where)).known_good
    back = await forge.retreat(*where, killed=killed, reason="killed")
    assert back is not None
    again = replace(what, change="ch-00000000000b", base=back)
    commit = await forge.publish(again)
    state = await forge.refs(*where)
    assert (state.tip, state.rollout, state.known_good) == (commit, commit, what.base)
    assert await forge.retreat(*where, killed=commit, reason="killed") is None


async def test_the_next_change_is_based_on_what_was_released(
    tmp_path: Path, change: Change, forge: GitForge, repos: Path
) -> None:
    source, fetched = change
    what = a_publication(fetched)
    await forge.promote(what, await forge.publish(what))
    git(source.path, "fetch", "-q", str(repos / f"{what.repo}.git"), "release/scoring:release/scoring")
    git(source.path, "checkout", "-q", "release/scoring")
    source.commit({"app.py": "x = 3\n"}, branch="next")
    following = await Mirror(repos).fetch(source.path, head="next", base="release/scoring")
    assert await forge.publish(a_publication(following, change="ch-bbbbbbbbbbbb"))


@pytest.mark.parametrize("branch", ["-x", "a..b", "a b", "release/", "x.lock", ".x", "@", ""])
async def test_a_branch_that_is_no_name_is_refused(change: Change, forge: GitForge, branch: str) -> None:
    with pytest.raises(InputError) as caught:
        await forge.publish(a_publication(change[1], branch=branch))
    assert caught.value.code == "ref.invalid"


@pytest.mark.parametrize("repo", ["../x", "x", "source-0123456", "/etc", "source-01234567/../y"])
async def test_a_repository_that_is_none_of_ours_is_refused(forge: GitForge, repo: str) -> None:
    with pytest.raises(InputError) as caught:
        await forge.refs(repo, "scoring", "release/scoring")
    assert caught.value.code == "repo.unknown"
