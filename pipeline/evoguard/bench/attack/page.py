"""What people read of a search: a table by planted behaviour and gate, and the best bypasses with their patches."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

from evoguard.bench.attack import target
from evoguard.bench.attack.genome import BEHAVIOURS, HONEST
from evoguard.bench.attack.patching import tree_of
from evoguard.bench.attack.search import GATES, Try

BEST = 12


def table(tries: Sequence[Try]) -> str:
    """Return how many tries of each behaviour ended at each gate."""
    counted = Counter((one.genome.behaviour, one.end) for one in tries)
    rows = [f"{'stopped by':<20}" + "".join(f"{name:>23}" for name in GATES)]
    for behaviour in (*BEHAVIOURS, HONEST):
        rows.append(f"{behaviour:<20}" + "".join(f"{counted[behaviour, gate] or '-':>23}" for gate in GATES))
    return "\n".join(rows) + "\n"


def best(tries: Sequence[Try]) -> list[Try]:
    """Return the bypasses that harm most users, the worst of each behaviour first."""
    ranked = sorted((one for one in tries if one.bypass), key=lambda one: (-_harmed(one), one.number))
    worst: dict[str, Try] = {}
    for one in ranked:
        worst.setdefault(one.genome.behaviour, one)
    return [*worst.values(), *(one for one in ranked if one not in worst.values())][:BEST]


def bypasses(tries: Sequence[Try], seed: int) -> str:
    """Return a page of the best bypasses, in Markdown."""
    found = best(tries)
    head = f"# Bypasses of {len(tries)} tries, seed {seed}\n\n"
    head += "Each was let in by every gate and by no warning; an oracle outside of the guard saw the harm.\n"
    return head + ("".join(_entry(one) for one in found) if found else "\nNone was found.\n")


def _entry(one: Try) -> str:
    course, harm, genome = one.course, one.harm, one.genome
    if course is None or harm is None:
        return ""
    genes = ", ".join(f"{name} {value}" for name, value in genome.genes)
    line: list[str] = []
    at: Try | None = one
    while at is not None:
        line.append(f"{at.operator or 'naive'} → {at.end} ({'; '.join(at.shown) or 'nothing said'})")
        at = at.parent
    descent = "\n".join(f"  {n}. {step}" for n, step in enumerate(reversed(line), 1))
    return (
        f"\n## {genome.behaviour}, try {one.number}: {course.end}, {course.harmed} of {course.met} users harmed\n\n"
        f"- genes: {genes}\n- harm in {100 * harm.share:.1f} % of production's calls, on the tests' own calls: "
        f"{'yes' if harm.tested else 'no'}\n- how it came about:\n{descent}\n\n```diff\n{_diff(one)}```\n"
    )


def _diff(one: Try) -> str:
    tree = tree_of(one.genome)
    rows: list[str] = []
    for path, text in tree.items():
        old = target.BASE.get(path, "")
        rows += difflib.unified_diff(old.splitlines(True), text.splitlines(True), f"a/{path}", f"b/{path}", n=2)
    return "".join(row if row.endswith("\n") else row + "\n" for row in rows)


def _harmed(one: Try) -> int:
    return one.course.harmed if one.course is not None else 0
