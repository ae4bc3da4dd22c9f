"""Which refs a release, a promotion or a revert moves, given where they stand: decisions without any git.

Every list of moves is ordered so that a transaction which a crash left half done is completed by asking again: what
announces a move comes first, what closes it (a deletion) last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from evoguard.adapters.git.refs import Ref
from evoguard.adapters.git.runner import shown
from evoguard.errors import FencedError
from evoguard.ports.forge import Publication

EPOCH = "refs/evoguard/epoch"
LINKS = "refs/evoguard/branch/"
_ZERO = "0" * 40
_MOST_MESSAGE = 4_000


@dataclass(frozen=True, slots=True)
class Names:
    """The refs of one component that is released on one branch."""

    component: str
    branch: str

    @property
    def tip(self) -> str:
        """Return the release branch."""
        return f"refs/heads/{self.branch}"

    @property
    def known_good(self) -> str:
        """Return the ref of the last promoted commit."""
        return f"refs/evoguard/known-good/{self.component}"

    @property
    def previous(self) -> str:
        """Return the ref of the known-good commit before it."""
        return f"refs/evoguard/previous/{self.component}"

    @property
    def rollout(self) -> str:
        """Return the ref that exists while a rollout is open."""
        return f"refs/evoguard/rollout/{self.component}"

    @property
    def link(self) -> str:
        """Return the symbolic ref that tells a kill, which has no database, the component's branch."""
        return f"{LINKS}{self.component}"

    def all(self) -> tuple[str, ...]:
        """Return every ref that a decision looks at."""
        return (EPOCH, self.tip, self.known_good, self.previous, self.rollout, self.link)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a component's refs stand; one that does not exist has an empty id."""

    names: Names
    refs: Mapping[str, Ref]

    def __getitem__(self, name: str) -> Ref:
        return self.refs.get(name, Ref())


def opening(now: Standing, what: Publication, commit: str) -> tuple[str, ...]:
    """Return what must exist before the first release: known-good and branch, both at the approved base."""
    names = now.names
    fence(now, what, commit)
    missing = [name for name in (names.known_good, names.tip) if not now[name].id]
    return (_verify_epoch(what), *(f"create {name} {what.base}" for name in missing)) if missing else ()


def publishing(now: Standing, what: Publication, commit: str) -> tuple[str, ...]:
    """Return the moves that publish `commit`, none when it already is the tip. Raises: FencedError `fenced.*`."""
    names = now.names
    fence(now, what, commit)
    if now[names.tip].id == commit:
        return ()
    rollout = () if now[names.rollout].id else (f"create {names.rollout} {commit}",)
    return (_verify_epoch(what), *rollout, f"update {names.tip} {commit} {what.base}")


def promoting(now: Standing, what: Publication, commit: str) -> tuple[str, ...]:
    """Return the moves that make `commit` known-good, none when that is done. Raises: FencedError `fenced.*`."""
    names = now.names
    _fence_epoch(now, what)
    known_good, rollout = now[names.known_good].id, now[names.rollout].id
    if known_good == commit:
        return (_verify_epoch(what), f"delete {names.rollout} {commit}") if rollout == commit else ()
    if now[names.tip].id != commit or not known_good:
        raise FencedError(f"{names.branch} is not at {commit[:12]} any more", code="fenced.base_moved")
    if rollout != commit:
        raise FencedError("the rollout was closed or replaced", code="fenced.rollout_closed")
    return (
        _verify_epoch(what),
        f"verify {names.tip} {commit}",
        f"update {names.previous} {known_good} {now[names.previous].id or _ZERO}",
        f"update {names.known_good} {commit} {known_good}",
        f"delete {names.rollout} {commit}",
    )


def reverting(now: Standing, commit: str) -> tuple[str, ...]:
    """Return the moves that put the revert `commit` (or nothing, when it is empty) on the tip and close the rollout."""
    names = now.names
    tip, rollout = now[names.tip].id, now[names.rollout].id
    move = f"update {names.tip} {commit} {tip}" if commit else f"verify {names.tip} {tip}"
    close = (f"delete {names.rollout} {rollout}",) if rollout else ()
    return (f"verify {names.known_good} {now[names.known_good].id}", move, *close) if commit or close else ()


def retreating(now: Standing, commit: str) -> tuple[str, ...]:
    """Return the moves that make the release before known-good known-good again, with the revert `commit` on the tip.

    The tip is moved first, unless it has that tree already, and known-good next: asked again after a crash in between,
    the same moves are still wanted.
    """
    names = now.names
    tip, previous, rollout = now[names.tip].id, now[names.previous].id, now[names.rollout].id
    close = (f"delete {names.rollout} {rollout}",) if rollout else ()
    return (
        f"update {names.tip} {commit} {tip}" if commit else f"verify {names.tip} {tip}",
        f"update {names.known_good} {previous} {now[names.known_good].id}",
        *close,
        f"delete {names.previous} {previous}",
    )


def fence(now: Standing, what: Publication, commit: str) -> None:
    """Raise FencedError when a kill, another rollout or another release came before this publication."""
    names = now.names
    _fence_epoch(now, what)
    tip, known_good, rollout = now[names.tip].id, now[names.known_good].id, now[names.rollout].id
    if tip == commit:
        return
    if rollout not in ("", commit):
        raise FencedError(f"another rollout of {names.component} is open", code="fenced.rollout_open")
    if tip not in ("", what.base) or (not tip and known_good not in ("", what.base)):
        raise FencedError(
            f"{names.branch} is not at {what.base[:12]} any more",
            code="fenced.base_moved",
            fix="rebase onto it and submit again",
        )


def blob_id(number: int) -> str:
    """Return the id of the blob that holds an epoch."""
    data = epoch_text(number)
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()


def epoch_text(number: int) -> bytes:
    """Return an epoch as its blob holds it."""
    return b"%d\n" % number


def message(title: str, body: str, trailers: Mapping[str, str]) -> str:
    """Return a commit message whose trailers are ours alone: outside text is bounded, escaped, never one."""
    lines = [shown(line, 500) for line in body[:_MOST_MESSAGE].splitlines()]
    text = "\n".join(f"| {line}" if line.lower().lstrip().startswith("evoguard-") else line for line in lines).strip()
    ends = "\n".join(f"{key}: {shown(value, 200)}" for key, value in trailers.items())
    return "\n\n".join(part for part in (shown(title, 120), text, ends) if part) + "\n"


def _fence_epoch(now: Standing, what: Publication) -> None:
    if now[EPOCH].id != blob_id(what.epoch):
        raise FencedError(f"decided under epoch {what.epoch}, which a kill ended", code="fenced.epoch")


def _verify_epoch(what: Publication) -> str:
    return f"verify {EPOCH} {blob_id(what.epoch)}"
