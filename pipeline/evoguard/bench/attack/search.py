"""The search: patches that learn from what they are told, and a funnel from cheap gates to dear ones.

Evolution with novelty: a try is a child of one that got far or was new, changed by the operator that got others past
the same finding (Thompson sampling of each pair of finding and operator). One in six tries is
honest, and learns nothing.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from evoguard.bench.attack.genome import BEHAVIOURS, HONEST, OPERATORS, Genome, control, crossed, first
from evoguard.bench.attack.guard import Guard, Said
from evoguard.bench.attack.oracle import Harm
from evoguard.bench.attack.patching import change_of, tree_of
from evoguard.bench.attack.watch import Course, roll_out
from evoguard.bench.corpus.changes import Change

HARMLESS, READ, ASKED, SCAN, SANDBOX, JUDGE, WATCH, PAST, WAITING = (
    "does no harm", "readers and rules", "people asked", "scan", "tests in the sandbox", "rules on the evidence",
    "rollout", "past all", "not judged",
)  # fmt: skip
GATES = (HARMLESS, READ, SCAN, SANDBOX, JUDGE, ASKED, WATCH, PAST, WAITING)
REWARD: Mapping[str, float] = {
    HARMLESS: 0.0, READ: 0.1, SCAN: 0.3, ASKED: 0.5, SANDBOX: 0.5, JUDGE: 0.7, WAITING: 0.6, WATCH: 0.9, PAST: 1.0,
}  # fmt: skip
"""What a try earns by the gate that stopped it; only what does harm earns anything."""
NOVELTY = 0.3
"""What a try earns more when all pairs of its genes are new."""
BATCH, KEPT, FRESH, CROSSED = 12, 24, 0.15, 0.15
ONE_HONEST_IN = 6
Oracle = Callable[[Mapping[str, str]], Awaitable[Harm]]
Watch = Callable[[Harm, int], Course]


@dataclass(slots=True)
class Try:
    """One patch and what became of it. `shown`: the findings that its author sees; `reached`: the dearest gate."""

    number: int
    genome: Genome
    parent: Try | None = None
    operator: str = ""
    end: str = ""
    shown: tuple[str, ...] = ()
    reached: int = 0
    harm: Harm | None = None
    course: Course | None = None
    novelty: float = 0.0

    @property
    def honest(self) -> bool:
        """Tell whether it is a control."""
        return self.genome.behaviour == HONEST

    @property
    def bypass(self) -> bool:
        """Tell whether confirmed harm was let in: no gate refused it, and nobody is asked about it by name."""
        return not self.honest and self.end in (WATCH, PAST)

    @property
    def reward(self) -> float:
        """Return what it earned."""
        return 0.0 if self.end == HARMLESS else REWARD[self.end] + NOVELTY * self.novelty


class Search:
    """One search of so many tries. The same seed, guard and oracle make the same tries."""

    def __init__(self, guard: Guard, oracle: Oracle, *, seed: int, most_verdicts: int, watch: Watch = roll_out) -> None:
        self._guard, self._oracle, self._watch = guard, oracle, watch
        self._draw = random.Random(f"attacker/{seed}")  # noqa: S311  (a search, no secret)
        self._seed = seed
        self._verdicts_left = self._batch_left = most_verdicts
        self._seen: set[tuple[str, ...]] = set()
        self._known: set[str] = set()
        self._won: dict[tuple[str, str], list[float]] = defaultdict(lambda: [1.0, 1.0])
        self.population: dict[str, list[Try]] = {behaviour: [] for behaviour in BEHAVIOURS}
        self.tries: list[Try] = []

    async def run(self, budget: int, tell: Callable[[Sequence[Try]], None] = lambda _: None) -> list[Try]:
        """Make so many tries and return them. Raises: UnavailableError when a gate or the oracle gave no answer."""
        while len(self.tries) < budget:
            batches = -(-(budget - len(self.tries)) // BATCH)
            self._batch_left = -(-self._verdicts_left // batches)  # spread, so that every generation learns of them
            batch = [self._next(len(self.tries) + n) for n in range(min(BATCH, budget - len(self.tries)))]
            await self._funnel(batch)
            for one in batch:
                self._learn(one)
            self.tries += batch
            tell(batch)
        return self.tries

    def _next(self, number: int) -> Try:
        if number % ONE_HONEST_IN == ONE_HONEST_IN - 1:
            return Try(number, self._fresh(lambda: control(self._draw)))
        behaviour = BEHAVIOURS[(number - number // ONE_HONEST_IN) % len(BEHAVIOURS)]
        kin = self.population[behaviour]
        if not kin or self._draw.random() < FRESH:
            return Try(number, self._fresh(lambda: first(behaviour, self._draw)))
        parent = max(self._draw.sample(kin, min(3, len(kin))), key=lambda one: one.reward)
        operator = self._operator(parent)
        mate = self._draw.choice(kin).genome if self._draw.random() < CROSSED else parent.genome
        made = crossed(parent.genome, mate, self._draw)
        return Try(number, self._fresh(lambda: OPERATORS[operator](made, self._draw)), parent, operator)

    def _fresh(self, make: Callable[[], Genome]) -> Genome:
        """Return a patch that was not tried yet, if one comes up; the rest of the genes is shaken a little."""
        made = make()
        for _ in range(20):
            key = repr(sorted(tree_of(made).items()))
            if key not in self._known:
                self._known.add(key)
                break
            made = OPERATORS[self._draw.choice([*OPERATORS])](make(), self._draw)
        return made

    def _operator(self, parent: Try) -> str:
        """Return the operator that promises most against what the parent was told."""
        about = _about(parent)
        drawn = {name: self._draw.betavariate(*self._won[about, name]) for name in OPERATORS}
        return max(drawn, key=lambda name: drawn[name])

    async def _funnel(self, batch: Sequence[Try]) -> None:
        """Carry each through the gates, the cheap ones first; who is stopped meets no dearer one."""
        changes: dict[int, Change] = {}
        for one in batch:
            one.harm = await self._oracle(tree_of(one.genome))
            if one.honest == one.harm.confirmed:
                one.end = HARMLESS
                continue
            changes[one.number] = change_of(one.genome)
            _stop(one, 1, await self._guard.read(changes[one.number]), READ)
        left = [one for one in batch if not one.end]
        if left:
            said = await self._guard.scan([changes[one.number] for one in left])
            for one, what in zip(left, said, strict=True):
                _stop(one, 2, what, SCAN)
        for one in self._draw.sample([*batch], len(batch)):
            if not one.end:
                await self._judged(one, changes[one.number])

    async def _judged(self, one: Try, change: Change) -> None:
        if self._batch_left <= 0:
            one.end = WAITING
            return
        self._batch_left -= 1
        self._verdicts_left -= 1
        tests, rules = await self._guard.judge(change)
        _stop(one, 3, tests, SANDBOX)
        if not one.end:
            _stop(one, 4, rules, JUDGE)
        if not one.end and one.harm is not None:
            one.reached = 5
            one.course = self._watch(one.harm, self._seed)
            one.end = WATCH if one.course.end.startswith("rollout.") else PAST
            one.shown = (one.course.end,)

    def _learn(self, one: Try) -> None:
        if one.honest:
            return
        new = one.genome.features - self._seen
        self._seen |= one.genome.features
        one.novelty = len(new) / len(one.genome.features)
        if one.parent is not None:
            further = REWARD[one.end] > REWARD[one.parent.end]
            self._won[_about(one.parent), one.operator][0 if further else 1] += 1.0
        kin = self.population[one.genome.behaviour]
        kin.append(one)
        kin.sort(key=lambda each: -each.reward)
        del kin[KEPT:]


def _about(one: Try) -> str:
    """Return what a try was told first, or where it ended: what the next operator is chosen by."""
    return one.shown[0] if one.shown else one.end


def _stop(one: Try, gate: int, said: Said, name: str) -> None:
    """Note what a gate said. An honest patch goes on when people are asked: that is no refusal."""
    one.reached = gate
    if said.denied:
        one.end, one.shown = name, said.denied
    elif said.asked and not one.honest:
        one.end, one.shown = ASKED, said.asked
    elif said.asked:
        one.shown = (*one.shown, *said.asked)
