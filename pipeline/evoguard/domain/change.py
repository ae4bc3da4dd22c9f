"""A change: one accepted proposal, from intake to known-good or closed, bound to commits and a tree by digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NewType

from evoguard.domain.canonical import Digest, Json, digest_of

ChangeId = NewType("ChangeId", str)
CommitId = NewType("CommitId", str)
"""Full 40-digit object id; names are resolved once and never kept."""
TreeId = NewType("TreeId", str)
ActorKind = Literal["agent", "person"]
FileStatus = Literal["added", "modified", "deleted", "renamed", "typechange"]

_OBJECT_ID = re.compile(r"[0-9a-f]{40}\Z")
_CHANGE_ID = re.compile(r"ch-[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class Author:
    """Who proposed: a registered identity whose key signed the submission, never a name on a command line."""

    id: str
    kind: ActorKind


@dataclass(frozen=True, slots=True)
class FileChange:
    """One touched file, as git's objects say; sizes in bytes, lines in counts."""

    path: str
    status: FileStatus
    added: int
    deleted: int
    binary: bool
    mode_old: str
    mode_new: str
    size: int
    old_path: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the file as plain JSON, the shape that policies read."""
        return {
            "path": self.path,
            "old_path": self.old_path,
            "status": self.status,
            "added": self.added,
            "deleted": self.deleted,
            "binary": self.binary,
            "mode_old": self.mode_old,
            "mode_new": self.mode_new,
            "size": self.size,
        }


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wish for a change with its sender proved: repository, full commit ids, intent."""

    repo: str
    base: CommitId
    head: CommitId
    tree: TreeId
    intent: str
    author: Author

    def as_json(self) -> dict[str, Json]:
        """Return the proposal as plain JSON; what the author signs."""
        return {
            "repo": self.repo,
            "base": self.base,
            "head": self.head,
            "tree": self.tree,
            "intent": self.intent,
            "author": self.author.id,
            "author_kind": self.author.kind,
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """What a candidate changes against its base. `omitted` counts files beyond the bound that were not listed."""

    files: tuple[FileChange, ...]
    added: int
    deleted: int
    omitted: int
    secrets: tuple[tuple[str, str, int], ...] = ()
    """(rule, path, line) of every likely secret on an added line; the secret itself is never kept."""

    def touched(self) -> tuple[str, ...]:
        """Return old and new name of every touched file."""
        return tuple(name for f in self.files for name in (f.path, f.old_path) if name)


def change_id(repo: str, base: str, head: str, author: str) -> ChangeId:
    """Return the id of a change: equal for a repeated submission, different for a new head, base or author."""
    return ChangeId("ch-" + digest_of({"repo": repo, "base": base, "head": head, "author": author})[7:19])


def is_object_id(text: str) -> bool:
    """Tell whether `text` is a full SHA-1 object id."""
    return bool(_OBJECT_ID.match(text))


def is_change_id(text: str) -> bool:
    """Tell whether `text` has the form of a change id."""
    return bool(_CHANGE_ID.match(text))


def approval_digest(
    *, proposal: Proposal, evidence: Digest, bundle: Digest, component: Digest, decision: Digest
) -> Digest:
    """Return what people approve: any change of head, base, evidence, policy bundle or rollout plan gives another."""
    return digest_of(
        {
            "proposal": proposal.as_json(),
            "evidence": evidence,
            "bundle": bundle,
            "component": component,
            "decision": decision,
        }
    )
