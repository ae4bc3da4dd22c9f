"""Sources: what a change holds, read from objects. Nothing is checked out; no filter, attribute or driver is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from evoguard.adapters.git.objects import read_blobs
from evoguard.adapters.git.rawdiff import RawEntry, added_lines, counted, raw_entries
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.store import Store
from evoguard.adapters.git.trees import entry_at, safe_tree
from evoguard.domain.change import CommitId, Diff, FileChange, is_object_id
from evoguard.domain.diff import SYMLINK, check_path
from evoguard.domain.secrets import UNSCANNED, find_secrets
from evoguard.errors import InputError, UnavailableError
from evoguard.ports.forge import Blob

MOST_LISTED = 1_000
MOST_FILES = 20_000
MOST_FILES_BYTES = 200 * 1024 * 1024
FILE_BYTES = 1024 * 1024
PATCH_BYTES = 8 * 1024 * 1024
"""So much of a patch is looked at for secrets; a file beyond it is reported as `unscanned`."""

_ARGUMENT_BYTES = 512 * 1024
_READ = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index")
_DIFF = (*_READ, "-z")
"""Without renames a moved file is a removal and an addition: both names are touched, and no similarity can hide one."""


class GitSources:
    """Reads from our bare repositories in `repos_dir` what ports.forge.Sources promises."""

    def __init__(self, repos_dir: Path, *, patch_bytes: int = PATCH_BYTES) -> None:
        self._store = Store(repos_dir)
        self._patch_bytes = patch_bytes

    async def diff(self, repo: str, base: CommitId, head: CommitId) -> Diff:
        """Return what `head` changes against `base`: at most 1,000 files, the others counted in `omitted`.

        Lines are summed over the listed files. Files above 4 MiB count as binary. Raises: InputError `path.*`,
        `tree.too_many_files` or `diff.too_big`; UnavailableError when git gives no answer.
        """
        git = self._git(repo, base, head)
        sizes = {entry.path: entry.size for entry in await safe_tree(git, head)}
        raw = await git.run(*_DIFF, "--raw", base, head)
        if raw.truncated:
            raise InputError("the difference has too many files", code="diff.too_big", fix="split the change")
        if raw.code:
            raise InputError(f"the commits cannot be compared: {raw.why}", code="ref.missing", fix="fetch them again")
        listed, omitted = raw_entries(raw.out, MOST_LISTED)
        for entry in listed:
            check_path(entry.path)
        counts, patch, cut = await _lines(git, base, head, listed, whole=not omitted, room=self._patch_bytes)
        files = tuple(_file(entry, counts.get(entry.path), sizes.get(entry.path, 0)) for entry in listed)
        secrets = await asyncio.to_thread(_secrets, patch, listed, cut=cut)
        return Diff(files, sum(f.added for f in files), sum(f.deleted for f in files), omitted, secrets)

    async def patch(self, repo: str, base: CommitId, head: CommitId, *, most_bytes: int) -> tuple[str, bool]:
        """Return what `head` changes against `base` as a patch, and whether it goes on beyond `most_bytes`.

        Raises: InputError `ref.missing`, `repo.unknown`; UnavailableError when git gives no answer.
        """
        git = self._git(repo, base, head)
        said = await git.run(*_READ, "-p", "--stat", base, head, limit_bytes=most_bytes)
        if said.code and not said.truncated:
            raise InputError(f"the commits cannot be compared: {said.why}", code="ref.missing", fix="submit it again")
        return said.out.decode("utf-8", "backslashreplace"), said.truncated

    async def file(self, repo: str, commit: CommitId, path: str) -> bytes | None:
        """Return one file's bytes, or None when the commit has no such file.

        Raises: InputError `file.too_big` above 1 MiB, `path.symlink` for a symlink, `path.*` for an unsafe name.
        """
        git = self._git(repo, commit)
        check_path(path)
        entry = await entry_at(git, commit, path)
        if entry is None:
            return None
        if entry.mode == SYMLINK:
            raise InputError(f"{path} is a symlink", code="path.symlink", fix="commit the file itself")
        if entry.size > FILE_BYTES:
            raise InputError(f"{path} is larger than 1 MiB", code="file.too_big", fix="make it smaller")
        return (await asyncio.to_thread(read_blobs, git.git_dir, (entry.oid,)))[entry.oid]

    async def files(self, repo: str, commit: CommitId) -> Mapping[str, Blob]:
        """Return every file of the commit's tree, byte for byte as committed.

        Raises: InputError `tree.too_many_files` beyond 20,000 files, `tree.too_big` beyond 200 MB, `path.*` for names.
        """
        git = self._git(repo, commit)
        entries = await safe_tree(git, commit, most=MOST_FILES)
        if sum(entry.size for entry in entries) > MOST_FILES_BYTES:
            raise InputError("the tree is larger than 200 MB", code="tree.too_big", fix="remove large files")
        blobs = await asyncio.to_thread(read_blobs, git.git_dir, (entry.oid for entry in entries))
        return {entry.path: Blob(entry.mode, blobs[entry.oid]) for entry in entries}

    def _git(self, repo: str, *commits: CommitId) -> Git:
        if not all(is_object_id(commit) for commit in commits):
            raise InputError("a commit is named by its full id", code="ref.invalid")
        return self._store.git(repo)


async def _lines(
    git: Git, base: CommitId, head: CommitId, listed: Sequence[RawEntry], *, whole: bool, room: int
) -> tuple[dict[str, tuple[int, int] | None], bytes, bool]:
    """Return counted lines by path, the start of the patch of the listed files, and whether it was cut off."""
    counts: dict[str, tuple[int, int] | None] = {}
    patch, cut = b"", False
    for paths in [()] if whole else _arguments(listed):
        counts |= counted(await git.ok(*_DIFF, "--numstat", base, head, "--", *paths))
        if cut:
            continue
        part = await git.run(*_DIFF, "-p", "-U0", base, head, "--", *paths, limit_bytes=room - len(patch))
        if part.code and not part.truncated:
            raise UnavailableError("git", f"git diff-tree failed: {part.why}")
        patch, cut = patch + part.out, part.truncated
    return counts, patch, cut


def _arguments(listed: Sequence[RawEntry]) -> list[tuple[str, ...]]:
    """Return the listed paths in groups that fit on a command line."""
    groups: list[list[str]] = [[]]
    size = 0
    for entry in listed:
        size += len(entry.path.encode()) + 1
        if size > _ARGUMENT_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(entry.path)
    return [tuple(group) for group in groups]


def _file(entry: RawEntry, lines: tuple[int, int] | None, size: int) -> FileChange:
    added, deleted = lines or (0, 0)
    return FileChange(entry.path, entry.status, added, deleted, lines is None, entry.mode_old, entry.mode_new, size)


def _secrets(patch: bytes, listed: Sequence[RawEntry], *, cut: bool) -> tuple[tuple[str, str, int], ...]:
    found: list[tuple[str, str, int]] = []
    reached = listed[0].path if listed else ""
    try:
        for entry, lines in groupby(added_lines(patch, listed), key=itemgetter(0)):
            reached = entry.path
            found += find_secrets(entry.path, ((number, text) for _, number, text in lines))
    except ValueError as err:
        if not cut:
            raise UnavailableError("git", "git gave a patch of other files") from err
    if cut:
        found.append((UNSCANNED, reached, 0))
    return tuple(found[:MOST_LISTED])
