"""The same requests to two trees, a sandbox each: what came back of either, read as that side's own claim.

No answer of one side ever enters the other's sandbox, and neither holds the files that `hidden` names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evoguard_sandbox.job import execute
from evoguard_sandbox.rooms.pool import Pool
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.rooms.spec import GUEST
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import Connect, Files, Job, JobReport, Limits, SandboxError

ASKED = ".evoguard-requests"
ROUNDS = 2
ONE_S = 5.0
"""How long one request may take, in seconds."""
MOST_PARTS, MOST_PART_CHARS = 8, 5000
KINDS = ("answer", "unreadable", "hung", "died", "unrun")


@dataclass(frozen=True, slots=True)
class Group:
    """Requests to one target, `module:name` of a callable, an ASGI or a WSGI app."""

    kind: str
    target: str
    requests: Sequence[Mapping[str, Any]]
    refuse: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. `kind`: answer, unreadable, hung, died or unrun; times in microseconds."""

    kind: str
    parts: Mapping[str, str]
    wall_us: int
    cpu_us: int
    refused: int


@dataclass(frozen=True, slots=True)
class Answered:
    """One target's answers, by round and request, or why there are none."""

    rounds: tuple[tuple[Answer, ...], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One tree's answers, and what its sandbox was seen to do from outside. `why`: the whole run gave no answer."""

    groups: tuple[Answered, ...] = ()
    why: str = ""
    connects: tuple[Connect, ...] = ()
    behaviour: str = "not recorded"
    isolation: str = ""
    wall_ms: int = 0
    cpu_ms: int = 0
    """Processor time of the whole sandbox, counted by the host; 0 where nobody counts."""


async def replay(  # noqa: PLR0913  (a room, and what is asked in it)
    room: Room,
    pool: Pool | None,
    limits: Limits,
    trees: tuple[Files, Files],
    groups: Sequence[Group],
    *,
    hidden: Collection[str] = (),
    layer_dirs: tuple[Path, ...] = (),
) -> tuple[Side, Side]:
    """Put every request to both trees, twice each; a run that gave no answers says why, it raises nothing."""
    asked = json.dumps(_asked(groups, limits)).encode()
    jobs = [_job(tree, asked, hidden, layer_dirs) for tree in trees]
    counts = [len(group.requests) for group in groups]
    base, candidate = await asyncio.gather(*(_side(room, pool, limits, job, counts) for job in jobs))
    return base, candidate


def _asked(groups: Sequence[Group], limits: Limits) -> dict[str, Any]:
    rows = [
        {"kind": g.kind, "target": g.target, "refuse": g.refuse, "ignore": g.ignore, "requests": [*g.requests]}
        for g in groups
    ]
    return {"rounds": ROUNDS, "one_s": ONE_S, "all_s": max(1.0, limits.wall_s - 2.0), "groups": rows}


def _job(tree: Files, asked: bytes, hidden: Collection[str], layer_dirs: tuple[Path, ...]) -> Job:
    files = {path: entry for path, entry in tree.items() if path not in hidden and path != ASKED}
    argv = ("python", "-I", "-S", "-B", f"{GUEST}/replay.py")
    return Job(argv, {**files, ASKED: (0o100644, asked)}, layer_dirs)


async def _side(room: Room, pool: Pool | None, limits: Limits, job: Job, counts: Sequence[int]) -> Side:
    try:
        report = await execute(job, limits=limits, room=room, pool=pool)
    except SandboxError as err:
        return Side(why=f"no sandbox: {shown(err.message)}")
    return read(report, counts)


def read(report: JobReport, counts: Sequence[int]) -> Side:
    """Return a run's answers, or why there are none: one JSON line of the right form, whole, or nothing of it."""
    seen = report.behaviour
    side = Side((), "", seen.connects, seen.status, report.isolation, report.wall_ms, report.usage.cpu_ms)
    if report.outcome != "finished":
        return replace(side, why=f"the run was stopped: {report.outcome}")
    if report.exit_status != 0:
        return replace(side, why=f"the run was ended from within, exit status {report.exit_status}")
    try:
        doc = json.loads(report.stdout)
        if set(doc) != {"groups"} or len(doc["groups"]) != len(counts):
            raise ValueError("another form")
        return replace(side, groups=tuple(map(_group, doc["groups"], counts)))
    except (ValueError, TypeError, KeyError, RecursionError):
        return replace(side, why="what came back is not the list of answers; code under test wrote or ended it")


def _group(row: Mapping[str, Any], count: int) -> Answered:
    if set(row) != {"why", "rounds"} or not isinstance(row["why"], str):
        raise ValueError("another form")
    if row["why"]:
        return Answered(why=shown(row["why"], 300))
    rounds = tuple(tuple(map(_answer, rows)) for rows in row["rounds"])
    if len(rounds) != ROUNDS or any(len(rows) != count for rows in rounds):
        raise ValueError("another number of answers")
    return Answered(rounds)


def _answer(row: Sequence[Any]) -> Answer:
    kind, parts, *numbers = row
    if kind not in KINDS or not isinstance(parts, dict) or len(parts) > MOST_PARTS or len(numbers) != 3:
        raise ValueError("another form")
    if not all(isinstance(text, str) and len(text) <= MOST_PART_CHARS for text in parts.values()):
        raise ValueError("a part that is no bounded text")
    if not all(type(number) is int and 0 <= number < 1 << 53 for number in numbers):
        raise ValueError("a number out of its range")
    return Answer(kind, parts, *numbers)
