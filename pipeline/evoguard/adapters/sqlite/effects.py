"""Effects: claimed, done, recorded."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from evoguard.adapters.sqlite.db import transaction
from evoguard.ports.clock import Clock


class SqliteEffects:
    """One row a key: the claim is durable before the effect happens, its result right after."""

    def __init__(self, con: sqlite3.Connection, clock: Clock) -> None:
        self._con = con
        self._clock = clock

    async def once(self, key: str, do: Callable[[], Awaitable[str]]) -> str:
        """Return the recorded result, or claim, do and record."""
        with transaction(self._con) as con:
            row = con.execute("select done, result from effects where key=?", (key,)).fetchone()
            if row is not None and row[0]:
                return str(row[1])
            con.execute(
                "insert into effects(key, claimed_at) values(?,?) on conflict(key) do update set attempts=attempts+1",
                (key, self._clock.now_ms()),
            )
        result = await do()
        with transaction(self._con) as con:
            con.execute("update effects set done=1, result=? where key=?", (result, key))
        return result
