"""Whoever can write the database rewrites history: what an audit, with the key alone, does not believe."""

from __future__ import annotations

import json

from evoguard.adapters.sqlite import audit, event_log, roots
from evoguard.domain.events import Event, event_from, link
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen
from evoguard.exam.surgery import Cut

AUDIT, ROOTS, LOG = (
    "evoguard.adapters.sqlite.audit",
    "evoguard.adapters.sqlite.roots",
    "evoguard.adapters.sqlite.event_log",
)


async def _sign(hall: Hall) -> None:
    """Append something, then sign the log's heads as the worker does."""
    hall.append("registry", Event("registry.initialised"))
    await roots.sign_root(hall.opened.con, hall.signer, hall.opened.clock, hall.settings.state / roots.FILE)


def _tamper(hall: Hall, *statements: str) -> None:
    for trigger in ("events_are_final", "events_stay", "roots_are_final", "roots_stay"):
        hall.opened.con.execute(f"drop trigger if exists {trigger}")
    for sql in statements:
        hall.opened.con.execute(sql)


def _rechain(hall: Hall, stream: str) -> None:
    """Make every link of a stream right again, as a patient attacker does."""
    con, prev = hall.opened.con, ""
    rows = con.execute(
        "select version,at,type,body,actor,reason,causation from events where stream=? order by version", (stream,)
    ).fetchall()
    for version, at, kind, body, actor, reason, causation in rows:
        doc = {"type": kind, "body": json.loads(body), "actor": actor, "reason": reason, "causation": causation}
        mark = link(stream, version, at, event_from(doc), prev)
        con.execute("update events set prev_hash=?, hash=? where stream=? and version=?", (prev, mark, stream, version))
        prev = mark


async def _audited(hall: Hall, *, file: bool = True, demanded: bytes | None = None) -> Seen:
    path = hall.settings.state / roots.FILE if file else None
    report = await audit.verify(hall.opened.con, hall.signer, file=path, demanded=demanded)
    return Seen(not report.problems, "; ".join(report.problems)[:300] or "whole")


async def edited_event(hall: Hall) -> Seen:
    """An event's reason is edited in place."""
    await _sign(hall)
    _tamper(hall, "update events set reason='other' where type='registry.initialised' and version=1")
    return await _audited(hall)


async def rewritten_chain(hall: Hall) -> Seen:
    """An event is edited and every hash of its stream is computed anew."""
    await _sign(hall)
    _tamper(hall, "update events set reason='other' where type='registry.initialised' and version=1")
    _rechain(hall, "registry")
    return await _audited(hall)


async def cut_tail(hall: Hall) -> Seen:
    """The newest events are cut off, and the roots about them too, in the database and in the file."""
    await _sign(hall)
    kept = (hall.settings.state / roots.FILE).read_bytes()
    await _sign(hall)
    demanded = (hall.settings.state / roots.FILE).read_bytes()
    last = hall.opened.con.execute("select max(seq) from events").fetchone()[0]
    _tamper(hall, f"delete from events where seq={last}", "delete from roots where n=2")  # noqa: S608  (a number)
    (hall.settings.state / roots.FILE).write_bytes(kept)
    return await _audited(hall, demanded=demanded)


async def vanished_roots(hall: Hall) -> Seen:
    """All signed roots are deleted from the database, as if nothing had ever been signed."""
    await _sign(hall)
    await _sign(hall)
    _tamper(hall, "delete from roots")
    await _sign(hall)
    return Seen(True, "signed from the beginning")


async def signed_over(hall: Hall) -> Seen:
    """A rewritten log is signed again by the worker itself."""
    await _sign(hall)
    _tamper(hall, "update events set reason='other' where type='registry.initialised' and version=1")
    _rechain(hall, "registry")
    await _sign(hall)
    return Seen(True, "signed again")


async def edited_table(hall: Hall) -> Seen:
    """A table that is made from events is edited: coder becomes a person."""
    await _sign(hall)
    hall.opened.con.execute("update identities set kind='person' where name='coder'")
    return await _audited(hall)


async def edited_stream_read(hall: Hall) -> Seen:
    """The flow reads a stream in which a vote was edited."""
    change = await hall.submit()
    await hall.drive(change)
    _tamper(hall, "update events set reason='other' where type='change.judged'")
    event_log.read(hall.opened.con, f"change/{change}")
    return Seen(True, "read")


_LINK = "prev_hash != prev or link(stream, int(str(version)), int(str(at)), event, prev) != mark"
GATES = (
    Gate("log.chain", Cut(f"{LOG}:proved", _LINK), edited_stream_read, "log.broken_link"),
    Gate("audit.chain", Cut(f"{LOG}:proved", _LINK), edited_event, "registry version 1 does not match"),
    Gate("audit.roots", Cut(f"{AUDIT}:_walk", "roots.covers(root, walked.heads())", "True"), rewritten_chain,
         "the log up to event"),
    Gate("audit.demanded", Cut(f"{AUDIT}:verify", "_demanded(demanded, [*chain, *signed[len(chain):]], signed)", "[]"),
         cut_tail, "the root that you kept"),
    Gate("audit.tables", Cut(f"{AUDIT}:verify", "replay.differences(con)", "[]"), edited_table, "identities"),
    Gate("roots.vanished", Cut(f"{ROOTS}:newest", "not same and (not follows(root, last))"), vanished_roots,
         "audit.roots_vanished"),
    Gate("roots.rewritten", Cut(f"{ROOTS}:newest", "not covers(root, heads(con, root.seq))"), signed_over,
         "audit.log_rewritten"),
)  # fmt: skip
