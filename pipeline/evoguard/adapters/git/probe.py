"""A ref move as it was decided before a kill, tried on purpose: git must refuse it."""

from __future__ import annotations

from pathlib import Path

from evoguard.adapters.git.moves import EPOCH, blob_id
from evoguard.adapters.git.refs import read, transact
from evoguard.adapters.git.store import Store

REF = "refs/evoguard/probe/"


async def refuses(repos_dir: Path, repo: str, epoch: int) -> bool:
    """Tell whether a move that was decided under `epoch` is refused; one that is made is taken back at once.

    It is the check of every release: the epoch of then, verified in the transaction that moves. Raises:
    UnavailableError, InputError when the repository gives no answer.
    """
    git = Store(repos_dir).git(repo)
    now = (await read(git, EPOCH)).get(EPOCH)
    if now is None:
        return False
    ref = f"{REF}{epoch}"
    if await transact(git, (f"verify {EPOCH} {blob_id(epoch)}", f"create {ref} {now.id}")):
        return True
    await transact(git, (f"delete {ref}",))
    return False
