"""A release's revert as a commit that is made before it is needed, and put on the branch when it is.

It is put on nothing but the release itself. A branch that another hand moved is left alone: its commits may be meant.
"""

from __future__ import annotations

from pathlib import Path

from evoguard.adapters.git import moves
from evoguard.adapters.git.forge import TRIES, names_of, standing
from evoguard.adapters.git.moves import Standing
from evoguard.adapters.git.patches import commit_tree
from evoguard.adapters.git.refs import transact
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.store import Store
from evoguard.domain.way_back import CONFLICT, WayBack
from evoguard.errors import EvoguardError, FencedError, IntegrityError, UnavailableError
from evoguard.ports.forge import Publication

OBJECT_BYTES = 32_768


class Ahead:
    """Reverts made ahead in the repositories of `repos_dir`."""

    def __init__(self, repos_dir: Path) -> None:
        self._store = Store(repos_dir)

    async def made(self, what: Publication, commit: str) -> dict[str, str]:
        """Return known-good, its tree, and the revert of `commit` to it, written as an object that no ref names yet.

        The same release gives the same revert. Raises: FencedError when the release is not what is rolled out.
        """
        names, git = names_of(what.component, what.branch), self._store.git(what.repo)
        now = await standing(git, names)
        known_good = now[names.known_good]
        if now[names.rollout].id != commit or not known_good.id or known_good.id == commit:
            raise FencedError("this release is not rolled out", code="fenced.rollout_closed")
        text = moves.message(
            f"Revert {what.change} of {what.component} to {known_good.id[:12]}",
            "Made before the release was opened.",
            {"Evoguard-Reverts": commit, "Evoguard-Known-Good": known_good.id},
        )
        revert = await commit_tree(git, known_good.tree, parent=commit, at=what.at, message=text)
        raw = await git.ok("cat-file", "commit", revert)
        return {"known_good": known_good.id, "tree": known_good.tree, "revert": revert, "revert_object": raw.decode()}

    async def take_back(self, bundle: WayBack) -> str:
        """Put the revert on the branch and close the rollout; return the tip, or the release when it is known-good.

        Twice is once. Raises: FencedError `revert.conflict`; IntegrityError when the repository's known-good is not of
        the tree that it was; UnavailableError when the repository gives no answer.
        """
        names = names_of(bundle.component, bundle.branch)
        try:
            git = self._store.git(bundle.repo)
        except EvoguardError as err:
            raise UnavailableError("git", f"{bundle.repo} is not there", fix="restore it; the worker goes on") from err
        why = ""
        for _ in range(TRIES):
            now = await standing(git, names)
            if now[names.known_good].id == bundle.commit:
                return bundle.commit
            steps = taking_back(now, bundle)
            if any(step.startswith("update") for step in steps):
                await _written(git, bundle)
            if not steps or not (why := await transact(git, steps)):
                return bundle.revert if now[names.tip].id in (bundle.commit, bundle.revert) else now[names.tip].id
        raise UnavailableError("git", f"{bundle.branch} cannot be reverted: {why}", fix="look at its locks")


def taking_back(now: Standing, bundle: WayBack) -> tuple[str, ...]:
    """Return the moves that take the release back; none when that is done. Raises: FencedError `revert.conflict`."""
    names = now.names
    tip, known_good, rollout = now[names.tip], now[names.known_good], now[names.rollout].id
    if known_good.id and known_good.tree != bundle.tree:
        raise IntegrityError(f"known-good of {bundle.component} is of another tree", code="way_back.known_good")
    close = (f"delete {names.rollout} {rollout}",) if rollout == bundle.commit else ()
    still = f"verify {names.known_good} {known_good.id}"
    if tip.id == bundle.commit and known_good.id:
        return (still, f"update {names.tip} {bundle.revert} {tip.id}", *close)
    if tip.tree == bundle.tree and known_good.id:
        return (still, f"verify {names.tip} {tip.id}", *close) if close else ()
    raise FencedError(
        f"{bundle.branch} is at {tip.id[:12] or 'nothing'}, which another hand put there after {bundle.commit[:12]}",
        code=CONFLICT,
        fix=f"bring {bundle.branch} back to tree {bundle.tree} by hand; the worker sees it and goes on",
    )


async def _written(git: Git, bundle: WayBack) -> None:
    """Write the revert again when the repository lost it. Raises: IntegrityError when it would be another."""
    if (await git.run("cat-file", "-e", bundle.revert)).code == 0:
        return
    out = await git.ok("hash-object", "-w", "-t", "commit", "--stdin", stdin=bundle.revert_object.encode())
    if out.decode().strip() != bundle.revert:
        raise IntegrityError("the revert reads back as another commit", code="way_back.revert")
