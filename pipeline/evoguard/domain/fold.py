"""What the batches of a rollout add up to, kept so that a look costs the new batches only.

A `Fold` takes batches in order of arrival and is at every moment what taking all of them at once would give, to the
last bit; `tests/unit/rollout/whole.py` says the same without state, and a property test holds one against the other.

Two worlds must both be safe. In one, bad events belong to units that were new in their batch; then the batch's own
share is exact. In the other, a unit comes back later and fails for the first time; then its arm follows the share
that the flag had. So both tests use the flag's share while what was counted looks like it; where it does not, the
abort test uses the larger of the two and the promotion test the smaller: either can only weaken what it would allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from evoguard.domain.evalues import EProcess, abort_process, promote_process, ratio_process, split
from evoguard.domain.kpi import COUNTED_OUTSIDE, Arm, KpiBatch, ValueKpi, ValueSeen
from evoguard.domain.ranks import Block, Ranks, no_worse_gains, no_worse_process

RESTART_MS = 60_000
ABORT_GROUP, ABORT_GROUP_MS = 20, 2_000
PROMOTE_GROUP = 100
"""Units below which a batch waits for the next: the share of a handful of units says more about luck than routing."""

SETTLE_MS = 90_000
"""For so long after a stage was entered SDKs that poll (15 s) and report (60 s) may still tell of the share before."""
NO_VALUES: Mapping[str, ValueKpi] = {}


@dataclass(frozen=True, slots=True)
class StageEntry:
    """When the rollout entered a stage; unix milliseconds."""

    percent: int
    entered_at: int


@dataclass(frozen=True, slots=True)
class Count:
    """Units that were new in a batch or group, and the bad events among them by KPI and arm."""

    at: int
    known_good: int
    candidate: int
    bad: Mapping[tuple[str, Arm], int]
    valued: Mapping[tuple[str, Arm], int] = field(default_factory=dict)
    """How many units gave a value, by KPI and arm."""
    values: tuple[ValueSeen, ...] = ()
    """The values themselves, of a single batch only: sums do without."""

    @property
    def units(self) -> int:
        """Return how many units were new, in both arms."""
        return self.known_good + self.candidate

    @property
    def share(self) -> float:
        """Return the candidate's share of the new units, 0.0 when there were none."""
        return self.candidate / self.units if self.units else 0.0

    def plus(self, other: Count) -> Count:
        """Return both together; the time is that of the first."""
        return Count(
            self.at,
            self.known_good + other.known_good,
            self.candidate + other.candidate,
            _added(self.bad, other.bad),
            _added(self.valued, other.valued),
        )

    def seen_by(self, process: EProcess, kpi: str, share: float) -> EProcess:
        """Return the process after this group's events of one KPI."""
        bad = self.bad.get((kpi, "candidate"), 0), self.bad.get((kpi, "known_good"), 0)
        return process.seen(share, candidate=bad[0], known_good=bad[1])


NOTHING = Count(0, 0, 0, {})


@dataclass(frozen=True, slots=True)
class Tally:
    """What the batches say at one moment; all that a judgement needs to know of them."""

    entries: tuple[StageEntry, ...]
    now_ms: int
    taken: int
    """Batches it rests on: the first so many in order of arrival."""
    newest_at: int
    """The newest time that any of them names, whoever counted it."""
    alive_at: int
    """The newest time up to now of a batch counted outside in this stage, or when the stage was entered."""
    stage: Count
    before: Count
    """Counted outside the candidate: in this stage up to now, and before this stage was entered."""
    aborts: Mapping[str, float]
    promotes: Mapping[str, float]
    """Log e-values by KPI: the highest ever for "worse", and now for "not worse than the margin"."""
    ratio: float = 0.0
    """The highest log e-value of this stage for "new units do not meet the candidate by the flag's share"."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """The counts of one stage, and by KPI the evidence of its whole groups for "not worse than the margin"."""

    entry: StageEntry
    kpis: Mapping[str, ValueKpi]
    processes: Mapping[str, EProcess]
    ranked: Mapping[str, tuple[EProcess, Block]]
    """Of the KPIs of values: the evidence of full blocks, and the block that is not yet."""
    total: Count = NOTHING
    group: Count = NOTHING
    newest_at: int = 0
    ratio: EProcess = field(default_factory=ratio_process)

    def plus(self, count: Count) -> _Stage:
        """Return the stage with one more count."""
        group, total = self.group.plus(count), self.total.plus(count)
        more = replace(
            self, group=group, total=total, newest_at=max(self.newest_at, count.at), ratio=self._split(count),
            ranked=self._ranked(count.values),
        )  # fmt: skip
        if group.units < PROMOTE_GROUP:
            return more
        return replace(more, processes={kpi: more._weighed(kpi) for kpi in self.processes}, group=NOTHING)

    def _split(self, count: Count) -> EProcess:
        if count.at < self.entry.entered_at + SETTLE_MS:
            return self.ratio
        return split(self.ratio, self.entry.percent / 100, candidate=count.candidate, known_good=count.known_good)

    def _ranked(self, values: tuple[ValueSeen, ...]) -> Mapping[str, tuple[EProcess, Block]]:
        if not values:
            return self.ranked
        ranked = dict(self.ranked)
        for value in values:
            process, block = ranked[value.kpi]
            block = block.plus(value.arm, value.value, self.entry.entered_at)
            if block.full:
                process = process.gained(no_worse_gains(self.kpis[value.kpi], block.candidate, block.known_good))
                block = Block()
            ranked[value.kpi] = process, block
        return ranked

    def promote(self, kpi: str) -> float:
        """Return the log e-value; an unfinished group counts only where it speaks against the candidate."""
        if kpi in self.ranked:
            return self.ranked[kpi][0].log_e
        return min(self.processes[kpi].log_e, self._weighed(kpi).log_e)

    def _weighed(self, kpi: str) -> EProcess:
        """Return the process after the group; where no new unit met the candidate, only its bad events count."""
        share = self._share()
        if share > 0.0:
            return self.group.seen_by(self.processes[kpi], kpi, share)
        bad = self.group.bad.get((kpi, "candidate"), 0)
        return self.processes[kpi].seen(self.entry.percent / 100, candidate=bad, known_good=0)

    def _share(self) -> float:
        """Return the flag's share while group and stage look like it (two standard deviations), else the smaller."""
        flagged = self.entry.percent / 100
        for seen in (self.group, self.total):
            if seen.share < flagged - 2.0 * math.sqrt(flagged * (1.0 - flagged) / max(1, seen.units)):
                return min(self.group.share, flagged)
        return flagged


class _Stream:
    """Batches of one trust: which units failed already, and by KPI the evidence for "worse than known-good".

    Streams are never mixed: a candidate that blames the other arm must not thin out honest counts.
    """

    __slots__ = ("_clock", "_group", "_met", "_processes", "_ranks", "_units")

    def __init__(self, kpis: Iterable[str], values: Mapping[str, ValueKpi], began_at: int) -> None:
        self._units: dict[str, set[str]] = {kpi: set() for kpi in kpis}
        self._ranks = {kpi: Ranks(declared, began_at) for kpi, declared in values.items()}
        self._processes = {kpi: abort_process() for kpi in self._units}
        self._group: Count | None = None
        self._clock = began_at
        self._met: dict[int, Count] = {}
        """Units of the closed groups of each stage, by the time when it was entered."""

    def take(self, batch: KpiBatch, entries: tuple[StageEntry, ...]) -> Count:
        """Return what the batch adds. A group ends with enough units for a share, when it is old, or with its stage."""
        count, group = self._counted(batch), self._group
        for value in count.values:
            stage_at = _entry_at(entries, count.at).entered_at
            self._ranks[value.kpi].take(value, count.at, stage_at, lambda clock: _restart_due(clock, count.at, entries))
        if group is not None and (
            count.at - group.at >= ABORT_GROUP_MS or _entry_at(entries, count.at) != _entry_at(entries, group.at)
        ):
            self._close(group, entries)
            group = None
        self._group = count if group is None else group.plus(count)
        if self._group.units >= ABORT_GROUP:
            self._close(self._group, entries)
            self._group = None
        return count

    def peak(self, kpi: str, entries: tuple[StageEntry, ...], now_ms: int) -> float:
        """Return the highest log e-value that was ever reached; an open group counts once it waited long enough."""
        if kpi in self._ranks:
            return max(0.0, self._ranks[kpi].process.peak)
        process = self._processes[kpi]
        if self._group is not None and now_ms - self._group.at >= ABORT_GROUP_MS:
            process = self._after(kpi, self._group, entries)
        return max(0.0, process.peak)

    def _counted(self, batch: KpiBatch) -> Count:
        """Return the batch with, for each KPI, only the first bad event and the first value of a unit."""
        bad: dict[tuple[str, Arm], int] = {}
        for event in batch.bad:
            known = self._units.get(event.kpi)
            if known is not None and event.unit not in known:
                known.add(event.unit)
                bad[event.kpi, event.arm] = bad.get((event.kpi, event.arm), 0) + 1
        first = tuple(v for v in batch.values if v.kpi in self._ranks and self._ranks[v.kpi].first(v.unit))
        valued: dict[tuple[str, Arm], int] = {}
        for value in first:
            valued[value.kpi, value.arm] = valued.get((value.kpi, value.arm), 0) + 1
        return Count(batch.at, batch.exposed_known_good, batch.exposed_candidate, bad, valued, first)

    def _close(self, group: Count, entries: tuple[StageEntry, ...]) -> None:
        self._processes = {kpi: self._after(kpi, group, entries) for kpi in self._processes}
        self._met[_entry_at(entries, group.at).entered_at] = self._met_with(group, entries)
        self._clock = max(self._clock, group.at)

    def _met_with(self, group: Count, entries: tuple[StageEntry, ...]) -> Count:
        """Return the units of the group's stage so far, the group's own with them."""
        before = self._met.get(_entry_at(entries, group.at).entered_at, NOTHING)
        return Count(0, before.known_good + group.known_good, before.candidate + group.candidate, {})

    def _after(self, kpi: str, group: Count, entries: tuple[StageEntry, ...]) -> EProcess:
        process = self._processes[kpi]
        if _restart_due(self._clock, group.at, entries):
            process = process.restarted()
        flagged = _entry_at(entries, group.at).percent / 100
        return group.seen_by(process, kpi, _abort_share(group, self._met_with(group, entries), flagged))


class Fold:
    """Takes each batch of one rollout once, in order of arrival. Changed in place: a day has too many units to copy.

    Raises: ValueError without a stage, or with a margin that cannot be proved.
    """

    def __init__(
        self,
        margins: Mapping[str, int],
        entries: tuple[StageEntry, ...],
        values: Mapping[str, ValueKpi] = NO_VALUES,
    ) -> None:
        if not entries:
            raise ValueError("a rollout that is judged has entered a stage")
        if set(margins) & set(values):
            raise ValueError("a KPI is of events or of values")
        self.margins = dict(margins)
        self.values = dict(values)
        self.entries = entries
        self.taken = 0
        self._newest_at = 0
        self._outside = _Stream(margins, values, entries[0].entered_at)
        self._inside = _Stream(margins, values, entries[0].entered_at)
        self._before = NOTHING
        self._stage = self._fresh()
        self._ahead: tuple[Count, ...] = ()
        """Counts of this stage from the first one on whose time has not come; they wait, for order matters."""

    def serves(
        self,
        margins: Mapping[str, int],
        entries: tuple[StageEntry, ...],
        now_ms: int,
        values: Mapping[str, ValueKpi] = NO_VALUES,
    ) -> bool:
        """Tell whether it still is what folding all at once would give; when not, every batch must be taken anew.

        It is not under other KPIs, other entries than more of them after every batch, or a clock gone back.
        """
        known, later = entries[: len(self.entries)], entries[len(self.entries) :]
        return (
            self.margins == margins
            and self.values == values
            and self.entries == known
            and all(entry.entered_at > self._newest_at for entry in later)
            and now_ms >= self._stage.newest_at
        )

    def enter(self, entries: tuple[StageEntry, ...]) -> None:
        """Go on to later stages, which `serves` allowed: all that was counted is before them."""
        if entries == self.entries:
            return
        for count in (self._stage.total, *self._ahead):
            self._before = self._before.plus(count)
        self.entries, self._ahead = entries, ()
        self._stage = self._fresh()

    def take(self, batches: Iterable[KpiBatch]) -> None:
        """Add batches of this rollout, none of which it was given before."""
        ahead = list(self._ahead)
        for batch in batches:
            self.taken += 1
            self._newest_at = max(self._newest_at, batch.at)
            if batch.assurance not in COUNTED_OUTSIDE:
                self._inside.take(batch, self.entries)
                continue
            count = self._outside.take(batch, self.entries)
            if count.at < self.entries[-1].entered_at:
                self._before = self._before.plus(count)
            else:
                ahead.append(count)
        self._ahead = tuple(ahead)

    def tally(self, now_ms: int) -> Tally:
        """Return what all that was taken says at `now_ms`, which `serves` allowed."""
        self._settle(now_ms)
        stage = self._stage
        for count in self._ahead:
            stage = stage.plus(count) if count.at <= now_ms else stage
        streams, kpis = (self._outside, self._inside), (*self.margins, *self.values)
        return Tally(
            entries=self.entries,
            now_ms=now_ms,
            taken=self.taken,
            newest_at=self._newest_at,
            alive_at=max(self.entries[-1].entered_at, stage.newest_at),
            stage=stage.total,
            before=self._before,
            aborts={kpi: max(s.peak(kpi, self.entries, now_ms) for s in streams) for kpi in kpis},
            promotes={kpi: stage.promote(kpi) for kpi in kpis},
            ratio=stage.ratio.peak,
        )

    def _settle(self, now_ms: int) -> None:
        """Count the first ones whose time has come for good; a clock gone back before them makes it serve no more."""
        done = 0
        for count in self._ahead:
            if count.at > now_ms:
                break
            self._stage = self._stage.plus(count)
            done += 1
        self._ahead = self._ahead[done:]

    def _fresh(self) -> _Stage:
        processes = {kpi: promote_process(margin / 100) for kpi, margin in self.margins.items()}
        return _Stage(self.entries[-1], self.values, processes, {k: (no_worse_process(), Block()) for k in self.values})


def tally_of(
    margins: Mapping[str, int],
    entries: tuple[StageEntry, ...],
    batches: Iterable[KpiBatch],
    now_ms: int,
    values: Mapping[str, ValueKpi] = NO_VALUES,
) -> Tally:
    """Return the tally of all batches at once; a batch id counts once for each side that counted."""
    known = tuple(batches)
    once: dict[tuple[str, bool], KpiBatch] = {}
    for batch in known:
        once.setdefault((batch.id, batch.assurance in COUNTED_OUTSIDE), batch)
    fold = Fold(margins, entries, values)
    fold.take(once.values())
    return replace(fold.tally(now_ms), taken=len(known))


def _added(one: Mapping[tuple[str, Arm], int], other: Mapping[tuple[str, Arm], int]) -> Mapping[tuple[str, Arm], int]:
    if not other:
        return one
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *other)}


def _abort_share(group: Count, met: Count, flagged: float) -> float:
    """Return the flag's share while group and stage look like it (two standard deviations), else the larger.

    Where units meet the candidate by the flag's share, weighing all groups by that share has expectation 1; a larger
    one in those that look otherwise only lowers it. Each group's own share would cost a third of the evidence.
    """
    for seen in (group, met):
        if seen.share > flagged + 2.0 * math.sqrt(flagged * (1.0 - flagged) / max(1, seen.units)):
            return max(group.share, flagged)
    return flagged


def _restart_due(clock: int, at: int, entries: tuple[StageEntry, ...]) -> bool:
    """Tell whether a full minute or a new stage began after `clock`, at or before `at`."""
    first = entries[0].entered_at
    minute = (at - first) // RESTART_MS > (clock - first) // RESTART_MS
    return at > clock and (minute or any(clock < e.entered_at <= at for e in entries[1:]))


def _entry_at(entries: tuple[StageEntry, ...], at: int) -> StageEntry:
    return next((e for e in reversed(entries) if e.entered_at <= at), entries[0])
