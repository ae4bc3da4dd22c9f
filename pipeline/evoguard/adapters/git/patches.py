"""A patch becomes a commit: applied to an index of its own, no work tree, so it can touch nothing but objects."""

from __future__ import annotations

import re
from pathlib import Path

from evoguard.adapters.git.runner import Git, Result
from evoguard.domain.change import CommitId, TreeId
from evoguard.errors import InputError

PATCH_BYTES = 2 * 1024 * 1024
BINARY_BYTES = 1024 * 1024
_BINARY = re.compile(rb"^(literal|delta) (\d{1,18})\r?$", re.MULTILINE)
WHO = (("GIT_AUTHOR_NAME", "evoguard"), ("GIT_AUTHOR_EMAIL", "evoguard@localhost"),
       ("GIT_COMMITTER_NAME", "evoguard"), ("GIT_COMMITTER_EMAIL", "evoguard@localhost"))  # fmt: skip


def check(patch: bytes) -> None:
    """Refuse a patch that is empty, too big, or would unfold to much more than it is. Raises: InputError `patch.*`."""
    if not patch.strip():
        raise InputError("the patch is empty", code="patch.empty", fix="git diff base > FILE")
    if len(patch) > PATCH_BYTES:
        raise InputError("the patch is larger than 2 MiB", code="patch.too_big", fix="submit a branch instead")
    if b"\0" in patch:
        raise InputError("the patch holds NUL bytes", code="patch.binary", fix="submit a branch instead")
    sections = _BINARY.findall(patch)
    if any(kind == b"delta" for kind, _ in sections) or sum(int(n) for _, n in sections) > BINARY_BYTES:
        raise InputError(
            "the patch's binary parts are deltas or too big", code="patch.binary", fix="submit a branch instead"
        )


async def commit(git: Git, base: CommitId, patch: bytes) -> tuple[CommitId, TreeId]:
    """Return the commit of `patch` on `base`, dated like base, and its tree. Raises: InputError `patch.*`."""
    folder = Path(dict(git.extra)["GIT_OBJECT_DIRECTORY"])
    own = git.using(GIT_INDEX_FILE=folder / "info" / "index")
    try:
        await own.ok("read-tree", f"{base}^{{tree}}")
        result = await own.run("apply", "--cached", "--whitespace=nowarn", "-p1", "-", stdin=patch)
        if result.code or result.truncated:
            raise _refused(result)
        tree = TreeId((await own.ok("write-tree")).decode().strip())
    finally:
        (folder / "info" / "index").unlink(missing_ok=True)
    facts = (await git.ok("show", "--no-patch", "--format=%T %ct", base)).decode().split()
    if facts[0] == tree:
        raise InputError("the patch changes nothing", code="patch.empty", fix="git diff base > FILE")
    return await commit_tree(git, tree, parent=base, at=int(facts[1]), message="Patch submitted to evoguard\n"), tree


async def commit_tree(git: Git, tree: str, *, parent: str, at: int, message: str) -> CommitId:
    """Write the commit that these four fix to the byte, by evoguard, and return its id; nothing points to it yet.

    Raises: UnavailableError when git cannot.
    """
    when = f"@{at} +0000"  # without the @ git takes a small number for a calendar date
    named = git.using(**dict(WHO), GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)
    out = await named.ok("commit-tree", tree, "-p", parent, stdin=message.encode())
    return CommitId(out.decode().strip())


def _refused(result: Result) -> InputError:
    if b"invalid path" in result.err or b"beyond a symbolic link" in result.err:
        return InputError(f"the patch leaves the tree: {result.why}", code="patch.path", fix="name files below the top")
    return InputError(
        f"the patch does not apply: {result.why}", code="patch.does_not_apply", fix="git diff base > FILE"
    )
