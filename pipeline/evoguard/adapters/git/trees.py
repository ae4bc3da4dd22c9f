"""A commit's whole tree, listed within bounds and found fit to be shown and written out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from evoguard.adapters.git.objects import read_blobs
from evoguard.adapters.git.runner import Git, Result
from evoguard.domain.change import CommitId
from evoguard.domain.diff import MODES, MOST_PATH_BYTES, SYMLINK, TreeEntry, check_tree, decode_path
from evoguard.errors import InputError

MOST_ENTRIES = 200_000
_MOST_LINKS = 2_000
_ENTRY_BYTES = 320


async def safe_tree(git: Git, commit: CommitId, *, most: int = MOST_ENTRIES) -> tuple[TreeEntry, ...]:
    """Return every entry of the tree, in git's order; all names, modes and symlinks were checked.

    Raises: InputError `tree.too_many_files` or `path.*`; UnavailableError when git gives no answer.
    """
    raw = await git.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit, limit_bytes=most * _ENTRY_BYTES)
    rows = raw.out.split(b"\0")[:-1]
    if raw.truncated or len(rows) > most:
        raise InputError(
            f"the tree holds more than {most:,} files", code="tree.too_many_files", fix="split the repository"
        )
    if raw.code:
        raise _unlisted(commit, raw)
    entries = tuple(_entry(row) for row in rows)
    await asyncio.to_thread(check_tree, entries, await _targets(git, entries))
    return entries


async def entry_at(git: Git, commit: CommitId, path: str) -> TreeEntry | None:
    """Return the entry at a path, None when there is none or a folder.

    Raises: InputError `ref.missing` for a commit that is not here; UnavailableError when git gives no answer.
    """
    raw = await git.run("ls-tree", "-z", "-l", "--full-tree", commit, "--", path)
    if raw.code:
        raise _unlisted(commit, raw)
    rows = raw.out.split(b"\0")[:-1]
    entry = _entry(rows[0]) if rows else None
    return entry if entry is not None and entry.mode in MODES and entry.path == path else None


async def _targets(git: Git, entries: Sequence[TreeEntry]) -> dict[str, bytes]:
    links = [e for e in entries if e.mode == SYMLINK]
    if len(links) > _MOST_LINKS:
        raise InputError(f"the tree holds more than {_MOST_LINKS:,} symlinks", code="tree.too_many_files")
    if not links:
        return {}
    small = [e.oid for e in links if e.size <= MOST_PATH_BYTES]  # a longer one is refused for having no target
    blobs = await asyncio.to_thread(read_blobs, git.git_dir, small)
    return {e.path: blobs.get(e.oid, b"") for e in links}


def _unlisted(commit: CommitId, raw: Result) -> InputError:
    return InputError(f"commit {commit[:12]} cannot be listed: {raw.why}", code="ref.missing", fix="fetch it again")


def _entry(row: bytes) -> TreeEntry:
    facts, _, path = row.partition(b"\t")
    mode, _, oid, size = facts.decode("ascii").split()
    return TreeEntry(decode_path(path), mode, oid, int(size) if size.isdigit() else 0)
