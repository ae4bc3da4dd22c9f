"""Objects come in: copied from a submitter's repository, or made from a patch, into the guard's own bare repository.

No git ever runs in the submitter's repository, not even `upload-pack`: our git packs the wanted commits while it reads
the submitter's object files as alternates, and our `index-pack --strict` hashes and checks every one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters.git import patches
from evoguard.adapters.git.origin import Origin, checked_name, open_origin
from evoguard.adapters.git.quarantine import Quarantine, quarantine
from evoguard.adapters.git.refs import transact
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.store import Store
from evoguard.domain.change import CommitId, TreeId, is_change_id, is_object_id
from evoguard.errors import InputError, UnavailableError

PACK_BYTES = 512 * 1024 * 1024
_SHORT_ID = re.compile(r"[0-9a-f]{7,39}\Z")
_MOST_HAVES = 500


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a submission names, by full id: our repository, its base, its head and the head's tree."""

    repo: str
    base: CommitId
    head: CommitId
    tree: TreeId


class Mirror:
    """Brings objects into `repos_dir`; a refused submission leaves nothing behind; without `keep`, none does."""

    def __init__(self, repos_dir: Path, *, pack_bytes: int = PACK_BYTES, keep: bool = True) -> None:
        self._store = Store(repos_dir)
        self._pack_bytes = pack_bytes
        self._keep = keep

    def trial(self) -> Mirror:
        """Return a mirror that checks everything in the same way and keeps nothing."""
        return Mirror(self._store.folder, pack_bytes=self._pack_bytes, keep=False)

    async def fetch(self, source: str | Path, *, head: str, base: str) -> Fetched:
        """Copy `head` and `base` (branch, tag or id, resolved once) with their history.

        Raises: InputError `repo.*`, `ref.invalid`, `ref.missing`, `change.head_equals_base`, `change.unrelated` or
        `change.base_not_ancestor`; UnavailableError when git gives no answer.
        """
        checked_name(head, "head"), checked_name(base, "base")
        origin = await asyncio.to_thread(open_origin, source)
        async with self._received(origin) as (repository, held):
            base_id, head_id = await _resolve(origin, held.reading, base=base, head=head)
            await self._copy(repository, held, (base_id, head_id))
            tree = await _related(held.git, base_id, head_id)
        return Fetched(origin.id, base_id, head_id, tree)

    async def from_patch(self, source: str | Path, *, base: str, patch: bytes) -> Fetched:
        """Make the commit of `patch` on `base`; the same patch on the same base is the same head.

        Raises: InputError as fetch, or `patch.*` when it is too big, does not apply or leaves the tree.
        """
        patches.check(patch)
        checked_name(base, "base")
        origin = await asyncio.to_thread(open_origin, source)
        async with self._received(origin) as (repository, held):
            (base_id,) = await _resolve(origin, held.reading, base=base)
            await self._copy(repository, held, (base_id,))
            head_id, tree = await patches.commit(held.git, base_id, patch)
        return Fetched(origin.id, base_id, head_id, tree)

    async def pin(self, repo: str, change: str, base: CommitId, head: CommitId) -> None:
        """Keep both commits for as long as the change is known. Raises: InputError for anything but ids."""
        if not (is_change_id(change) and is_object_id(base) and is_object_id(head)):
            raise InputError("a pin names a change and two full ids", code="ref.invalid")
        git = self._store.git(repo)
        ref = f"refs/evoguard/incoming/{change}"
        if why := await transact(git, (f"update {ref}/base {base}", f"update {ref}/head {head}")):
            raise UnavailableError("git", f"the commits cannot be kept: {why}")

    @contextlib.asynccontextmanager
    async def _received(self, origin: Origin) -> AsyncIterator[tuple[Git, Quarantine]]:
        """Hold what comes in apart; a block that ends without an error lets it in, a new repository included."""
        async with self._store.entry(origin.id) as entry:
            with quarantine(entry.git.git_dir, origin.objects) as held:
                yield entry.git, held
                if self._keep:
                    held.accept()
            if self._keep:
                entry.keep()

    async def _copy(self, repository: Git, held: Quarantine, wanted: tuple[str, ...]) -> None:
        haves = await repository.ok("for-each-ref", f"--count={_MOST_HAVES}", "--format=%(objecttype) %(objectname)")
        have = [line[7:] for line in haves.decode().splitlines() if line.startswith("commit ")]
        asked = "\n".join([*wanted, *(f"^{oid}" for oid in have), ""]).encode()
        result = await held.reading.pipe(
            ("pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset", "--no-use-bitmap-index"),
            held.git,
            ("index-pack", "--stdin", "--strict", "--fsck-objects", f"--max-input-size={self._pack_bytes}"),
            stdin=asked,
        )
        if b"exceeds maximum allowed size" in result.err:
            raise InputError(
                f"the history is larger than {self._pack_bytes >> 20} MiB",
                code="repo.too_big",
                fix="remove large files",
            )
        if result.code:
            raise InputError(f"git found broken objects: {result.why}", code="repo.rejected_objects", fix="git fsck")


async def _resolve(origin: Origin, git: Git, **names: str) -> list[CommitId]:
    """Return the full commit ids of names, each read once; branches first, then tags, remote branches, ids."""
    found = [await _named(origin, git, name, what) for what, name in names.items()]
    asked = "".join(f"{oid}^{{commit}}\n" for oid in found).encode()
    answers = (await git.ok("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked)).decode().splitlines()
    for answer, what in zip(answers, names, strict=True):
        if not answer.startswith("commit "):
            raise _missing(what, names[what])
    return [CommitId(answer[7:]) for answer in answers]


async def _named(origin: Origin, git: Git, name: str, what: str) -> str:
    if is_object_id(name):
        return name
    if found := await asyncio.to_thread(origin.resolve, name):
        return found
    if _SHORT_ID.match(name):
        ids = (await git.ok("rev-parse", f"--disambiguate={name}")).split()
        kinds = (
            await git.ok("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=b"\n".join([*ids, b""]))
        ).decode()
        commits = [line[7:] for line in kinds.splitlines() if line.startswith("commit ")]
        if len(commits) == 1:
            return commits[0]
    raise _missing(what, name)


def _missing(what: str, name: str) -> InputError:
    return InputError(
        f"{what} {name!r} names no commit there", code="ref.missing", fix="commit it, or give its full id"
    )


async def _related(git: Git, base: CommitId, head: CommitId) -> TreeId:
    if head == base:
        raise InputError("head is base: nothing to do", code="change.head_equals_base", fix="commit the change first")
    trees = (await git.ok("rev-parse", "--verify", f"{head}^{{tree}}")).decode().strip()
    if (await git.ok("rev-parse", "--verify", f"{base}^{{tree}}")).decode().strip() == trees:
        raise InputError(
            "head has the same files as base", code="change.head_equals_base", fix="commit the change first"
        )
    answer = await git.run("merge-base", base, head)
    if answer.code == 1:
        raise InputError("head and base share no history", code="change.unrelated", fix="branch off base")
    if answer.code:
        raise UnavailableError("git", f"git merge-base failed: {answer.why}")
    if answer.out.decode().split()[:1] != [base]:
        raise InputError("base is not an ancestor of head", code="change.base_not_ancestor", fix="rebase onto base")
    return TreeId(trees)
