"""Refs of our own repositories: read together, moved in one transaction, and never blocked by a lock left behind."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters.git.runner import Git, Result
from evoguard.errors import UnavailableError

STALE_LOCK_S = 5.0
"""Git holds a ref lock for milliseconds; one this old belongs to a process that is dead."""
LOCK_TRIES = 14
"""With core.filesRefLockTimeout of half a second: a little longer than a lock takes to be stale."""


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
    result = await _unlocked(git, "update-ref", "--no-deref", "--stdin", stdin=commands)
    return result.why if result.code else ""


async def link(git: Git, name: str, target: str) -> None:
    """Make `name` a symbolic ref to `target`. Raises: UnavailableError when git cannot."""
    result = await _unlocked(git, "symbolic-ref", name, target)
    if result.code:
        raise UnavailableError("git", f"{name} cannot be set: {result.why}")


async def _unlocked(git: Git, *args: str, stdin: bytes = b"") -> Result:
    """Run git, again and again while a lock is in its way; each try waits core.filesRefLockTimeout for it."""
    for _ in range(LOCK_TRIES - 1):
        result = await git.run(*args, stdin=stdin)
        if result.code == 0 or b".lock'" not in result.err:
            return result
        remove_stale_locks(git.git_dir)
    return await git.run(*args, stdin=stdin)


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
