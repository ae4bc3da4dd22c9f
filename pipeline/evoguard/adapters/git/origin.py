"""A submitter's repository, looked at as plain files: no git runs in it, so nothing it configures can run.

Its config, hooks, filters, `upload-pack` and `fsmonitor` are never loaded, and `safe.directory` does not matter: read
access to the files is all that is needed. Objects are read by *our* git through GIT_ALTERNATE_OBJECT_DIRECTORIES.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters.git.runner import shown
from evoguard.domain.change import is_object_id
from evoguard.errors import InputError

_PACKED_REFS_BYTES = 64 * 1024 * 1024
_MOST_OBJECT_FILES = 500_000
_FORBIDDEN_IN_NAME = frozenset(" ~^:?*[\\")
_MOST_NAME = 200
_SYMREF_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """A submitter's repository: its own folder and, for a linked worktree, the common one."""

    git_dir: Path
    common: Path

    @property
    def objects(self) -> Path:
        """Return the folder of its objects."""
        return self.common / "objects"

    @property
    def id(self) -> str:
        """Return the name of our mirror of it: readable, and one for each absolute path."""
        folder = self.common.parent if self.common.name == ".git" else self.common
        slug = re.sub(r"[^a-z0-9]+", "-", folder.name.removesuffix(".git").lower()).strip("-")[:40].strip("-") or "repo"
        return f"{slug}-{hashlib.sha256(os.fsencode(self.common)).hexdigest()[:8]}"

    def resolve(self, name: str) -> str | None:
        """Return the object id that a branch, tag, remote branch or HEAD names, or None; read once, never again."""
        if name == "HEAD":
            return self._ref("HEAD", self.git_dir, _SYMREF_DEPTH)
        full = name.startswith(("refs/heads/", "refs/tags/", "refs/remotes/"))
        for ref in (name,) if full else (f"refs/{kind}/{name}" for kind in ("heads", "tags", "remotes")):
            if found := self._ref(ref, self.common, _SYMREF_DEPTH):
                return found
        return None

    def _ref(self, ref: str, folder: Path, depth: int) -> str | None:
        text = _loose(folder, ref)
        if text.startswith("ref: refs/") and depth:
            return self._ref(checked_name(text[5:], "ref"), self.common, depth - 1)
        if text:
            return text if is_object_id(text) else None
        return self._packed(ref)

    def _packed(self, ref: str) -> str | None:
        raw = read_plain(self.common / "packed-refs", _PACKED_REFS_BYTES)
        found = re.search(rb"^([0-9a-f]{40}) " + re.escape(ref.encode()) + rb"$", raw or b"", re.MULTILINE)
        return found.group(1).decode() if found else None


def open_origin(source: str | Path) -> Origin:
    """Return the repository at a local path, found fit to be read.

    Raises: InputError `repo.missing`, `repo.not_git`, `repo.shallow`, `repo.partial`,
    `repo.alternates`, `repo.sha256`, `repo.reftable` or `repo.too_big`.
    """
    origin = _located(_local(source))
    if (origin.common / "shallow").exists():
        raise InputError("the repository is a shallow clone", code="repo.shallow", fix="git fetch --unshallow")
    info = origin.objects / "info"
    if any((info / name).exists() for name in ("alternates", "http-alternates")) or origin.objects.is_symlink():
        raise InputError(
            "the repository borrows objects from another one",
            code="repo.alternates",
            fix="git repack -a -d, then remove it",
        )
    _refuse_formats(read_plain(origin.common / "config", 1 << 20) or b"")
    _scan(origin)
    return origin


def checked_name(name: str, what: str) -> str:
    """Return a ref name or id that git can only read as one. Raises: InputError `ref.invalid`."""
    parts = name.split("/")
    bad = (
        not 0 < len(name) <= _MOST_NAME
        or not name.isprintable()
        or bool(set(name) & _FORBIDDEN_IN_NAME)
        or ".." in name
        or "@{" in name
        or name == "@"
        or any(not p or p.startswith((".", "-")) or p.endswith((".lock", ".")) for p in parts)
    )
    if bad:
        raise InputError(
            f"{what} {shown(name, 60)!r} is not a branch, tag or id",
            code="ref.invalid",
            fix=f"give {what} as a plain branch name or a commit id",
        )
    return name


def read_plain(path: Path, limit: int) -> bytes | None:
    """Return a regular file's bytes, None when there is none; a link, pipe or longer file counts as none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        raw = file.read(limit + 1)
    return raw if len(raw) <= limit else None


def _refuse_formats(config: bytes) -> None:
    """Refuse formats that git 2.39 cannot read as SHA-1 objects and ref files; config is looked at, never obeyed."""
    if re.search(rb"objectformat\s*=\s*\"?sha256", config, re.IGNORECASE):
        raise InputError("the repository uses SHA-256 object ids", code="repo.sha256", fix="use a SHA-1 repository")
    if re.search(rb"refstorage\s*=\s*\"?reftable", config, re.IGNORECASE):
        raise InputError(
            "the repository stores refs as reftable", code="repo.reftable", fix="git refs migrate --ref-format=files"
        )


def _local(source: str | Path) -> Path:
    text = str(source).removeprefix("file://")
    if "://" in text or text.startswith("-") or "\0" in text or "\n" in text or "::" in text:
        raise InputError("only a local path is read", code="repo.missing", fix="clone it here and give the path")
    path = Path(os.path.realpath(text))
    if not path.is_dir():
        raise InputError(f"there is no folder {shown(text)!r}", code="repo.missing", fix="give the repository's folder")
    return path


def _located(path: Path) -> Origin:
    git_dir = path / ".git" if (path / ".git").exists() else path
    if git_dir.is_file():  # a linked worktree
        line = (read_plain(git_dir, 4096) or b"").decode("utf-8", "replace").strip()
        git_dir = (
            Path(os.path.realpath(path / line.removeprefix("gitdir: "))) if line.startswith("gitdir: ") else git_dir
        )
    common = (read_plain(git_dir / "commondir", 4096) or b"").decode("utf-8", "replace").strip()
    folder = Path(os.path.realpath(git_dir / common))
    head = read_plain(git_dir / "HEAD", 4096)
    if head is None or not (folder / "objects").is_dir() or not (folder / "refs").is_dir():
        raise InputError(
            f"{shown(str(path))!r} is not a git repository", code="repo.not_git", fix="give the folder that holds .git"
        )
    return Origin(git_dir, folder)


def _loose(folder: Path, ref: str) -> str:
    path = folder / ref
    if not Path(os.path.realpath(path.parent)).is_relative_to(folder.resolve()):
        return ""
    return (read_plain(path, 1024) or b"").decode("utf-8", "replace").strip()


def _scan(origin: Origin) -> None:
    """Refuse what would make our git wait, read elsewhere or miss objects: pipes, links and promised packs."""
    for number, (entry, folder) in enumerate(_object_files(origin.objects)):
        if number > _MOST_OBJECT_FILES:
            raise InputError("too many loose objects", code="repo.too_big", fix="git gc")
        if entry.name.endswith(".promisor"):
            raise InputError("the repository is a partial clone", code="repo.partial", fix="clone without --filter")
        if entry.is_symlink() or not (entry.is_file(follow_symlinks=False) or folder):
            raise InputError(
                "the repository's objects are links or not files", code="repo.alternates", fix="git repack -a -d"
            )


def _object_files(objects: Path) -> Iterator[tuple[os.DirEntry[str], bool]]:
    with os.scandir(objects) as top:
        for entry in top:
            folder = entry.is_dir(follow_symlinks=False)
            yield entry, folder
            if folder:
                with os.scandir(entry.path) as inner:
                    yield from ((e, e.is_dir(follow_symlinks=False)) for e in inner)
