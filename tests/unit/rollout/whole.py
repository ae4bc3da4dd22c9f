"""What the batches of a rollout add up to, said without state: the definition that `domain/fold.py` is held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from evoguard.domain.evalues import EProcess, abort_process, promote_process, ratio_process, split
from evoguard.domain.fold import NOTHING, SETTLE_MS, Count, StageEntry, Tally
from evoguard.domain.kpi import COUNTED_OUTSIDE, Arm, KpiBatch, ValueKpi
from evoguard.domain.ranks import BLOCK, no_worse_gains, no_worse_process, worse_gains, worse_process

RESTART_MS, ABORT_GROUP, ABORT_GROUP_MS, PROMOTE_GROUP = 60_000, 20, 2_000, 100


def whole(
    margins: Mapping[str, int],
    entries: tuple[StageEntry, ...],
    batches: tuple[KpiBatch, ...],
    now_ms: int,
    values: Mapping[str, ValueKpi] | None = None,
) -> Tally:
    """Return the tally of all batches, from all batches."""
    values = values or {}
    outside = counts((b for b in batches if b.assurance in COUNTED_OUTSIDE), values)
    inside = counts((b for b in batches if b.assurance not in COUNTED_OUTSIDE), values)
    entry = entries[-1]
    stage = [c for c in outside if entry.entered_at <= c.at <= now_ms]
    return Tally(
        entries=entries,
        now_ms=now_ms,
        taken=len(batches),
        newest_at=max((c.at for c in (*outside, *inside)), default=0),
        alive_at=max((c.at for c in stage), default=entry.entered_at),
        stage=_sum(stage, margins),
        before=_sum((c for c in outside if c.at < entry.entered_at), margins),
        aborts={kpi: abort_evidence(kpi, entries, (outside, inside), now_ms) for kpi in margins}
        | {
            kpi: max(rank_peak(kpi, v, entries, outside), rank_peak(kpi, v, entries, inside))
            for kpi, v in values.items()
        },
        promotes={kpi: promote_evidence(kpi, margin, entry.percent, stage) for kpi, margin in margins.items()}
        | {kpi: rank_promotes(kpi, v, stage) for kpi, v in values.items()},
        ratio=ratio_peak(entry, stage),
    )


def rank_peak(kpi: str, declared: ValueKpi, entries: tuple[StageEntry, ...], stream: tuple[Count, ...]) -> float:
    """Return the highest log e-value of full blocks of one stage each, in order of arrival."""
    process, clock, block, stage = worse_process(), entries[0].entered_at, [], None
    for count in stream:
        for value in (v for v in count.values if v.kpi == kpi):
            if _entry_at(entries, count.at).entered_at != stage:
                block, stage = [], _entry_at(entries, count.at).entered_at
            block.append(value)
            if len(block) == BLOCK:
                if _restart_due(clock, count.at, entries):
                    process = process.restarted()
                clock = max(clock, count.at)
                process, block = process.gained(worse_gains(declared, *_arms(block))), []
    return max(0.0, process.peak)


def rank_promotes(kpi: str, declared: ValueKpi, stage: list[Count]) -> float:
    """Return the log e-value of the stage's full blocks."""
    process = no_worse_process()
    seen = [v for count in stage for v in count.values if v.kpi == kpi]
    for n in range(0, len(seen) - BLOCK + 1, BLOCK):
        process = process.gained(no_worse_gains(declared, *_arms(seen[n : n + BLOCK])))
    return process.log_e


def ratio_peak(entry: StageEntry, stage: list[Count]) -> float:
    """Return the highest log e-value against the flag's share, once SDKs had time to learn of it."""
    process = ratio_process()
    for count in stage:
        if count.at >= entry.entered_at + SETTLE_MS:
            process = split(process, entry.percent / 100, candidate=count.candidate, known_good=count.known_good)
    return process.peak


def _arms(block):
    return [[v.value for v in block if v.arm == arm] for arm in ("candidate", "known_good")]


def counts(batches: Iterable[KpiBatch], values: Iterable[str] = ()) -> tuple[Count, ...]:
    """Return what each batch adds: a batch id once, and for each KPI only the first bad event of a unit."""
    ids: set[str] = set()
    units: set[tuple[str, ...]] = set()
    found = []
    for batch in batches:
        if batch.id in ids:
            continue
        ids.add(batch.id)
        bad: dict[tuple[str, Arm], int] = {}
        for event in batch.bad:
            if (event.kpi, event.unit) not in units:
                units.add((event.kpi, event.unit))
                bad[event.kpi, event.arm] = bad.get((event.kpi, event.arm), 0) + 1
        first = []
        for value in batch.values:
            if value.kpi in values and ("value", value.kpi, value.unit) not in units:
                units.add(("value", value.kpi, value.unit))
                first.append(value)
        arms = [(v.kpi, v.arm) for v in first]
        valued = {arm: arms.count(arm) for arm in arms}
        found.append(Count(batch.at, batch.exposed_known_good, batch.exposed_candidate, bad, valued, tuple(first)))
    return tuple(found)


def abort_evidence(
    kpi: str, entries: tuple[StageEntry, ...], streams: tuple[tuple[Count, ...], ...], now_ms: int
) -> float:
    """Return the highest log e-value for "worse than known-good" that any stream of counts ever reached.

    Streams of different trust are never mixed: a candidate that blames the other arm must not thin out honest counts.
    """
    peak = 0.0
    for stream in streams:
        process = abort_process()
        clock = entries[0].entered_at
        met: dict[int, Count] = {}
        for group in _groups(stream, entries, now_ms):
            if _restart_due(clock, group.at, entries):
                process = process.restarted()
            clock = max(clock, group.at)
            entry = _entry_at(entries, group.at)
            met[entry.entered_at] = met.get(entry.entered_at, NOTHING).plus(group)
            share = _abort_share(group, met[entry.entered_at], entry.percent / 100)
            process = group.seen_by(process, kpi, share)
        peak = max(peak, process.peak)
    return peak


def promote_evidence(kpi: str, margin_percent: int, percent: int, stage: Iterable[Count]) -> float:
    """Return the log e-value for "not worse than the margin" from the counts of one stage.

    An unfinished group counts only where it speaks against the candidate.
    """
    process = promote_process(margin_percent / 100)
    group, total = Count(0, 0, 0, {}), Count(0, 0, 0, {})
    for count in stage:
        group, total = group.plus(count), total.plus(Count(count.at, count.known_good, count.candidate, {}))
        if group.units >= PROMOTE_GROUP:
            process = _weighed(process, kpi, group, _promote_share(group, total, percent / 100), percent)
            group = Count(0, 0, 0, {})
    unfinished = _weighed(process, kpi, group, _promote_share(group, total, percent / 100), percent)
    return min(process.log_e, unfinished.log_e)


def _weighed(process: EProcess, kpi: str, group: Count, share: float, percent: int) -> EProcess:
    """Return the process after a group; where no new unit met the candidate, only its bad events count."""
    if share > 0.0:
        return group.seen_by(process, kpi, share)
    return process.seen(percent / 100, candidate=group.bad.get((kpi, "candidate"), 0), known_good=0)


def _promote_share(group: Count, total: Count, flagged: float) -> float:
    """Return the flag's share while group and stage look like it (two standard deviations), else the smaller one."""
    for seen in (group, total):
        if _share(seen) < flagged - 2.0 * math.sqrt(flagged * (1.0 - flagged) / max(1, seen.units)):
            return min(_share(group), flagged)
    return flagged


def _abort_share(group: Count, met: Count, flagged: float) -> float:
    """Return the flag's share while group and stage look like it (two standard deviations), else the larger one."""
    for seen in (group, met):
        if _share(seen) > flagged + 2.0 * math.sqrt(flagged * (1.0 - flagged) / max(1, seen.units)):
            return max(_share(group), flagged)
    return flagged


def _groups(stream: tuple[Count, ...], entries: tuple[StageEntry, ...], now_ms: int) -> Iterator[Count]:
    """Yield groups of a stage's batches with enough units for a share, or that waited long enough."""
    group: Count | None = None
    for count in stream:
        if group is not None and (
            count.at - group.at >= ABORT_GROUP_MS or _entry_at(entries, count.at) != _entry_at(entries, group.at)
        ):
            yield group
            group = None
        group = count if group is None else group.plus(count)
        if group.units >= ABORT_GROUP:
            yield group
            group = None
    if group is not None and now_ms - group.at >= ABORT_GROUP_MS:
        yield group


def _restart_due(clock: int, at: int, entries: tuple[StageEntry, ...]) -> bool:
    """Tell whether a full minute or a new stage began after `clock`, at or before `at`."""
    first = entries[0].entered_at
    minute = (at - first) // RESTART_MS > (clock - first) // RESTART_MS
    return at > clock and (minute or any(clock < e.entered_at <= at for e in entries[1:]))


def _entry_at(entries: tuple[StageEntry, ...], at: int) -> StageEntry:
    return next((e for e in reversed(entries) if e.entered_at <= at), entries[0])


def _share(count: Count) -> float:
    return count.candidate / count.units if count.units else 0.0


def _sum(stage: Iterable[Count], kpis: Iterable[str]) -> Count:
    total = NOTHING
    for count in stage:
        total = total.plus(count)
    bad = {key: number for key, number in total.bad.items() if key[0] in kpis}
    return Count(0, total.known_good, total.candidate, bad, total.valued)
