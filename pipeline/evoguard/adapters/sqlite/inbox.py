"""The durable inbox."""

from __future__ import annotations

import sqlite3
from typing import cast

from evoguard.adapters.sqlite.db import transaction
from evoguard.errors import InputError
from evoguard.ports.clock import Clock
from evoguard.ports.inbox import Message, MessageKind

MAX_BODY = 1_048_576


class SqliteInbox:
    """Messages in the one SQLite file; stored before the sender is answered."""

    def __init__(self, con: sqlite3.Connection, clock: Clock) -> None:
        self._con = con
        self._clock = clock

    async def put(self, change: str, kind: MessageKind, body: str, *, key: str) -> int:
        """Store a message and return its id; the same key again returns the first id.

        Raises: InputError when the key was used for another message; UnavailableError when nothing could be stored.
        """
        if len(body) > MAX_BODY:
            raise InputError("the message is larger than 1 MiB", code="inbox.too_big")
        with transaction(self._con) as con:
            row = con.execute("select id, change, kind, body from inbox where key=?", (key,)).fetchone()
            if row is not None:
                if (row[1], row[2], row[3]) != (change, kind, body):
                    raise InputError(
                        "this nonce or key was used before", code="inbox.repeated", fix="sign a new command"
                    )
                return int(row[0])
            done = con.execute(
                "insert into inbox(change,kind,body,key,at) values(?,?,?,?,?)",
                (change, kind, body, key, self._clock.now_ms()),
            )
            return int(done.lastrowid or 0)

    async def pending(self, change: str) -> tuple[Message, ...]:
        """Return the unconsumed messages of a change, oldest first."""
        rows = self._con.execute(
            "select id, change, kind, body, at from inbox where consumed=0 and change=? order by id", (change,)
        )
        return tuple(Message(r[0], r[1], cast(MessageKind, r[2]), r[3], r[4]) for r in rows)
