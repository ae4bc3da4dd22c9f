"""The same calls on base and candidate: what a change does that no test asks for. Told to people, refuses nothing.

The calls are those of the base's tests, and varied ones that are drawn afresh here, so that answers which were learnt
by heart differ. The candidate's side is a claim of the accused: code that knows of these runs can answer as the base.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evoguard_sandbox.job import execute
from evoguard_sandbox.judging import changes
from evoguard_sandbox.reviewing.differential_calls import Call, calls_of, varied
from evoguard_sandbox.reviewing.edges import at_edges, edges
from evoguard_sandbox.rooms.pool import Pool
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.rooms.spec import GUEST
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import LINK_MODE, Tree, overlay
from evoguard_sandbox.types import Files, Finding, Job, JobReport, Limits, SandboxError

MOST_CALLS, MOST_AT_EDGES, WALL_S, MOST_FINDINGS = 200, 80, 10.0, 20
OUTPUT_BYTES = 1 << 20
CALLS_FILE = ".evoguard-calls"
DIFFERS, NOT_COMPARED = "review.differs", "review.not_compared"
ANSWERED = ("value", "raised")
Result = tuple[str, str]
"""A kind (`value`, `raised`, `hung`, `died`, `unrun`) and its text."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs, and how far it was looked: so many calls, to so many functions."""

    findings: tuple[Finding, ...] = ()
    calls: int = 0
    functions: int = 0


@dataclass(frozen=True, slots=True)
class Answers:
    """What one run answered, or why there is no answer; `met` is what the room saw beside it (limits, the network)."""

    results: tuple[Result, ...] = ()
    why: str = ""
    met: frozenset[str] = frozenset()


async def compare(  # noqa: PLR0913  (a room, and what is compared in it)
    room: Room,
    pool: Pool | None,
    limits: Limits,
    base: Tree,
    candidate: Tree,
    *,
    trusted: Callable[[str], bool],
    layer_dirs: tuple[Path, ...] = (),
) -> Compared:
    """Make the same calls on base and candidate, in a sandbox each; return what differs, one finding a function.

    Besides the tests' calls and varied ones there are some with the values that the change itself writes.

    Calls whose answer is not the same in two runs of the base say nothing. No calls in the base's tests, or code that
    did not change: nothing to tell. A run that gave no answers is a finding, too; no exception for what code does.
    """
    tree, _ = overlay(base, candidate, trusted)
    if {p: e for p, e in tree.items() if not trusted(p)} == {p: e for p, e in base.items() if not trusted(p)}:
        return Compared()
    tree |= changes.sources(base, candidate, trusted)
    draw = random.Random(secrets.token_bytes(16))  # noqa: S311 (seeded from the system's own randomness)
    known = calls_of(base, trusted, changes.packages(base, trusted))
    edged = at_edges(known, edges(base, tree, trusted), MOST_AT_EDGES)
    made = {call.text(): call for call in (*edged, *varied(known, draw, MOST_CALLS))}
    calls = list(made.values())[:MOST_CALLS]
    if not calls:
        return Compared()
    within = replace(limits, wall_s=min(WALL_S, limits.wall_s), output_bytes=min(OUTPUT_BYTES, limits.output_bytes))
    first, second, seen = await asyncio.gather(
        *(_answers(files, calls, layer_dirs, within, room, pool) for files in (base, base, tree))
    )
    found = differences(calls, first, second, seen, candidate)
    return Compared(found, len(calls), len({call.what for call in calls}))


async def _answers(
    tree: Tree, calls: Sequence[Call], layer_dirs: tuple[Path, ...], limits: Limits, room: Room, pool: Pool | None
) -> Answers:
    listed = repr([call.plain() for call in calls]).encode()
    argv = ("python", "-I", "-S", "-B", f"{GUEST}/differential.py")
    files = {**_files(tree), CALLS_FILE: (0o100644, listed)}
    try:
        report = await execute(Job(argv, files, layer_dirs), limits=limits, room=room, pool=pool)
    except SandboxError as err:
        return Answers(why=f"no sandbox: {shown(err.message)}")
    return replace(read(report, len(calls)), met=frozenset(finding.msg for finding in report.findings))


def _files(tree: Tree) -> Files:
    modes = {"file": 0o100644, "exec": 0o100755, "link": LINK_MODE}
    return {path: (modes[entry.kind], entry.data) for path, entry in tree.items() if path != CALLS_FILE}


def read(report: JobReport, count: int) -> Answers:
    """Return a run's answers, read as claims: one JSON line of the right form, or the reason why there are none."""
    if report.outcome != "finished":
        return Answers(why=f"the run was stopped: {report.outcome}")
    if report.exit_status != 0:
        return Answers(why=f"the run was ended from within, exit status {report.exit_status}")
    try:
        doc = json.loads(report.stdout)
        wrong, results = doc["wrong"], doc["results"]
        if set(doc) != {"wrong", "results"} or not isinstance(wrong, str) or not isinstance(results, list):
            raise ValueError("another form")
        if wrong:
            return Answers(why=shown(wrong))
        if len(results) != count:
            raise ValueError("another number of answers")
        return Answers(tuple(_result(row) for row in results))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Answers(why="what came back is not the list of answers; code under test wrote or ended it")


def _result(row: object) -> Result:
    if not isinstance(row, list) or len(row) != 2 or not all(isinstance(part, str) for part in row):
        raise ValueError("another form")
    if row[0] not in (*ANSWERED, "hung", "died", "unrun"):
        raise ValueError("an unknown kind")
    return row[0], row[1]


def differences(
    calls: Sequence[Call], first: Answers, second: Answers, seen: Answers, candidate: Tree
) -> tuple[Finding, ...]:
    """Return one finding for each function that answers otherwise, and one when too little could be compared."""
    for what, answers in (("base", first), ("base", second), ("candidate", seen)):
        if not answers.results:
            return (_not_compared(f"on the {what}: {answers.why}"),)
    rows = [
        (call, was, now)
        for call, was, again, now in zip(calls, first.results, second.results, seen.results, strict=True)
        if was == again and was[0] in ANSWERED
    ]
    if not rows:
        return (_not_compared("the base gives no call the same answer twice"),)
    found = [_not_compared(f"on the candidate alone: {met}") for met in sorted(seen.met - first.met - second.met)]
    unrun = sum(now[0] == "unrun" for _, _, now in rows)
    if unrun:
        found.append(_not_compared(f"the candidate's run was over before {unrun} of {len(rows)} calls were made"))
    by_function: dict[str, list[tuple[Call, Result, Result]]] = {}
    for row in rows:
        if row[2][0] != "unrun":
            by_function.setdefault(row[0].what, []).append(row)
    for what, group in by_function.items():
        other = [row for row in group if row[1] != row[2]]
        if other:
            found.append(
                _differs(what, min(other, key=lambda row: len(row[0].text())), (len(other), len(group)), candidate)
            )
    if len(found) > MOST_FINDINGS:
        more = len(found) - MOST_FINDINGS
        return (
            *found[:MOST_FINDINGS],
            Finding(DIFFERS, f"and {more} more functions answer otherwise than on the base"),
        )
    return tuple(found)


def _differs(what: str, row: tuple[Call, Result, Result], counted: tuple[int, int], candidate: Tree) -> Finding:
    call, was, now = row
    some = f"{counted[0]} of {counted[1]} varied calls differ"
    text = f"{shown(call.text(), 120)} {_words(was, 'was')}, {_words(now, 'is')} ({some})"
    return Finding(DIFFERS, text, _path(call.module, candidate), shown(what, 200))


def _words(result: Result, verb: str) -> str:
    kind, text = result
    told = {"raised": "raised" if verb == "was" else "raises", "hung": "does not end", "died": "ends the process"}
    return f"{told.get(kind, verb)} {shown(text, 90)}".rstrip()


def _path(module: str, candidate: Tree) -> str:
    stem = module.replace(".", "/")
    names = (f"{top}{stem}{end}" for top in ("", "src/") for end in (".py", "/__init__.py"))
    return next((shown(name) for name in names if name in candidate), "")


def _not_compared(why: str) -> Finding:
    return Finding(NOT_COMPARED, f"base and candidate could not be compared by the same calls: {shown(why)}")
