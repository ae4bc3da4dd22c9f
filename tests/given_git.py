"""Builders for temporary git repositories: ordinary ones by commits, hostile ones by plumbing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from evoguard.adapters.git.mirror import Fetched, Mirror
from evoguard.domain.change import TreeId
from evoguard.ports.forge import Publication

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"), ("DATE", "1700000000 +0000"))},
}  # fmt: skip


def git(repo: Path, *args: str, stdin: bytes = b"") -> str:
    """Run git in a repository of the test's own and return its output."""
    done = subprocess.run(["git", "-C", str(repo), *args], input=stdin, env=_ENV, check=True, capture_output=True)
    return done.stdout.decode().strip()


def patch_between(repo: Path, old: str, new: str) -> bytes:
    """Return the patch between two commits, byte for byte."""
    command = ["git", "-C", str(repo), "diff", "--binary", "-M", old, new]
    return subprocess.run(command, env=_ENV, check=True, capture_output=True).stdout


class Source:
    """A submitter's repository with a work tree: `main` with one commit, and whatever the test adds."""

    def __init__(self, path: Path, files: Mapping[str, str] | None = None, *, object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "-q", "-b", "main", f"--object-format={object_format}")
        self.base = self.commit(files or {"app.py": "x = 1\n", "lib/tool.py": "y = 1\n"})

    def commit(self, files: Mapping[str, str | None], *, branch: str = "", message: str = "work") -> str:
        """Commit these files (None removes one), on a new branch when one is named; return the id."""
        if branch:
            git(self.path, "checkout", "-q", "-b", branch)
        for name, text in files.items():
            file = self.path / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode("utf-8", "surrogateescape"))
        git(self.path, "add", "-A", "--force")
        git(self.path, "commit", "-q", "--no-verify", "--allow-empty", "-m", message)
        return git(self.path, "rev-parse", "HEAD")

    def tree(self, rows: Iterable[tuple[str, bytes, str]]) -> str:
        """Write a tree object of exactly these (mode, name, object id) rows, however unlawful; return its id."""
        raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in rows)
        return git(self.path, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)

    def blob(self, data: bytes) -> str:
        """Write a blob; return its id."""
        return git(self.path, "hash-object", "-w", "--stdin", stdin=data)

    def commit_of(self, tree: str, *, branch: str = "topic", parent: str = "") -> str:
        """Commit a tree on `parent` (base when none is given) and point a branch to it; return the id."""
        commit = git(self.path, "commit-tree", tree, "-p", parent or self.base, "-m", "made by plumbing")
        git(self.path, "update-ref", f"refs/heads/{branch}", commit)
        return commit

    def odd(self, *names: bytes, mode: str = "100644", data: bytes = b"x\n", branch: str = "topic") -> str:
        """Commit a tree whose only entries have these names; return the id."""
        oid = self.blob(data)
        return self.commit_of(self.tree((mode, name, oid) for name in sorted(names)), branch=branch)

    def many(self, count: int, *, branch: str = "topic") -> None:
        """Commit `count` small files on a branch, quickly."""
        head = f"commit refs/heads/{branch}\ncommitter a <a@b.c> 1700000001 +0000\ndata 4\nmany\nfrom {self.base}\n"
        body = "".join(f"M 100644 inline d{i % 100}/f{i}.txt\ndata 6\n{i % 100000:05d}\n\n" for i in range(count))
        git(self.path, "fast-import", "--quiet", stdin=(head + body).encode())


async def a_fetched_change(tmp: Path, files: Mapping[str, str | None] | None = None) -> tuple[Source, Fetched]:
    """Return a source with a branch `topic`, fetched and pinned into `tmp/repos`."""
    source = Source(tmp / "source")
    source.commit(files or {"app.py": "x = 2\n"}, branch="topic")
    fetched = await Mirror(tmp / "repos").fetch(source.path, head="topic", base="main")
    return source, fetched


def a_publication(fetched: Fetched, **changed: object) -> Publication:
    """Return the publication of a fetched change, under epoch 0."""
    facts: dict[str, object] = {
        "repo": fetched.repo, "component": "scoring", "branch": "release/scoring", "change": "ch-0123456789ab",
        "base": fetched.base, "head": fetched.head, "tree": fetched.tree, "message": "better",
        "at": 1_700_000_100, "epoch": 0,
    }  # fmt: skip
    return Publication(**{**facts, **changed})  # type: ignore[arg-type]  # the test names real fields


def tree_of(repos: Path, repo: str, ref: str) -> TreeId:
    """Return the tree of a ref in one of our repositories."""
    return TreeId(git(repos / f"{repo}.git", "rev-parse", f"{ref}^{{tree}}"))


def objects_in(repos: Path) -> list[str]:
    """Return the object files of all our repositories."""
    return sorted(str(p) for p in repos.rglob("objects/**/*") if p.is_file())


def shallow_copy(source: Path, to: Path) -> Path:
    """Return a shallow clone."""
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", f"file://{source}", str(to)], env=_ENV, check=True, capture_output=True
    )
    return to


def copy_of(path: Path, to: Path) -> Path:
    """Return a copy of a folder."""
    shutil.copytree(path, to, symlinks=True)
    return to
