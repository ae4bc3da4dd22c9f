"""Projections: what the lists and the worker read, rewritten from events in the transaction that appends them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from evoguard.domain.canonical import Json, canonical
from evoguard.domain.events import StoredEvent

STATUS: Mapping[str, str] = {
    "change.submitted": "filed",
    "change.mapped": "filed",
    "candidate.scanned": "filed",
    "candidate.checked": "checked",
    "change.judged": "judged",
    "approval.requested": "waiting for approval",
    "approval.voided": "filed",
    "change.approved": "approved",
    "change.admitted": "admitted",
    "change.attested": "signed",
    "release.published": "published",
    "rollout.queued": "queued",
    "rollout.opened": "rolling out",
    "rollout.widened": "rolling out",
    "rollout.completed": "rolling out",
    "rollout.aborted": "reverting",
    "revert.conflicted": "reverting",
}
OUTCOME: Mapping[str, str] = {
    "change.refused": "refused",
    "change.rejected": "rejected",
    "change.withdrawn": "withdrawn",
    "change.superseded": "superseded",
    "change.reverted": "reverted",
    "change.killed": "killed",
    "change.known_good": "known-good",
}
"""Events that end a change, and what `list` calls the end."""


def project(con: sqlite3.Connection, item: StoredEvent) -> None:
    """Apply one stored event to every projection that it concerns."""
    if item.stream.startswith("change/"):
        _project_change(con, item)
    handler = _HANDLERS.get(item.event.type)
    if handler is not None:
        handler(con, item)


def _project_change(con: sqlite3.Connection, item: StoredEvent) -> None:
    change, body = item.stream.removeprefix("change/"), item.event.body
    if item.event.type == "change.submitted":
        con.execute(
            "insert into changes values(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (change, "filed", body["repo"], "", "", body["author"], body["intent"], body["base"], body["head"],
             "", 0, "", item.at, item.at),
        )  # fmt: skip
    sets: dict[str, object] = {"updated_at": item.at}
    if status := STATUS.get(item.event.type) or OUTCOME.get(item.event.type):
        sets["status"] = status
    if item.event.type in OUTCOME:
        sets["outcome"] = OUTCOME[item.event.type]
        con.execute("delete from due where change=?", (change,))
    for column, key in (("component", "component"), ("flag", "flag"), ("stage_percent", "percent")):
        if key in body:
            sets[column] = body[key]
    if item.event.reason:
        sets["detail"] = item.event.reason[:500]
    assignments = ",".join(f"{name}=?" for name in sets)
    con.execute(f"update changes set {assignments} where id=?", (*sets.values(), change))  # noqa: S608  (names are ours)


def _identity(con: sqlite3.Connection, item: StoredEvent) -> None:
    body = item.event.body
    kind = "agent" if item.event.type == "agent.added" else "person"
    con.execute("insert into identities(name,kind,public_pem) values(?,?,?)", (body["name"], kind, body["public_pem"]))


def _held(con: sqlite3.Connection, item: StoredEvent) -> None:
    body = item.event.body
    con.execute(
        "insert or replace into holds values(?,?,?,?)", (body["author"], item.event.reason, body["kill"], item.at)
    )


def _released(con: sqlite3.Connection, item: StoredEvent) -> None:
    con.execute("delete from holds where kill_id=?", (item.event.body["kill"],))


def _killed(con: sqlite3.Connection, item: StoredEvent) -> None:
    body = dict(item.event.body)
    text = canonical(body).decode("utf-8")  # the same text at every replay, whatever the order of the fields was
    con.execute("insert or ignore into kills values(?,?,?)", (body["id"], body["epoch"], text))


def _nonce(con: sqlite3.Connection, item: StoredEvent) -> None:
    nonce: Json = item.event.body.get("nonce", "")
    if nonce:
        con.execute("insert or ignore into nonces values(?,?,?)", (nonce, item.event.type, item.at))


_HANDLERS: Mapping[str, Callable[[sqlite3.Connection, StoredEvent], None]] = {
    "person.added": _identity,
    "agent.added": _identity,
    "author.held": _held,
    "author.released": _released,
    "kill.recorded": _killed,
    "approval.recorded": _nonce,
}
