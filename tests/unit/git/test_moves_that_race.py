"""What was decided a moment ago is void when a kill or a promotion comes before the transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard.adapters.git import moves, refs
from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.moves import Names, Standing
from evoguard.adapters.git.patches import commit_tree
from evoguard.adapters.git.runner import Git
from evoguard.domain.change import CommitId
from evoguard.ports.forge import Publication
from given_git import a_fetched_change, a_publication


@pytest.fixture
async def what(tmp_path: Path) -> Publication:
    _, fetched = await a_fetched_change(tmp_path)
    return a_publication(fetched)


@pytest.fixture
def forge(tmp_path: Path) -> GitForge:
    return GitForge(tmp_path / "repos")


@pytest.fixture
def git(tmp_path: Path, what: Publication) -> Git:
    return Git(tmp_path / "repos" / f"{what.repo}.git")


async def standing(git: Git, what: Publication) -> Standing:
    names = Names(what.component, what.branch)
    return Standing(names, await refs.read(git, *names.all()))


async def prepared(forge: GitForge, git: Git, what: Publication) -> CommitId:
    """Return a commit to publish in a repository whose refs have been opened at base."""
    await forge.raise_epoch(what.repo, 0)
    commit = await commit_tree(git, what.tree, parent=what.base, at=1, message="next")
    assert not await refs.transact(git, moves.opening(await standing(git, what), what, commit))
    return commit


async def test_a_kill_between_decision_and_transaction_voids_a_publication(
    forge: GitForge, git: Git, what: Publication
) -> None:
    commit = await prepared(forge, git, what)
    steps = moves.publishing(await standing(git, what), what, commit)
    await forge.raise_epoch_all(1)
    assert await refs.transact(git, steps)
    assert (await forge.refs(what.repo, what.component, what.branch)).rollout == ""


async def test_a_kill_between_decision_and_transaction_voids_a_promotion(
    forge: GitForge, git: Git, what: Publication
) -> None:
    commit = await forge.publish(what)
    steps = moves.promoting(await standing(git, what), what, commit)
    await forge.raise_epoch_all(1)
    assert await refs.transact(git, steps)
    assert (await forge.refs(what.repo, what.component, what.branch)).known_good == what.base


async def test_a_promotion_between_decision_and_transaction_voids_a_revert(
    forge: GitForge, git: Git, what: Publication
) -> None:
    commit = await forge.publish(what)
    now = await standing(git, what)
    back = await commit_tree(git, now[now.names.known_good].tree, parent=commit, at=1, message="back")
    rollout = f"delete {now.names.rollout} {commit}"
    steps = tuple(step for step in moves.reverting(now, back) if step != rollout)
    await forge.promote(what, commit)
    assert await refs.transact(git, steps)
    assert (await forge.refs(what.repo, what.component, what.branch)).tip == commit
