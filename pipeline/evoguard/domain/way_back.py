"""The way back of one release: what is needed to take it back, made and signed before anybody meets it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from evoguard.domain.canonical import Digest, Json, digest_of
from evoguard.domain.flag import FlagState
from evoguard.errors import IntegrityError

CONFLICT = "revert.conflict"
"""The code of a branch that moved by another hand: nothing of ours may be put on it without people."""
_TEXTS = ("change", "repo", "component", "branch", "commit", "known_good", "tree", "revert", "revert_object")
_FLAG = ("flag", "component", "change", "enabled", "percent", "known_good", "candidate", "lease_until", "epoch")
_FIELDS = frozenset({"v", *_TEXTS, "off", "digests"})


@dataclass(frozen=True, slots=True)
class WayBack:
    """What takes one release back. Ids are git's; `revert` is the commit of `tree` on top of `commit`, made ahead."""

    change: str
    repo: str
    component: str
    branch: str
    commit: str
    """The release."""
    known_good: str
    tree: str
    """The tree of `known_good`."""
    revert: str
    revert_object: str
    """The revert commit's own text: it can be written again when the repository lost it."""
    off: FlagState
    """What the flag shows when the release is taken back."""
    digests: Mapping[str, str]
    """What the release was decided on: tree, evidence, decision, attestation."""

    @property
    def digest(self) -> Digest:
        """Return the name of the bundle: the digest of what it says."""
        return digest_of(self.as_json())

    def as_json(self) -> dict[str, Json]:
        """Return the bundle as plain JSON, as it is signed."""
        texts: dict[str, Json] = {name: str(getattr(self, name)) for name in _TEXTS}
        return {"v": 1, **texts, "off": self.off.as_json(), "digests": dict(self.digests)}

    def is_of(self, *, change: str, commit: str) -> bool:
        """Tell whether it takes back exactly this release of this change."""
        return bool(change and commit) and (self.change, self.commit) == (change, commit)


def way_back_from(doc: object) -> WayBack:
    """Return a bundle that is whole in itself. Raises: IntegrityError `way_back.shape` or `way_back.revert`."""
    if not isinstance(doc, Mapping) or set(doc) != _FIELDS or type(doc["v"]) is not int or doc["v"] != 1:
        raise _shape("other fields")
    off, digests = doc["off"], doc["digests"]
    if not isinstance(off, Mapping) or set(off) != set(_FLAG) or not isinstance(digests, Mapping):
        raise _shape("a flag or digests of another shape")
    if not all(isinstance(x, str) for x in (*(doc[name] for name in _TEXTS), *digests, *digests.values())):
        raise _shape("a text that is none")
    found = WayBack(off=_flag(off), digests=dict(digests), **{name: doc[name] for name in _TEXTS})
    _check_revert(found)
    return found


def _flag(off: Mapping[str, object]) -> FlagState:
    def text(name: str) -> str:
        value = off[name]
        if not isinstance(value, str):
            raise _shape("a flag's text that is none")
        return value

    def number(name: str) -> int:
        value = off[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise _shape("a flag's number that is none")
        return value

    if off["enabled"] is not False:
        raise _shape("a flag that is not off")
    return FlagState(
        flag=text("flag"), component=text("component"), change=text("change"), enabled=False,
        percent=number("percent"), known_good=text("known_good"), candidate=text("candidate"),
        lease_until=number("lease_until"), epoch=number("epoch"),
    )  # fmt: skip


def _check_revert(found: WayBack) -> None:
    """Refuse a revert commit that is not of the known-good tree, right on top of the release."""
    raw = found.revert_object.encode("utf-8", "replace")
    named = hashlib.sha1(b"commit %d\0%s" % (len(raw), raw), usedforsecurity=False).hexdigest()
    head = f"tree {found.tree}\nparent {found.commit}\nauthor "
    if named != found.revert or not found.revert_object.startswith(head):
        raise IntegrityError("the revert made ahead is not the known-good tree on the release", code="way_back.revert")
    if (found.off.change, found.off.component) != (found.change, found.component):
        raise _shape("a flag of another change")


def _shape(why: str) -> IntegrityError:
    return IntegrityError(f"not a revert bundle: {why}", code="way_back.shape")
