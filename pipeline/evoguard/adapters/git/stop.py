"""A kill in git: the floor first, then repository by repository the epoch and the way back; what is in scope first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from evoguard.adapters.git.forge import GitForge, Release, each
from evoguard.domain.way_back import WayBack
from evoguard.errors import EvoguardError, IntegrityError


@dataclass(frozen=True, slots=True)
class Order:
    """What a kill asks of git. Epoch 0 voids nothing and only reverts."""

    epoch: int
    covers: Callable[[str], bool]
    """Tells whether a component is in scope."""
    reason: str
    ways: tuple[WayBack, ...] = ()
    """Revert bundles that prove: what was made ahead for releases that are not over."""
    take_back: Callable[[WayBack], Awaitable[str]] | None = None
    shown: Callable[[str], str] = lambda _: ""
    """Returns the commit that a component's flag gave its users when the kill came, or an empty text."""


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
    for way in order.ways:
        if way.repo not in repos and order.covers(way.component) and order.take_back:
            await _noted(way, order.take_back, done)
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
        for way in order.ways:
            if way.repo == repo and order.covers(way.component) and order.take_back:
                await _noted(way, order.take_back, done)
        return
    for release in releases:
        await _revert(forge, release, order, done)


async def _noted(way: WayBack, take_back: Callable[[WayBack], Awaitable[str]], done: Stopped) -> None:
    """Try a repository that gives no answer, which notes what it owes: the worker goes on when it is back."""
    try:
        done.reverted.append(f"{way.repo} {way.branch} {await take_back(way)}")
    except EvoguardError as err:
        done.failed.append(f"{way.component}: {err.message}; git owes the revert, the worker goes on")


async def _revert(forge: GitForge, release: Release, order: Order, done: Stopped) -> None:
    try:
        commit = await _back(forge, release, order)
    except EvoguardError as err:
        done.failed.append(f"{release.component}: {err.message}")
        return
    if commit:
        done.reverted.append(f"{release.repo} {release.branch} {commit}")


async def _back(forge: GitForge, release: Release, order: Order) -> str | None:
    """Return the revert's commit: the one made ahead for the release that is rolled out, else one made now."""
    where = (release.repo, release.component, release.branch)
    refs = await forge.refs(*where)
    for way in order.ways:
        if order.take_back and refs.rollout == way.commit and (way.repo, way.component, way.branch) == where:
            try:
                return await order.take_back(way)
            except IntegrityError:
                break  # going back is never stopped by a bundle that proves nothing
    # What was shown and is known-good by now was finished: git follows the flag, to the release before it.
    if commit := await forge.retreat(*where, killed=order.shown(release.component), reason=order.reason):
        return commit
    return await forge.revert(*where, reason=order.reason)
