"""The scripted coder: writes down what it was given, as a commit on a branch of its own clone. No model, no rights."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evoguard.domain.change import is_object_id
from evoguard.errors import InputError, UnavailableError

Edit = str | Callable[[str], str]
"""New content of a file, or a function from its content at the base ("" when it is new) to the new one."""
GIT_S = 30
SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "core.autocrlf=false")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose name git writes down; it proves nothing, a signature on the submission does."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Script:
    """What to write: a commit message and an edit for each path."""

    message: str
    edits: Mapping[str, Edit]


@dataclass(frozen=True, slots=True)
class Written:
    """A branch that now exists in the origin; `base` and `head` are full commit ids."""

    branch: str
    base: str
    head: str


class ScriptedCoder:
    """Commits scripts under one git identity; `at` (unix seconds) makes the commit the same every time."""

    def __init__(self, author: Identity, *, at: int) -> None:
        self._author = author
        self._at = at

    async def write(
        self, script: Script, *, origin: Path, branch: str, base: str, source: Path | None = None
    ) -> Written:
        """Commit `script` on top of `base`, a branch of the origin or a full commit id, and push it there as `branch`.

        `source` is a second repository to fetch `base` from, when the origin does not have it.
        Raises: InputError for a path outside the tree, UnavailableError("coder") when git refuses.
        """
        for path in script.edits:
            _inside(path)
        name = base if is_object_id(base) else f"refs/remotes/origin/{base}"
        with tempfile.TemporaryDirectory(prefix="scripted-coder-") as folder:
            clone = Path(folder, "clone")
            await self._git(Path(folder), "clone", "--quiet", "--no-checkout", str(origin), str(clone))
            if source is not None:
                await self._git(clone, "fetch", "--quiet", str(source), "+refs/heads/*:refs/remotes/source/*")
            start = await self._git(clone, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
            await self._git(clone, "checkout", "--quiet", "-B", branch, start)
            for path, edit in script.edits.items():
                _apply(clone / path, edit)
            await self._git(clone, "add", "--", *script.edits)
            await self._git(clone, "commit", "--quiet", "-m", script.message)
            head = await self._git(clone, "rev-parse", "HEAD")
            await self._git(clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return Written(branch, start, head)

    async def _git(self, where: Path, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "git", *SAFE, *words,
            cwd=where, env=self._environment(), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, told = await asyncio.wait_for(process.communicate(), GIT_S)
        except TimeoutError as err:
            process.kill()
            await process.wait()
            raise UnavailableError("coder", f"git {words[0]} gave no answer in {GIT_S} s") from err
        if process.returncode:
            raise UnavailableError("coder", f"git {words[0]}: {told.decode(errors='replace').strip()[:200]}")
        return out.decode().strip()

    def _environment(self) -> dict[str, str]:
        date = f"{self._at} +0000"
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": self._author.name,
            "GIT_AUTHOR_EMAIL": self._author.email,
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": self._author.name,
            "GIT_COMMITTER_EMAIL": self._author.email,
            "GIT_COMMITTER_DATE": date,
        }


def _inside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].lower() == ".git":
        raise InputError(f"a script may only write inside the tree: {path[:80]!r}", code="coder.path")


def _apply(target: Path, edit: Edit) -> None:
    old = target.read_text(encoding="utf-8") if target.exists() else ""
    content = edit if isinstance(edit, str) else edit(old)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content, encoding="utf-8")
