"""Forge: release refs of our own repositories, moved by compare-and-swap under the kill epoch.

A crash between two renames of git's transaction can leave it half done; the order of moves (see moves.py) makes
asking again complete it, and makes a revert right in between.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from evoguard.adapters.git import moves
from evoguard.adapters.git.epochs import Epochs
from evoguard.adapters.git.moves import LINKS, Names, Standing
from evoguard.adapters.git.origin import checked_name
from evoguard.adapters.git.patches import commit_tree
from evoguard.adapters.git.refs import Ref, link, read, transact
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.store import Store
from evoguard.domain.change import CommitId, is_object_id
from evoguard.errors import EvoguardError, InputError, IntegrityError, UnavailableError
from evoguard.ports.forge import Publication, ReleaseRefs

TRIES = 5
AT_ONCE = 8
"""Repositories that are asked at the same time when all are: git waits for the disk more than for a processor."""
T = TypeVar("T")
_COMPONENT = re.compile(r"[a-z0-9_-]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class Release:
    """Where one component is released, as the repository itself remembers it."""

    repo: str
    component: str
    branch: str


class GitForge:
    """Moves the release refs in `repos_dir`; it reads no clock and no database."""

    def __init__(self, repos_dir: Path) -> None:
        self._store = Store(repos_dir)
        self._epochs = Epochs(repos_dir)

    async def refs(self, repo: str, component: str, branch: str) -> ReleaseRefs:
        """Return where the component's refs stand now; a component that is not released has none."""
        if not component or not branch:
            return ReleaseRefs()
        names = names_of(component, branch)
        now = await standing(self._store.git(repo), names)
        return ReleaseRefs(*(now[name].id for name in (names.tip, names.known_good, names.previous, names.rollout)))

    async def publish(self, what: Publication) -> CommitId:
        """Publish a commit of exactly `what.tree` on `what.base`; the same publication again returns the same commit.

        Its id depends on nothing but `what`. Raises: FencedError `fenced.base_moved`, `fenced.epoch` or
        `fenced.rollout_open`; IntegrityError `release.tree` when head does not have that tree; UnavailableError.
        """
        names, git = names_of(what.component, what.branch), self._store.git(what.repo)
        await _prove(git, what)
        await self._epochs.ensure(git)
        trailers = {"Evoguard-Change": what.change, "Evoguard-Head": what.head}
        text = moves.message(f"Release {what.change} of {what.component}", what.message, trailers)
        commit = await commit_tree(git, what.tree, parent=what.base, at=what.at, message=text)
        await _settle(git, names, lambda now: moves.opening(now, what, commit))
        await _link(git, names)
        await _settle(git, names, lambda now: moves.publishing(now, what, commit))
        return commit

    async def promote(self, what: Publication, commit: CommitId) -> None:
        """Make `commit` the known-good of the component and close its rollout ref; doing it twice is doing it once.

        Raises: FencedError `fenced.base_moved`, `fenced.epoch` or `fenced.rollout_closed`; UnavailableError.
        """
        names, git = names_of(what.component, what.branch), self._store.git(what.repo)
        if not is_object_id(commit):
            raise InputError("a commit is named by its full id", code="ref.invalid")
        await _settle(git, names, lambda now: moves.promoting(now, what, commit))

    async def revert(self, repo: str, component: str, branch: str, *, reason: str) -> CommitId | None:
        """Bring the branch's tree back to known-good by a revert commit; None when there is nothing to revert.

        The reverted tree is exactly the known-good tree, so nothing is merged and no work tree is needed. An open
        rollout is closed in the same transaction. A branch that moved meanwhile is looked at again; a promotion that
        came first leaves nothing to revert. Raises: UnavailableError when the refs never stand still.
        """
        names, git = names_of(component, branch), self._store.git(repo)
        for _ in range(TRIES):
            now = await standing(git, names)
            tip, known_good = now[names.tip], now[names.known_good]
            if not tip.id or not known_good.id:
                return None
            commit = await _revert_commit(git, now, known_good, reason) if tip.tree != known_good.tree else ""
            steps = moves.reverting(now, commit)
            if not steps or not await transact(git, steps):
                return CommitId(commit) if commit else None
        raise UnavailableError("git", f"{branch} cannot be reverted", fix="look at the locks of the repository")

    async def retreat(self, repo: str, component: str, branch: str, *, killed: str, reason: str) -> CommitId | None:
        """Take a finished release back: the branch's tree and known-good are those of the release before it.

        Only while `killed` is known-good and nothing newer is rolled out; None otherwise, also the second time, and for
        a first release, before which there is nothing to go back to. Raises: UnavailableError as `revert`.
        """
        names, git = names_of(component, branch), self._store.git(repo)
        for _ in range(TRIES):
            now = await standing(git, names)
            tip, before = now[names.tip], now[names.previous]
            open_for = now[names.rollout].id
            if not killed or now[names.known_good].id != killed or not before.id or open_for not in ("", killed):
                return None
            commit = await _revert_commit(git, now, before, reason) if tip.tree != before.tree else ""
            if not await transact(git, moves.retreating(now, commit)):
                return CommitId(commit or tip.id)
        raise UnavailableError("git", f"{branch} cannot be taken back", fix="look at the locks of the repository")

    async def raise_epoch(self, repo: str, epoch: int) -> None:
        """Void every release that was decided under an epoch below `epoch` and not made yet; never lowers it."""
        await self._epochs.raise_to(self._store.git(repo), epoch)

    def raise_floor(self, epoch: int) -> None:
        """Raise the epoch of every repository that has had no publication yet. Raises: UnavailableError."""
        try:
            self._epochs.raise_floor(epoch)
        except OSError as err:
            raise UnavailableError("git", "the epoch file cannot be written", fix="check owner, mode and disk") from err

    async def raise_epoch_all(self, epoch: int) -> None:
        """Raise the epoch of every repository, also of those still to come.

        Every one is tried. Raises: UnavailableError naming those that could not be reached, after the others were.
        """
        self.raise_floor(epoch)

        async def raised(repo: str) -> str:
            try:
                await self.raise_epoch(repo, epoch)
            except EvoguardError:
                return repo
            return ""

        if failed := [repo for repo in await each(self._store.released(), raised) if repo]:
            raise UnavailableError("git", f"the epoch was not raised in {', '.join(failed[:5])}", fix="ask again")

    def released(self) -> tuple[str, ...]:
        """Return the repositories where something may have been published; no git is asked."""
        return self._store.released()

    def hinted(self, repo: str) -> tuple[str, ...]:
        """Return the components that file names tell of: good enough to say whose turn is first, never what is done."""
        try:
            return tuple(path.name for path in (self._store.path(repo) / LINKS).iterdir())
        except OSError:
            return ()

    async def releases_in(self, repo: str) -> list[Release]:
        """Return every component that was ever released in a repository. Raises: UnavailableError."""
        links = await read(self._store.git(repo), LINKS)
        return [
            Release(repo, name.removeprefix(LINKS), ref.points_to.removeprefix("refs/heads/"))
            for name, ref in links.items()
        ]

    async def releases(self) -> tuple[list[Release], list[str]]:
        """Return every component that was ever released, from refs alone, and the repositories that gave no answer."""

        async def of(repo: str) -> list[Release] | str:
            try:
                return await self.releases_in(repo)
            except EvoguardError:
                return repo

        answers = await each(self._store.released(), of)
        found = [release for answer in answers if not isinstance(answer, str) for release in answer]
        return found, [answer for answer in answers if isinstance(answer, str)]

    async def repos_with(self, component: str) -> list[tuple[str, str]]:
        """Return (repository, branch) of a component wherever it was released.

        Raises: UnavailableError when there is none among the repositories that answered, and some did not.
        """
        found, silent = await self.releases()
        pairs = [(release.repo, release.branch) for release in found if release.component == component]
        if silent and not pairs:
            raise UnavailableError("git", f"{', '.join(silent[:5])} gave no answer", fix="ask again")
        return pairs


async def each(items: Iterable[str], do: Callable[[str], Awaitable[T]]) -> list[T]:
    """Do it for every item, the first ones first, a bounded number at a time; return the answers in order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: str) -> T:
        async with room:
            return await do(item)

    return await asyncio.gather(*(one(item) for item in items))


async def _settle(git: Git, names: Names, decide: Callable[[Standing], tuple[str, ...]]) -> None:
    """Decide on what stands, move, and decide anew when something moved in between; a void decision raises."""
    why = ""
    for _ in range(TRIES):
        steps = decide(await standing(git, names))
        if not steps or not (why := await transact(git, steps)):
            return
    raise UnavailableError("git", f"refs of {names.component} cannot be moved: {why}")


async def standing(git: Git, names: Names) -> Standing:
    """Return where the refs of a component stand now."""
    return Standing(names, await read(git, *names.all()))


async def _link(git: Git, names: Names) -> None:
    """Remember the branch in the repository itself, for a kill that has no database."""
    if (await standing(git, names))[names.link].points_to != names.tip:
        await link(git, names.link, names.tip)


async def _revert_commit(git: Git, now: Standing, known_good: Ref, reason: str) -> CommitId:
    names, tip = now.names, now[now.names.tip]
    at = int(await git.ok("log", "-1", "--no-show-signature", "--format=%ct", tip.id))
    text = moves.message(
        f"Revert {names.component} to {known_good.id[:12]}",
        reason,
        {"Evoguard-Reverts": tip.id, "Evoguard-Known-Good": known_good.id},
    )
    return await commit_tree(git, known_good.tree, parent=tip.id, at=at, message=text)


async def _prove(git: Git, what: Publication) -> None:
    """Refuse a publication whose head is not of the tree that was tested, or whose base is not here."""
    if not all(is_object_id(oid) for oid in (what.base, what.head, what.tree)):
        raise InputError("a publication names full ids", code="ref.invalid")
    asked = f"{what.head}^{{tree}}\n{what.base}^{{commit}}\n".encode()
    found = (await git.ok("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked)).decode().splitlines()
    if found != [f"tree {what.tree}", f"commit {what.base}"]:
        raise IntegrityError(f"head {what.head[:12]} is not of the tree that was tested", code="release.tree")


def names_of(component: str, branch: str) -> Names:
    """Return the names of a component's refs. Raises: InputError for a name that is none."""
    if not _COMPONENT.match(component):
        raise InputError(
            "a component is released by its name", code="component.unknown", fix="add it to .evoguard.toml"
        )
    return Names(component, checked_name(branch, "release branch"))
