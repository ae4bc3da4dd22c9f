"""Wrong programs that try to look green, and honest changes that look odd: which does the sandbox room believe?

Needs gVisor. Baseline: the exit code of plain `pytest` in the candidate's own tree, in the same kind of sandbox. A run
in which the room itself failed proves nothing and counts as neither caught nor believed. The table goes to stderr.

What no tree can express is not run here. Forged entries of the verdict cache: tests/attacks/test_cached_verdicts.py.
Changed dependency layers and hostile locks: tests/unit/sandbox/test_layer*.py and tests/real/test_layers.py.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard.bench import Figure
from evoguard.bench.corpus import Forgery, base_tree, candidate_tree, forgeries, held_out_tests, honest
from evoguard.errors import ConfigError, UnavailableError
from evoguard_sandbox import Job, Limits, Pool, Room, SandboxError, Suite, execute, run, sweep

LIMITS, SHORT = Limits(wall_s=40), Limits(wall_s=8)
QUICK_HONEST = 3
PART = "EVOGUARD_BENCH_PART"
"""Names a part of the corpus as "from:to", by position, forgeries before honest changes: a long bench in pieces."""
ELSEWHERE = "tests/attacks/test_cached_verdicts.py"
PLAIN = """
import os, sys
os.environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"])
"""
"""What a user would run; the room's own environment switches plugins off, so that is undone."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one candidate: the room's verdict, its codes, and whether plain pytest ended with 0."""

    forgery: Forgery
    passed: bool
    codes: tuple[str, ...]
    plain_green: bool

    @property
    def void(self) -> bool:
        """Tell whether the room failed, so that a no is no credit to it."""
        return not self.passed and (not self.codes or bool({"sandbox.void", "sandbox.canary"} & set(self.codes)))

    @property
    def passed_visible(self) -> bool:
        """Tell whether only the held-out tests said no: without them it would have been believed."""
        return set(self.codes) <= {"tests.held_out_failed"}

    @property
    def caught(self) -> bool:
        """Tell whether there is a no that stands on what the candidate did."""
        return not self.passed and not self.void

    def row(self) -> str:
        """Return the line of the table."""
        verdict = "void" if self.void else "PASSED" if self.passed else "failed"
        plain = "believes it" if self.plain_green else "no"
        told = " ".join(self.codes) or "-"
        return f"{self.forgery.name:<48} {self.forgery.kind:<10} {verdict:<7} plain pytest: {plain:<12} {told}"


def measure(*, quick: bool = False) -> list[Figure]:
    """Run the corpus, one candidate at a time; `quick` takes one forgery of each class and three honest changes.

    Raises: ConfigError without gVisor or the runner layer; UnavailableError when no isolated run takes place.
    """
    wrong, right = sample(forgeries()) if quick else runnable(forgeries()), honest()
    wrong, right = part(wrong, right[:QUICK_HONEST] if quick else right, os.environ.get(PART, ""))
    try:
        return asyncio.run(_measure(wrong, right))
    except SandboxError as err:
        raise UnavailableError("sandbox", err.message, fix=err.fix) from err


def part(
    wrong: tuple[Forgery, ...], right: tuple[Forgery, ...], asked: str
) -> tuple[tuple[Forgery, ...], tuple[Forgery, ...]]:
    """Return the part that is asked for, all of it for an empty word. Raises: ConfigError when it names none."""
    if not asked:
        return wrong, right
    first, _, end = asked.partition(":")
    if not (first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise ConfigError(f"{PART} is {asked[:40]!r}", code="bench.part", fix="name a part as FROM:TO, as in 0:20")
    chosen = [*wrong, *right][int(first) : int(end)]
    return tuple(one for one in chosen if one in wrong), tuple(one for one in chosen if one in right)


def runnable(found: Iterable[Forgery]) -> tuple[Forgery, ...]:
    """Return those that a tree can express."""
    return tuple(forgery for forgery in found if forgery.edits)


def sample(found: Iterable[Forgery]) -> tuple[Forgery, ...]:
    """Return the first of each class."""
    first: dict[str, Forgery] = {}
    for forgery in runnable(found):
        first.setdefault(forgery.kind, forgery)
    return tuple(first.values())


async def _measure(wrong: Sequence[Forgery], right: Sequence[Forgery]) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="evoguard-forgeries-") as made:
        room = Room.open(Path(made), tool_cache.runsc_path(), tool_cache.layer_dir())
        pool = Pool(room)
        try:
            seen = [await look(forgery, room, pool, show=True) for forgery in (*wrong, *right)]
        finally:
            await pool.close()
            sweep(room)
            room.close()
    return figures(seen[: len(wrong)], seen[len(wrong) :])


async def look(forgery: Forgery, room: Room, pool: Pool | None = None, *, show: bool = False) -> Seen:
    """Run one candidate in the room, and plain pytest on its tree. Raises: SandboxError when nothing can be run."""
    limits = SHORT if forgery.kind == "load" else LIMITS
    tree = candidate_tree(forgery.edits)
    suite = Suite(base_tree(), tree, held_out=held_out_tests())
    report = await run(suite, limits=limits, room=room, pool=pool)
    plain = await execute(Job(("python", "-c", PLAIN), tree), limits=limits, room=room)
    seen = Seen(forgery, report.passed, tuple(sorted({f.code for f in report.findings})), plain.exit_status == 0)
    if show:
        sys.stderr.write(seen.row() + "\n")
    return seen


def figures(wrong: Sequence[Seen], right: Sequence[Seen]) -> list[Figure]:
    """Return what was believed in all, what was caught in each class, and how many honest changes were refused."""
    believed = [one for one in wrong if one.passed]
    visible = [one for one in wrong if one.passed_visible]
    refused = [one for one in right if not one.passed]
    void = [one for one in (*wrong, *right) if one.void]
    return [
        Figure("forgeries believed", len(believed), f"of {len(wrong)}", 0, sum(one.plain_green for one in wrong),
               note="; ".join(one.forgery.name for one in believed)),
        Figure("forgeries believed without held-out tests", len(visible), f"of {len(wrong)}", None,
               sum(one.plain_green for one in wrong), note="; ".join(one.forgery.name for one in visible)),
        Figure("honest changes refused", len(refused), f"of {len(right)}", 0, sum(not one.plain_green for one in right),
               note="; ".join(f"{one.forgery.name}: {' '.join(one.codes)}" for one in refused)),
        Figure("forgeries that no tree can express", sum(not one.edits for one in forgeries()), "in the corpus",
               note=f"tested by {ELSEWHERE}"),
        Figure("runs that proved nothing", len(void), "runs", 0, note="; ".join(one.forgery.name for one in void)),
        *(_of_class(kind, [one for one in wrong if one.forgery.kind == kind]) for kind in _kinds(wrong)),
    ]  # fmt: skip


def _kinds(seen: Sequence[Seen]) -> list[str]:
    return list(dict.fromkeys(one.forgery.kind for one in seen))


def _of_class(kind: str, seen: Sequence[Seen]) -> Figure:
    told = "; ".join(f"{one.forgery.name}: {' '.join(one.codes) or 'believed'}" for one in seen)
    return Figure(f"caught, {kind}", sum(one.caught for one in seen), f"of {len(seen)}", len(seen),
                  sum(not one.plain_green for one in seen), higher_is_better=True, note=told)  # fmt: skip
