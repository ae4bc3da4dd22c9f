"""The kill epoch in every repository of ours: it only goes up, and every release verifies it in its transaction."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evoguard.adapters.git.moves import EPOCH, blob_id, epoch_text
from evoguard.adapters.git.refs import read, transact
from evoguard.adapters.git.runner import Git
from evoguard.errors import IntegrityError, UnavailableError

TRIES = 5


class Epochs:
    """The file `epoch` beside the repositories (for those still to come) and the ref in each of them."""

    def __init__(self, repos_dir: Path) -> None:
        self._file = repos_dir / "epoch"

    def floor(self) -> int:
        """Return the epoch that every repository has at least. Raises: IntegrityError when the file is unreadable."""
        try:
            return int(self._file.read_bytes())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as err:
            raise IntegrityError(
                "the epoch file is unreadable", code="epoch.unreadable", fix="evoguard doctor"
            ) from err

    def raise_floor(self, epoch: int) -> None:
        """Write a higher epoch, durably and whole, before any repository is told; a lower one changes nothing."""
        try:
            if self.floor() >= epoch:
                return
        except IntegrityError:
            pass  # a kill's epoch is above every one ever seen, so it may replace what cannot be read
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="new-epoch-", dir=self._file.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(epoch_text(epoch))
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, self._file)

    async def ensure(self, git: Git) -> None:
        """Make the repository's epoch at least the floor, also when a kill raises the floor at this very moment.

        A kill writes the floor, then looks for the ref; this makes the ref, then reads the floor again. Whichever comes
        first, one of the two sees the other: a kill need not touch a repository that has no epoch yet.
        Raises: UnavailableError when git cannot; IntegrityError for an unreadable floor.
        """
        given = -1
        while given < (floor := self.floor()):
            await self.raise_to(git, floor)
            given = floor

    async def raise_to(self, git: Git, epoch: int) -> None:
        """Make the repository's epoch at least `epoch`. Raises: UnavailableError when git cannot."""
        why = ""
        for _ in range(TRIES):
            now = (await read(git, EPOCH)).get(EPOCH)
            if now is not None and (now.id == blob_id(epoch) or await _number(git, now.id) >= epoch):
                return
            blob = (await git.ok("hash-object", "-w", "-t", "blob", "--stdin", stdin=epoch_text(epoch))).decode()
            old = now.id if now is not None else "0" * 40
            if not (why := await transact(git, (f"update {EPOCH} {blob.strip()} {old}",))):
                return
        raise UnavailableError("git", f"the epoch cannot be raised: {why}")


async def _number(git: Git, blob: str) -> int:
    """Return an epoch blob's number, -1 when it holds none: a kill may always replace it."""
    answer = await git.run("cat-file", "blob", blob, limit_bytes=64)
    text = answer.out.strip()
    return int(text) if answer.code == 0 and text.isdigit() and len(text) < 19 else -1
