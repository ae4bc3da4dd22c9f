"""The log proved in one pass: chains, signed roots, registrations and projections, with a key the auditor brings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evoguard.adapters.signer import read_command
from evoguard.adapters.sqlite import event_log, roots
from evoguard.adapters.sqlite.replay import Replay
from evoguard.adapters.sqlite.roots import Root, Row
from evoguard.adapters.sqlite.sponsors import Registrations
from evoguard.domain.activation import InForce
from evoguard.domain.canonical import Json
from evoguard.errors import EvoguardError, UnavailableError
from evoguard.ports.signer import Signer

SHOWN = 5
"""Problems of one sort that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found. `problems` empty: chains, roots, registrations and projections are one story."""

    events: int
    streams: int
    roots: int
    last_root_seq: int
    unsigned_tail: int
    """Events after the newest signed root: chained, but not yet signed."""
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Pass:
    """One walk over all events in the order in which they were written."""

    replay: Replay
    tops: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Stream to version and hash of its newest event so far, as the rows say."""
    broken: list[str] = field(default_factory=list)
    bad_streams: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    known: Registrations = field(default_factory=Registrations)
    rules: InForce = field(default_factory=lambda: InForce(""))
    events: int = 0

    def take(self, row: Sequence[object]) -> None:
        """Prove one row's link, then apply it; a stream that broke once is not applied any further."""
        stream = str(row[1])
        version, prev = self.tops.get(stream, (0, ""))
        self.tops[stream] = (int(str(row[3])), str(row[-1]))
        if stream in self.bad_streams:
            return
        try:
            item = event_log.proved(stream, tuple(row[2:]), version + 1, prev)
        except EvoguardError as err:
            self.broken.append(err.message)
            self.bad_streams.add(stream)
            return
        self.events += 1
        problems = (
            self.known.problem(item),
            self.rules.take(item, self.known.people.get, read_command),
            self.replay.add(item),
        )
        self.wrong += [text for text in problems if text]

    def heads(self) -> list[Json]:
        """Return what a root signed at this point covers, as `roots.heads` does."""
        return [[stream, *self.tops[stream]] for stream in sorted(self.tops)]


async def verify(
    con: sqlite3.Connection, signer: Signer, *, file: Path | None = None, demanded: bytes | None = None
) -> Report:
    """Prove the log with the signer's public key alone, as it stands at one moment.

    `file` is where the newest root is kept; without it (a copy of the database alone) it is not looked at. `demanded`
    is a root that the auditor kept: it must be in the chain. Raises: UnavailableError.
    """
    with _one_moment(con, file) as bundle, closing(Replay()) as replay:
        chain = roots.rows(con)
        signed, problems = await _signed(chain, signer, file, bundle)
        problems += _demanded(demanded, [*chain, *signed[len(chain) :]], signed)
        walked, changed = _walk(con, replay, [root for root in signed if isinstance(root, Root)])
        problems = [*_bounded(walked.broken, "streams are broken"), *problems, *_bounded(changed, "roots do not match")]
        problems += _bounded(walked.wrong, "events are wrong")
        problems += ["projections not compared: the log itself does not hold"] if walked.broken else []
        problems += [] if walked.broken else replay.differences(con)
        last = max((row.seq for row in chain), default=0)
        newest, tail = con.execute("select coalesce(max(seq),0), sum(seq>?) from events", (last,)).fetchone()
    if last > newest:
        problems.append(f"the newest signed root covers event {last}, but the log ends at {newest}: the tail was cut")
    return Report(walked.events, len(walked.tops), len(chain), last, int(tail or 0), tuple(problems))


def _walk(con: sqlite3.Connection, replay: Replay, signed: Sequence[Root]) -> tuple[_Pass, list[str]]:
    """Walk all events; return the walk, and every root whose heads are not what the log had at its place."""
    row = con.execute("select value from meta where name='verifier'").fetchone()
    walked, changed = _Pass(replay, rules=InForce(str(row[0]) if row else "")), []
    waiting = sorted(signed, key=lambda root: root.seq, reverse=True)

    def settle(before: float) -> None:
        while waiting and waiting[-1].seq < before:
            root = waiting.pop()
            if not roots.covers(root, walked.heads()):
                changed.append(f"the log up to event {root.seq} is not what was signed then (root {root.n})")

    for row in con.execute(
        "select seq,stream,format,version,at,type,body,actor,reason,causation,prev_hash,hash from events order by seq"
    ):
        settle(row[0])
        walked.take(row)
    settle(float("inf"))
    return walked, changed


async def _signed(
    chain: Sequence[Row], signer: Signer, file: Path | None, bundle: bytes | None
) -> tuple[list[Root | None], list[str]]:
    """Return what each root says (None: not this key's), the file's when it leads by one, and what is wrong."""
    said = [await _read(signer, row.bundle) for row in chain]
    unsigned = said.count(None)
    problems = []
    if unsigned:
        problems.append(f"{unsigned} root{'s are' if unsigned > 1 else ' is'} not signed by this key")
    links = [text for n, row in enumerate(chain) if (text := _link(chain[n - 1] if n else None, row, said[n]))]
    problems += _bounded(links, "roots are out of their chain")
    last = chain[-1] if chain else None
    if file is None or bundle == (last.bundle if last else None):
        return said, problems
    ahead = await _read(signer, bundle) if bundle is not None else None
    if ahead is not None and roots.follows(ahead, last):
        return [*said, ahead], problems  # a worker that was killed, or is just now, between file and database
    what = "is gone" if bundle is None else f"holds root {ahead.n}" if ahead else "holds no root of this key"
    why = f"{file.name} {what}, the database's newest is {last.n if last else 'none'}"
    return said, [*problems, roots.vanished(why).message]


async def _read(signer: Signer, bundle: bytes) -> Root | None:
    try:
        return await roots.read(signer, bundle)
    except EvoguardError:
        return None


def _link(before: Row | None, row: Row, root: Root | None) -> str:
    """Return how a root does not carry on from the one before it, or an empty text."""
    if root is None:
        return ""
    if (root.n, root.seq) != (row.n, row.seq):
        return f"root {row.n} at event {row.seq} is about something else"
    if not roots.follows(root, before) or (before is not None and root.seq <= before.seq):
        return f"root {root.n} does not carry on from the root before it: roots are missing or replaced"
    return ""


def _demanded(demanded: bytes | None, chain: Sequence[Row | Root | None], signed: Sequence[Root | None]) -> list[str]:
    """Demand that the auditor's root is in the chain, byte for byte; what it signed is proved with all others."""
    if demanded is None or any(
        row is not None and root is not None and row.bundle == demanded for row, root in zip(chain, signed, strict=True)
    ):
        return []
    return ["the root that you kept is not in this log: it was cut back or replaced, or your root is of another log"]


@contextmanager
def _one_moment(con: sqlite3.Connection, file: Path | None) -> Iterator[bytes | None]:
    """Hold the database as it stands and yield the newest root's bundle as its file had it then."""
    for _ in range(roots.LOOKS):
        bundle = roots.kept(file) if file is not None else None
        con.execute("begin")
        con.execute("select max(seq) from events").fetchone()  # the moment is taken at the first read
        if file is None or roots.kept(file) == bundle:
            try:
                yield bundle
            finally:
                con.execute("rollback")
            return
        con.execute("rollback")
    raise UnavailableError("root file", "roots are signed all the time", fix="try again")


def _bounded(lines: list[str], others: str) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"{more} more {others}"] if more > 0 else lines
