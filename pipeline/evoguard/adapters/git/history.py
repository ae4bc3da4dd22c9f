"""The past of our own repositories, read with one `git log` and kept: a newer base adds the commits between only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.store import Store
from evoguard.domain.change import CommitId, is_object_id
from evoguard.errors import InputError
from evoguard.history.index import LOG_FORMAT, History, commits_of
from evoguard.ports.impact import Past

MOST_COMMITS, MOST_KEPT = 50_000, 8
_LOG = (
    "log", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--no-show-signature",
    "--no-mailmap", f"--max-count={MOST_COMMITS}", f"--format={LOG_FORMAT}",
)  # fmt: skip


class GitHistory:
    """Histories by (repository, base commit), the newest few of them in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[tuple[str, str], History] = {}

    async def past(
        self, repo: str, base: CommitId, paths: Iterable[str], *, now_s: int, authors: Mapping[str, str]
    ) -> Past:
        """Return what the commits behind `base` say of the files. Raises: InputError, UnavailableError."""
        history = await self._history(repo, base)
        return await asyncio.to_thread(history.past, list(paths), now_s=now_s, authors=authors)

    async def _history(self, repo: str, base: CommitId) -> History:
        if not is_object_id(base):
            raise InputError("a commit is named by its full id", code="ref.invalid")
        found = self._kept.pop((repo, base), None)
        if found is None:
            git = self._store.git(repo)
            older = await self._older(git, repo, base)
            found = await _read(git, base, older)
            if older is not None:
                self._kept.pop((repo, older.tip), None)
        while len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[repo, base] = found
        return found

    async def _older(self, git: Git, repo: str, base: CommitId) -> History | None:
        """Return the newest kept history that `base` stands on."""
        for (name, tip), history in reversed(self._kept.items()):
            if name == repo and (await git.run("merge-base", "--is-ancestor", tip, base)).code == 0:
                return history
        return None


async def _read(git: Git, base: CommitId, older: History | None) -> History:
    since = (f"^{older.tip}",) if older is not None else ()
    said = await git.run(*_LOG, "--end-of-options", base, *since, "--")
    if said.code and not said.truncated:
        raise InputError(f"the history cannot be read: {said.why}", code="ref.missing", fix="submit it again")
    return await asyncio.to_thread(_made, base, said.out, older, truncated=said.truncated)


def _made(base: CommitId, log: bytes, older: History | None, *, truncated: bool) -> History:
    commits = list(commits_of(log))
    cut = truncated or len(commits) == MOST_COMMITS
    if older is None or cut:  # so many at once: what is older than them is out of every window
        return History.of(base, commits, cut=cut)
    return older.grown(base, commits)
