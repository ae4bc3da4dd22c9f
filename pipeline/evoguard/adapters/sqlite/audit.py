"""The log proved: every chain recomputed, every signed root checked against a key that the auditor brings."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from evoguard.adapters.sqlite import event_log
from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.canonical import Digest, Json, canonical
from evoguard.errors import EvoguardError
from evoguard.ports.clock import Clock
from evoguard.ports.signer import Signer

ROOT_TYPE = "urn:evoguard:event-log-root:v0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found. `problems` empty: chains are whole and match every signed root."""

    events: int
    streams: int
    roots: int
    last_root_seq: int
    unsigned_tail: int
    """Events after the newest signed root: chained, but not yet signed."""
    problems: tuple[str, ...]


def heads(con: sqlite3.Connection, upto_seq: int) -> list[Json]:
    """Return (stream, version, hash) of every stream's newest event at or below a sequence number."""
    rows = con.execute(
        "select stream, version, hash from events where seq in"
        " (select max(seq) from events where seq<=? group by stream) order by stream",
        (upto_seq,),
    )
    return [[str(r[0]), int(r[1]), str(r[2])] for r in rows]


async def sign_root(con: sqlite3.Connection, signer: Signer, clock: Clock) -> bool:
    """Sign all heads when anything was appended since the last root; tell whether a root was added."""
    newest = con.execute("select coalesce(max(seq), 0) from events").fetchone()[0]
    signed = con.execute("select coalesce(max(seq), 0) from roots").fetchone()[0]
    if newest == signed:
        return False
    tops = heads(con, newest)
    digest = hashlib.sha256(canonical(tops)).hexdigest()
    statement: Mapping[str, Json] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "heads", "digest": {"sha256": digest}}],
        "predicateType": ROOT_TYPE,
        "predicate": {"seq": newest, "streams": len(tops), "at": clock.now_ms()},
    }
    bundle = await signer.attest(statement)
    with transaction(con):
        con.execute("insert into roots(at,seq,heads,bundle) values(?,?,?,?)",
                    (clock.now_ms(), newest, f"sha256:{digest}", bundle.decode()))  # fmt: skip
    return True


async def verify(con: sqlite3.Connection, signer: Signer) -> Report:
    """Recompute every chain and check every root with the signer's public key alone."""
    problems: list[str] = []
    streams = [str(r[0]) for r in con.execute("select distinct stream from events order by stream")]
    count = 0
    for stream in streams:
        try:
            count += len(event_log.read(con, stream))
        except EvoguardError as err:
            problems.append(err.message)
    roots = list(con.execute("select seq, heads, bundle from roots order by id"))
    seqs = [int(r[0]) for r in roots]
    if seqs != sorted(seqs):
        problems.append("signed roots are out of order")
    for seq, digest, bundle in roots:
        problems += await _root_problems(con, signer, int(seq), Digest(digest), str(bundle))
    newest = con.execute("select coalesce(max(seq), 0) from events").fetchone()[0]
    last = seqs[-1] if seqs else 0
    if last > newest:
        problems.append(f"the newest signed root covers event {last}, but the log ends at {newest}: the tail was cut")
    tail = con.execute("select count(*) from events where seq>?", (last,)).fetchone()[0]
    return Report(count, len(streams), len(roots), last, int(tail), tuple(problems))


async def _root_problems(con: sqlite3.Connection, signer: Signer, seq: int, digest: Digest, bundle: str) -> list[str]:
    try:
        statement = await signer.verify(bundle.encode())
    except EvoguardError as err:
        return [f"the root at event {seq} is not signed by this key: {err.message}"]
    now = hashlib.sha256(canonical(heads(con, seq))).hexdigest()
    expected: Json = [{"name": "heads", "digest": {"sha256": now}}]
    predicate = statement.get("predicate")
    if statement.get("predicateType") != ROOT_TYPE or not isinstance(predicate, Mapping) or predicate.get("seq") != seq:
        return [f"the root at event {seq} is about something else"]
    if statement.get("subject") != expected or digest != f"sha256:{now}":
        return [f"the log up to event {seq} is not what was signed then"]
    return []
