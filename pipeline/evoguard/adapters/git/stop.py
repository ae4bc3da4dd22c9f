"""A kill in git: the floor first, then repository by repository the epoch and the way back; what is in scope first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from evoguard.adapters.git.forge import GitForge, Release, each
from evoguard.errors import EvoguardError


@dataclass(frozen=True, slots=True)
class Order:
    """What a kill asks of git. Epoch 0 voids nothing and only reverts."""

    epoch: int
    covers: Callable[[str], bool]
    """Tells whether a component is in scope."""
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was taken back, and what could not be, in words for people."""

    reverted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def stop(forge: GitForge, order: Order) -> Stopped:
    """Void what was decided under an older epoch and revert every covered component's branch.

    A part that fails never keeps another from going back. Only repositories that ever had a publication cost time: one
    that gets its first now reads the floor, which is written before anything is looked at.
    """
    done = Stopped()
    if order.epoch:
        try:
            forge.raise_floor(order.epoch)
        except EvoguardError as err:
            done.failed.append(err.message)
    repos = sorted(forge.released(), key=lambda repo: not any(map(order.covers, forge.hinted(repo))))
    await each(repos, lambda repo: _stop_in(forge, repo, order, done))
    return done


async def _stop_in(forge: GitForge, repo: str, order: Order, done: Stopped) -> None:
    """Raise the epoch, then look: what was published before is seen and goes back, what comes after is void."""
    if order.epoch:
        try:
            await forge.raise_epoch(repo, order.epoch)
        except EvoguardError as err:  # its branches can go back all the same
            done.failed.append(f"the epoch was not raised in {repo}: {err.message}")
    try:
        releases = [release for release in await forge.releases_in(repo) if order.covers(release.component)]
    except EvoguardError:
        done.failed.append(f"{repo} gives no answer")
        return
    for release in releases:
        await _revert(forge, release, order.reason, done)


async def _revert(forge: GitForge, release: Release, reason: str, done: Stopped) -> None:
    try:
        commit = await forge.revert(release.repo, release.component, release.branch, reason=reason)
    except EvoguardError as err:
        done.failed.append(f"{release.component}: {err.message}")
        return
    if commit:
        done.reverted.append(f"{release.repo} {release.branch} {commit}")
