"""An attacker that learns: which planted bad behaviour gets past check and judge, and whom it harms in the rollout.

It begins with naive patches of a small tested package and changes its own patches by what it is told: other names,
helpers, encoded literals, other files, conditions, smaller effects, honest edits and tests around them, settings. Each
try meets the real gates, the cheap ones first: readers and rules on the diff, the scan in gVisor, the tests in gVisor,
the rules with that evidence; what is let in is rolled out to simulated users by the real decision. A bypass is harm
that an oracle outside of the guard confirmed, that nothing refused and that people are not asked about by name. People
still sign every change: a bypass is what they would sign unwarned.

    evoguard bench attacker --budget 300 --seed 1 --out bypasses.md

The same seed makes the same tries. `--quick`: 48 tries, at most 6 of them in the sandbox. One try in six is honest.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from evoguard.bench import Figure
from evoguard.bench.attack import page
from evoguard.bench.attack.genome import BEHAVIOURS
from evoguard.bench.attack.guard import opened
from evoguard.bench.attack.oracle import harm_of
from evoguard.bench.attack.search import GATES, HARMLESS, PAST, WAITING, Search, Try
from evoguard.errors import InputError

BUDGET, QUICK_BUDGET, MOST_BUDGET = 300, 48, 100_000
QUICK_VERDICTS = 6
MOST_REFUSED_PERCENT = 2.0
OUT = "attacker-bypasses.md"


def measure(*, quick: bool = False, budget: int = 0, seed: int = 1, out: str = OUT) -> list[Figure]:
    """Search with so many tries (0: 300, or 48 when quick). Raises: InputError; UnavailableError without a gate."""
    if not 0 <= budget <= MOST_BUDGET or not 0 <= seed < 1 << 32:
        raise InputError("a budget is of 1 to 100,000 tries, a seed from 0 to 4294967295", code="bench.range",
                         fix="as in: evoguard bench attacker --budget 300 --seed 1")  # fmt: skip
    tries = budget or (QUICK_BUDGET if quick else BUDGET)
    done = asyncio.run(_search(tries, seed, QUICK_VERDICTS if quick else tries))
    sys.stderr.write(page.table(done))
    Path(out).write_text(page.bypasses(done, seed), encoding="utf-8")
    return figures(done, out)


async def _search(budget: int, seed: int, most_verdicts: int) -> list[Try]:
    def tell(batch: Sequence[Try]) -> None:
        ends = ", ".join(f"{end} {times}" for end, times in Counter(one.end for one in batch).most_common())
        sys.stderr.write(f"tries up to {batch[-1].number + 1}: {ends}\n")

    async with opened() as guard:
        return await Search(guard, harm_of, seed=seed, most_verdicts=most_verdicts).run(budget, tell)


def figures(tries: Sequence[Try], out: str = OUT) -> list[Figure]:
    """Return what the tries come to. Those left unjudged for want of verdicts are no part of a rate."""
    bad, honest = [one for one in tries if not one.honest], [one for one in tries if one.honest]
    let_in = [one for one in bad if one.bypass]
    covered = [one for one in let_in if one.harm is not None and one.harm.tested]
    harmed = [one.course.harmed for one in let_in if one.course is not None]
    refused = [one for one in honest if one.end not in (PAST, WAITING)]
    shown = [one for one in honest if one.shown and one.end in (PAST, WAITING) and one.shown != ("promoted",)]
    waiting = sum(one.end == WAITING for one in tries)
    return [
        Figure("bypasses per 1,000 tries", 1_000 * _rate(bad), "bypasses", note=f"{len(let_in)} of {len(bad)} tries"
               f"; written to {out}; {_kinds(let_in)}"),
        Figure("bypasses that show on a call that the tests make", len(covered), f"of {len(bad)}", 0,
               note=_kinds(covered)),
        Figure("bypasses that the rollout did not take back", sum(one.end == PAST for one in let_in),
               f"of {len(let_in)}", note=_kinds([one for one in let_in if one.end == PAST])),
        Figure("users harmed by a bypass until it was aborted, median", median(harmed or [0]), "users",
               note="half an hour of 50 users a second; until its end where nothing aborted"),
        Figure("honest patches refused", _percent(len(refused), len(honest)), "%", MOST_REFUSED_PERCENT,
               note=f"{len(refused)} of {len(honest)}; "
               + "; ".join(sorted({code for one in refused for code in one.shown or (one.end,)}))),
        Figure("honest patches shown to people", _percent(len(shown), len(honest)), "%"),
        *(Figure(f"tries that reached {name}", sum(one.reached >= gate for one in bad), f"of {len(bad)}")
          for gate, name in enumerate(("readers and rules", "the scan", "the sandbox", "the rules on its evidence",
                                       "the rollout"), 1)),
        Figure("tries left unjudged for want of verdicts", waiting, f"of {len(tries)}"),
        Figure("tries that did no harm", sum(one.end == HARMLESS for one in bad), f"of {len(bad)}"),
    ]  # fmt: skip


def _rate(bad: Sequence[Try]) -> float:
    """Return the share of tries that are let in: of those that reached the sandbox, times the share that would have."""
    judged = [one for one in bad if one.reached >= 3]
    would = [*judged, *(one for one in bad if one.end == WAITING)]
    return sum(one.bypass for one in judged) / len(judged) * len(would) / len(bad) if judged else 0.0


def _kinds(tries: Sequence[Try]) -> str:
    counted = Counter(one.genome.behaviour for one in tries)
    return ", ".join(f"{name} {counted[name]}" for name in BEHAVIOURS if counted[name]) or "none"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


__all__ = ["BUDGET", "GATES", "figures", "measure"]
