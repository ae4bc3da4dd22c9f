"""Refs of our own repositories: read together, moved in one transaction, and never blocked by a lock left behind."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters.git.runner import Git

STALE_LOCK_S = 5.0
"""Git holds a ref lock for milliseconds; one this old belongs to a process that is dead."""
LOCK_TRIES = 5


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref as it stands: object id, its tree when it is a commit, and the ref it points to when it is symbolic."""

    id: str = ""
    tree: str = ""
    points_to: str = ""


async def read(git: Git, *patterns: str) -> dict[str, Ref]:
    """Return the refs that match. Raises: UnavailableError when git gives no answer."""
    raw = await git.ok("for-each-ref", "--format=%(refname) %(objectname) %(tree) %(symref)", *patterns)
    rows = (line.split(" ") for line in raw.decode().splitlines())
    return {name: Ref(oid, tree, points_to) for name, oid, tree, points_to in rows}


async def transact(git: Git, moves: Iterable[str]) -> str:
    """Make every move or none, in the order given; return an empty text, or why git refused.

    A git that was killed may leave locks behind, and, between two renames, a transaction half done: callers order their
    moves so that asking again completes them. Raises: UnavailableError when git gives no answer.
    """
    commands = "\n".join(["start", *moves, "prepare", "commit", ""]).encode()
    why = ""
    for _ in range(LOCK_TRIES):
        result = await git.run("update-ref", "--no-deref", "--stdin", stdin=commands)
        if result.code == 0:
            return ""
        why = result.why
        if b".lock'" not in result.err:
            break
        remove_stale_locks(git.git_dir)  # the next try waits core.filesRefLockTimeout before it fails
    return why


def remove_stale_locks(repository: Path) -> int:
    """Remove ref locks that no living git can hold; return how many."""
    removed = 0
    for path in (*(repository / "refs").rglob("*.lock"), *repository.glob("*.lock")):
        try:
            age_s = time.time() - path.stat().st_mtime
            if abs(age_s) > STALE_LOCK_S:  # from the future: the clock went back, and no git waits that long
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed
