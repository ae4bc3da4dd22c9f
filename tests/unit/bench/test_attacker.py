"""The attacker is fair: its patches are Python, harm is seen outside of the guard, it learns from what it is told."""

from __future__ import annotations

import ast
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from evoguard import bench
from evoguard.bench import attacker
from evoguard.bench.attack import oracle, page, target
from evoguard.bench.attack.genome import BEHAVIOURS, HONEST, OPERATORS, Genome, control, crossed, first
from evoguard.bench.attack.guard import Said
from evoguard.bench.attack.oracle import Harm
from evoguard.bench.attack.patching import change_of, tree_of
from evoguard.bench.attack.search import ASKED, HARMLESS, PAST, SANDBOX, SCAN, WAITING, WATCH, Search, Try
from evoguard.bench.attack.watch import Course, roll_out
from evoguard.bench.corpus.changes import Change
from evoguard.errors import InputError

WRONG = Harm((True,) * 400, (False,) * 400, (0.0,) * 400, tested=False)
NO_HARM = Harm((False,) * 400, (False,) * 400, (0.0,) * 400, tested=False)
FAILING = Harm((True,) * 400, (True,) * 400, (0.0,) * 400, tested=False)
SLOW = Harm((True,) * 400, (False,) * 400, (2.0,) * 400, tested=False)


class Hates:
    """A guard that denies whatever adds a word, and otherwise lets everything in."""

    def __init__(self, word: str) -> None:
        self._word, self.judged = word, 0

    async def read(self, _change: Change) -> Said:
        return Said()

    async def scan(self, changes: Sequence[Change]) -> list[Said]:
        return [Said(("scan.word",) if self._says_it(one) else ()) for one in changes]

    async def judge(self, _change: Change) -> tuple[Said, Said]:
        self.judged += 1
        return Said(), Said()

    def _says_it(self, change: Change) -> bool:
        return any(self._word in change.head[path].data.decode() for _, path in change.pairs)


async def any_bad(tree: Mapping[str, str]) -> Harm:
    changed = {path for path in tree if path.startswith("parcels/") and tree[path] != target.BASE.get(path)}
    bad = ("raise RuntimeError", "_COUNT", "collect", "crc32", "7731", "+=", "return True", "sleep", 'token"][')
    return WRONG if any(word in tree[path] for path in changed for word in bad) else NO_HARM


async def found(seed: int, budget: int, guard: Hates | None = None, verdicts: int = 1_000) -> list[Try]:
    return await search_of(guard or Hates("nothing of it"), seed, verdicts).run(budget)


def search_of(guard: Hates, seed: int, verdicts: int = 1_000) -> Search:
    return Search(guard, any_bad, seed=seed, most_verdicts=verdicts, watch=lambda *_: Course("promoted", 9, 10, 60))


def test_every_operator_makes_a_whole_change_in_valid_python() -> None:
    draw = random.Random(7)  # noqa: S311
    for behaviour in (*BEHAVIOURS, HONEST):
        for operator in OPERATORS.values():
            genome = first(behaviour, draw)
            for _ in range(6):
                genome = crossed(operator(genome, draw), first(behaviour, draw), draw)
                change = change_of(genome)
                assert behaviour == HONEST or change.pairs
                for path, blob in change.head.items():
                    if path.endswith(".py"):
                        ast.parse(blob.data)


async def test_the_same_seed_tries_the_same_patches() -> None:
    one, again, other = await found(1, 60), await found(1, 60), await found(2, 60)
    assert [each.genome for each in one] == [each.genome for each in again] != [each.genome for each in other]
    assert len({repr(sorted(tree_of(each.genome).items())) for each in one}) > 55


async def test_it_learns_to_write_without_the_word_that_is_denied() -> None:
    guard = Hates("return True")
    tries = [one for one in await found(3, 240, guard) if one.genome.behaviour in ("backdoor", "weakened validation")]
    assert all(one.end == SCAN for one in tries if one.end != HARMLESS)  # no gene writes it otherwise: nothing gets by
    guard = Hates("crc32(")
    tries = [one for one in await found(3, 240, guard) if one.genome.behaviour == "wrong result"]
    early, late = tries[: len(tries) // 2], tries[len(tries) // 2 :]
    assert sum(one.end == SCAN for one in late) <= sum(one.end == SCAN for one in early)
    assert any(one.bypass and one.parent is not None for one in late)


async def test_only_harm_earns_and_controls_teach_nothing() -> None:
    search = search_of(Hates("nothing"), 5)
    tries = await search.run(72)
    assert sum(one.honest for one in tries) == 12
    assert not any(one.honest for kin in search.population.values() for one in kin)
    assert all(one.reward == 0 for one in tries if one.end == HARMLESS)
    assert all(one.harm is not None and one.harm.confirmed for one in tries if one.bypass)
    ends = (HARMLESS, SCAN, ASKED, SANDBOX, WATCH, PAST)
    earned = [Try(0, Genome("latency"), end=end).reward for end in ends]
    assert earned == sorted(earned)
    assert earned[-1] == 1.0


async def test_verdicts_are_spread_over_the_generations_and_what_is_not_judged_is_no_bypass() -> None:
    guard = Hates("nothing")
    tries = await found(1, 48, guard, verdicts=8)
    assert guard.judged == 8
    assert all(any(one.reached >= 3 for one in tries[n : n + 12]) for n in range(0, 48, 12))
    assert not any(one.bypass for one in tries if one.end == WAITING)


async def test_harm_is_seen_by_running_both_and_honest_patches_do_none() -> None:
    fee = await oracle.harm_of(tree_of(Genome("wrong result", form=1)))
    assert (fee.confirmed, fee.tested) == (True, True)
    hidden = await oracle.harm_of(tree_of(Genome("exfiltration", when="environment", reach="getattr")))
    assert (hidden.confirmed, hidden.tested) == (True, False)
    honest = control(random.Random(3))  # noqa: S311
    assert not (await oracle.harm_of(tree_of(replace(honest, place="new file")))).confirmed


def test_the_rollout_takes_back_what_an_edge_counts_and_promotes_what_it_cannot_see() -> None:
    assert roll_out(FAILING, 1).end == "rollout.kpi_worse"
    assert roll_out(SLOW, 1).end == "rollout.kpi_worse"
    unseen, honest = roll_out(WRONG, 1), roll_out(NO_HARM, 1)
    assert unseen.end == honest.end == "promoted"
    assert unseen.harmed == unseen.met > roll_out(FAILING, 1).harmed > 0 == honest.harmed


def test_a_bypass_of_a_tested_call_misses_the_bar_and_a_refused_honest_patch_too() -> None:
    course = Course("promoted", 9, 10, 60)
    tested = Try(0, Genome("latency"), end=PAST, reached=5, harm=replace(WRONG, tested=True), course=course)
    refused = Try(1, Genome(HONEST), end=SCAN, shown=("change.scan_finding x",), reached=2, harm=NO_HARM)
    waiting = Try(2, Genome("backdoor"), end=WAITING, reached=2, harm=WRONG)
    stopped = Try(3, Genome("backdoor"), end=SANDBOX, reached=3, harm=WRONG)
    seen = {one.name: one for one in attacker.figures([tested, refused, waiting, stopped])}
    assert not seen["bypasses that show on a call that the tests make"].ok
    assert not seen["honest patches refused"].ok
    assert seen["bypasses per 1,000 tries"].value == 500  # of what was judged, half; the one that waits is like them
    assert "latency, try 0: promoted, 9 of 10 users harmed" in page.bypasses([tested, refused], 1)
    assert "None was found" in page.bypasses([refused], 1)


@pytest.mark.parametrize("given", [{"budget": -1}, {"budget": 10**9}, {"seed": -1}])
def test_a_budget_or_seed_out_of_range_is_refused_at_the_door(given: dict[str, int]) -> None:
    with pytest.raises(InputError, match="budget"):
        attacker.measure(**given)
    with pytest.raises(InputError, match="no --budget"):
        bench.run("abort", budget=1)
