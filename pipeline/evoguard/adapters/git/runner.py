"""How git is run: always in a repository of ours, with an environment of ours, a wall limit and bounded output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import unicodedata
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evoguard.errors import UnavailableError

WALL_S = 60.0
OUTPUT_BYTES = 64 * 1024 * 1024
_STDERR_BYTES = 16 * 1024
_CHUNK = 1 << 16
_MEMORY_BYTES = 4 << 30
_FILE_BYTES = 2 << 30

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_LITERAL_PATHSPECS": "1",
}
"""The whole environment of git: nothing of the operator's or the submitter's is inherited."""

SETTINGS: tuple[str, ...] = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.symlinks=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.commitGraph=false",  # a submitter's commit-graph, index of packs or bitmap may lie about what objects say
    "core.multiPackIndex=false",
    "pack.useBitmaps=false",
    "core.warnAmbiguousRefs=false",
    "core.bigFileThreshold=4m",  # larger files are streamed, never held, and shown as binary
    "core.packedGitWindowSize=64m",
    "core.packedGitLimit=512m",
    "core.fsync=committed",
    "core.filesRefLockTimeout=500",
    "core.packedRefsTimeout=500",
    "protocol.file.allow=always",
    "protocol.ext.allow=never",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "uploadpack.packObjectsHook=",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=2",
    "pack.windowMemory=256m",
    "advice.objectNameWarning=false",
)
"""Given on every command line, so that they win over any configuration file."""


@dataclass(frozen=True, slots=True)
class Result:
    """What git answered; `truncated` means that it was stopped because it said more than the limit."""

    code: int
    out: bytes
    err: bytes
    truncated: bool = False

    @property
    def why(self) -> str:
        """Return the first line that git complained with, bounded and escaped, fit for people."""
        lines = [line for line in self.err.decode("utf-8", "replace").splitlines() if line.strip()]
        return shown(next((x for x in lines if x.startswith(("fatal:", "error:"))), lines[0] if lines else "no reason"))


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one repository of ours. `extra` adds to the environment, for a quarantine or an index of its own."""

    git_dir: Path
    extra: tuple[tuple[str, str], ...] = ()
    wall_s: float = WALL_S

    def using(self, **extra: str | Path) -> Git:
        """Return the same repository with more environment."""
        return Git(self.git_dir, (*self.extra, *((k, str(v)) for k, v in extra.items())), self.wall_s)

    def environment(self) -> dict[str, str]:
        """Return the whole environment that git gets."""
        return {**ENVIRONMENT, "GIT_DIR": str(self.git_dir), **dict(self.extra)}

    async def run(self, *args: str, stdin: bytes = b"", limit_bytes: int = OUTPUT_BYTES) -> Result:
        """Run git once; any exit code is an answer.

        Raises: UnavailableError when git does not start or gives no answer within the wall limit.
        """
        process = await self._start(args, asyncio.subprocess.PIPE, asyncio.subprocess.PIPE)
        async with _ended(process, self.wall_s, args[0]):
            feed = asyncio.create_task(_feed(process, stdin))
            complain = asyncio.create_task(_read(process.stderr, _STDERR_BYTES, drain=True))
            try:
                out, truncated = await _read(process.stdout, limit_bytes, drain=False)
                if truncated:
                    _kill(process)
                    await _drain(process.stdout)
                err, _ = await complain
                await feed
                return Result(await process.wait(), out, err, truncated)
            finally:
                feed.cancel()
                complain.cancel()
                await asyncio.gather(feed, complain, return_exceptions=True)

    async def ok(self, *args: str, stdin: bytes = b"", limit_bytes: int = OUTPUT_BYTES) -> bytes:
        """Run git and return its output. Raises: UnavailableError for any exit code but 0, or too much output."""
        result = await self.run(*args, stdin=stdin, limit_bytes=limit_bytes)
        if result.code or result.truncated:
            raise UnavailableError("git", f"git {args[0]} failed: {result.why}")
        return result.out

    async def pipe(self, first: tuple[str, ...], into: Git, second: tuple[str, ...], *, stdin: bytes) -> Result:
        """Run `first` here and `second` in `into`, joined by a pipe; the answer is the failed one's, else `second`'s.

        Raises: UnavailableError when either does not start or end within the wall limit.
        """
        read_end, write_end = os.pipe()
        try:
            source = await self._start(first, asyncio.subprocess.PIPE, write_end)
            async with _ended(source, self.wall_s, first[0]):
                sink = await into._start(second, read_end, asyncio.subprocess.PIPE)
                os.close(read_end)
                os.close(write_end)
                read_end = write_end = -1
                async with _ended(sink, self.wall_s, second[0]):
                    return await _join(source, sink, stdin)
        finally:
            for end in (read_end, write_end):
                if end >= 0:
                    os.close(end)

    async def _start(self, args: Iterable[str], stdin: int, stdout: int) -> asyncio.subprocess.Process:
        command = ["git", *(x for setting in SETTINGS for x in ("-c", setting)), *args]
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *command,
                stdin=stdin,
                stdout=stdout,
                stderr=asyncio.subprocess.PIPE,
                env=self.environment(),
                cwd=self.git_dir,
                start_new_session=True,
            )
        )
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # a start cannot be undone halfway: let it happen, then end it
            await _reap(await starting)
            raise
        except (OSError, ValueError) as err:
            raise UnavailableError("git", "git cannot be started", fix="install git 2.39 or newer") from err
        with contextlib.suppress(ProcessLookupError):  # it may have ended already
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
        return process


def shown(text: str, limit: int = 160) -> str:
    """Return text from outside as one bounded line in which nothing can move a cursor or hide."""
    safe = "".join(c if c.isprintable() and unicodedata.category(c) != "Cf" else f"\\u{ord(c):04x}" for c in text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


@contextlib.asynccontextmanager
async def _ended(process: asyncio.subprocess.Process, wall_s: float, verb: str) -> AsyncIterator[None]:
    """Hold a process and leave none behind: it is killed with its children when the block is left before it ended."""
    try:
        async with asyncio.timeout(wall_s):
            yield
    except TimeoutError as err:
        raise UnavailableError("git", f"git {verb} gave no answer within {wall_s:g} s") from err
    finally:
        if process.returncode is None:
            await asyncio.shield(_reap(process))


async def _join(source: asyncio.subprocess.Process, sink: asyncio.subprocess.Process, stdin: bytes) -> Result:
    _, (said, _), (err_a, _), (err_b, _) = await asyncio.gather(
        _feed(source, stdin),
        _read(sink.stdout, _CHUNK, drain=True),
        _read(source.stderr, _STDERR_BYTES, drain=True),
        _read(sink.stderr, _STDERR_BYTES, drain=True),
    )
    first, second = await source.wait(), await sink.wait()
    if first and first != -signal.SIGPIPE:
        return Result(first, b"", err_a)
    return Result(second, said, err_b)


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if data:
            process.stdin.write(data)
            await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, limit: int, *, drain: bool) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    size = 0
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        if size <= limit:
            parts.append(chunk)
        size += len(chunk)
        if size > limit and not drain:
            break
    return b"".join(parts)[:limit], size > limit


async def _reap(process: asyncio.subprocess.Process) -> None:
    _kill(process)
    await _drain(process.stdout)
    await _drain(process.stderr)
    await process.wait()


async def _drain(stream: asyncio.StreamReader | None) -> None:
    """Read a dead process's pipe to its end; asyncio tells that a process ended only when its pipes have."""
    while stream is not None and await stream.read(_CHUNK):
        pass


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
