"""What it costs to say how risky a change is: its past and its reach, in a repository of 10,000 commits, 5,000 files.

Baseline of the past: plain `git log` over the touched files, once a change, in turn with ours, in the same run. The
repository is made up; every file imports a few others. `after a merge` is what a guard sees all day: a base that is
one commit newer than the one it knows.
"""

from __future__ import annotations

import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

from evoguard import bundle
from evoguard.adapters.git.reach import GitImpact
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.sources import GitSources
from evoguard.bench import Figure
from evoguard.domain.change import CommitId, Diff
from evoguard.domain.component import ComponentFile
from evoguard.domain.risk import Features, floor_of, folders, weights_from
from evoguard.errors import UnavailableError
from evoguard.ports.impact import Past

COMMITS, FILES, TOUCHED, FOLDERS, LINES = 10_000, 5_000, 5, 100, 30
BAR_RISK_MS, BAR_REACH_MS, BAR_FIRST_S = 25.0, 300.0, 5.0
REPO, START, STEP_S, SEED = "bench-01234567", 1_700_000_000, 3_000, 7
Took: TypeAlias = tuple[float, float]
"""Seconds of wall, and of CPU of this process and its children."""
NOW = START + (COMMITS + 100) * STEP_S


@dataclass(frozen=True, slots=True)
class Made:
    """The repository, one base after the other, and a change on each of them."""

    folder: Path
    git: Git
    bases: tuple[CommitId, ...]
    heads: tuple[CommitId, ...]


def measure(*, quick: bool = False) -> list[Figure]:
    """Weigh changes on old and new bases. Raises: UnavailableError when git gives no answer."""
    return asyncio.run(_measure(5 if quick else 15))


async def _measure(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="evoguard-bench-") as folder:
        made = await _made(Path(folder), rounds)
        impact, sources = GitImpact(made.folder), GitSources(made.folder)
        diffs = [await sources.diff(REPO, b, h) for b, h in zip(made.bases, made.heads, strict=True)]
        first_past, past_cpu = await _timed(lambda: _past(impact, made.bases[0], diffs[0]))
        first_reach, reach_cpu = await _timed(lambda: _reach(impact, made, 0, diffs[0]))
        past, log, merged, reach, reach_merged = (list[Took]() for _ in range(5))
        for at in range(1, rounds):
            merged.append(await _timed(partial(_past, impact, made.bases[at], diffs[at])))
            past.append(await _timed(partial(_past, impact, made.bases[at], diffs[at - 1])))
            log.append(await _timed(partial(_log, made.git, made.bases[at], diffs[at])))
            reach_merged.append(await _timed(partial(_reach, impact, made, at, diffs[at])))
            reach.append(await _timed(partial(_reach, impact, made, at, diffs[at])))
    note = f"{COMMITS:,} commits, {FILES:,} files, {TOUCHED} of them touched; median of {rounds - 1}"
    return [
        _figure("risk features", past, log, bar=BAR_RISK_MS, note=note),
        _figure("risk features, after a merge", merged, log, note="a newer base"),
        Figure("risk features, first time", first_past, "s", BAR_FIRST_S, note=f"{past_cpu:.2f} s of CPU"),
        _figure("impact", reach, bar=BAR_REACH_MS, note="another change on a base that is known"),
        _figure("impact, after a merge", reach_merged, bar=BAR_REACH_MS, note="a newer base"),
        Figure("impact, first time", first_reach, "s", BAR_FIRST_S,
               note=f"{FILES:,} Python files of {LINES} lines; {reach_cpu:.2f} s of CPU"),
    ]  # fmt: skip


def _figure(
    name: str, took: list[Took], log: list[Took] | None = None, *, bar: float | None = None, note: str
) -> Figure:
    """Return the medians of wall time; on a busy machine its CPU says more, so that is told beside it."""
    beside = 1e3 * median(wall for wall, _ in log) if log else None
    cpu = f"{1e3 * median(cpu for _, cpu in took):.0f} ms of CPU"
    if log:
        cpu += f", git log {1e3 * median(cpu for _, cpu in log):.0f} ms"
    return Figure(name, 1e3 * median(wall for wall, _ in took), "ms", bar, beside, note=f"{cpu}; {note}")


async def _timed(work: Callable[[], Awaitable[object]]) -> Took:
    began, used = time.perf_counter(), _cpu_s()
    await work()
    return time.perf_counter() - began, _cpu_s() - used


def _cpu_s() -> float:
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


async def _past(impact: GitImpact, base: CommitId, diff: Diff) -> Past:
    """Measure the features of a change and add them up, as the flow does."""
    seen = await impact.past(REPO, base, diff.touched(), now_s=NOW, authors={})
    weights = weights_from(bundle.load().numbers)
    lines, (place, _) = diff.added + diff.deleted, weights.place(diff.touched())
    measured = Features(
        lines=lines, folders=folders(diff.touched()), files=len(diff.files), fixes=seen.fixes, young=int(seen.young),
        authors=seen.authors, newcomer=2, day_lines=lines, place=place,
    )  # fmt: skip
    if not floor_of(measured, weights).floor or not seen.known:
        raise UnavailableError("impact", "a change that was measured has no points")
    return seen


async def _reach(impact: GitImpact, made: Made, at: int, diff: Diff) -> None:
    reach = await impact.reach(REPO, made.bases[at], made.heads[at], diff=diff, rules=ComponentFile())
    if not reach.dependants or reach.unknown:
        raise UnavailableError("impact", "the reach of the made-up change is not known")


async def _log(git: Git, base: CommitId, diff: Diff) -> None:
    """Ask git the same by itself: every commit that touched the files, with its date and message."""
    await git.ok("log", "--format=%H %ct%n%B", "--name-only", base, "--", *diff.touched())


async def _made(folder: Path, rounds: int) -> Made:
    place = folder / f"{REPO}.git"
    place.mkdir(mode=0o700)
    git = Git(place)
    await git.ok("init", "--quiet", "--bare", "--template=", "--object-format=sha1", str(place))
    await git.ok("fast-import", "--quiet", stdin=_stream(rounds))
    ids = (await git.ok("for-each-ref", "--format=%(refname) %(objectname)")).decode().split("\n")
    refs = dict(line.split(" ") for line in ids if line)
    names = range(rounds)
    return Made(
        folder, git, tuple(CommitId(refs[f"refs/heads/base-{n}"]) for n in names),
        tuple(CommitId(refs[f"refs/heads/change-{n}"]) for n in names),
    )  # fmt: skip


def _stream(rounds: int) -> bytes:
    """Return what fast-import reads: all files at once, small commits, and at the end bases with a change on each."""
    dice, version = random.Random(SEED), [0] * FILES  # noqa: S311  (a repository, no secret)
    parts: list[bytes] = []

    def commit(ref: str, at: int, message: str, touched: list[int], parent: str = "") -> None:
        for number in touched:
            version[number] += 1
        body = b"".join(_file(number, version[number]) for number in touched)
        origin = f"from {parent}\n" if parent else ""
        text = (
            f"commit {ref}\ncommitter a <a@example.org> {START + at * STEP_S} +0000\ndata {len(message)}\n{message}\n"
        )
        parts.append((text + origin).encode() + body)

    commit("refs/heads/main", 0, "all files", list(range(FILES)))
    for at in range(1, COMMITS):
        message = f"fix {at}" if at % 5 == 0 else f"work {at}"
        commit("refs/heads/main", at, message, dice.sample(range(FILES), dice.randint(1, 4)))
    for at in range(rounds):
        commit("refs/heads/main", COMMITS + at, f"merge {at}", [dice.randrange(FILES)])
        parts.append(f"reset refs/heads/base-{at}\nfrom refs/heads/main\n\n".encode())
        touched = dice.sample(range(FILES // 2), TOUCHED)  # the lower half is imported by others
        commit(f"refs/heads/change-{at}", COMMITS + at, "change", touched, "refs/heads/main")
    return b"".join(parts)


def _file(number: int, version: int) -> bytes:
    imported = sorted({number // by for by in (2, 3, 5)} - {number})
    lines = [f"from pkg{n % FOLDERS}.mod{n} import f{n}\n" for n in imported]
    body = "".join(lines) + f"\n\ndef f{number}(x):\n    return x + {version}\n\n\n"
    body += "".join(f"def g{k}(x):\n    return f{number}(x) * {k}\n\n\n" for k in range((LINES - 8) // 4))
    return f"M 100644 inline pkg{number % FOLDERS}/mod{number}.py\ndata {len(body)}\n{body}\n".encode()
