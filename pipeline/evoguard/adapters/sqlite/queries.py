"""Read-only questions, and the worker's: what is open, pending or due."""

from __future__ import annotations

import sqlite3
from typing import cast

from evoguard.adapters.sqlite import event_log
from evoguard.domain.change import ActorKind
from evoguard.domain.events import StoredEvent
from evoguard.domain.identity import Identity
from evoguard.ports.queries import ChangeRow

_COLUMNS = (
    "id, status, repo, component, flag, author, intent, base, head, outcome, stage_percent, created_at, updated_at,"
    " detail"
)


class SqliteQueries:
    """Answers from projections and streams."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    async def change(self, change: str) -> ChangeRow | None:
        """Return one change's row, or None."""
        row = self._con.execute(f"select {_COLUMNS} from changes where id=?", (change,)).fetchone()  # noqa: S608  (our columns)
        return ChangeRow(*row) if row else None

    async def changes(self, *, open_only: bool = False, limit: int = 1000) -> tuple[ChangeRow, ...]:
        """Return changes, newest first."""
        where = "where outcome=''" if open_only else ""
        sql = f"select {_COLUMNS} from changes {where} order by created_at desc, id limit ?"  # noqa: S608  (our columns)
        rows = self._con.execute(sql, (limit,))
        return tuple(ChangeRow(*row) for row in rows)

    async def filed(self, kinds: tuple[str, ...], *, after: int, limit: int) -> tuple[tuple[int, str, int], ...]:
        """Return (place in the log, stream, version) of events of these types behind a place, oldest first."""
        marks = ",".join("?" * len(kinds))
        sql = f"select seq, stream, version from events where type in ({marks}) and seq>? order by seq limit ?"  # noqa: S608  (marks alone)
        return tuple((int(a), str(b), int(c)) for a, b, c in self._con.execute(sql, (*kinds, after, limit)))

    async def events(self, stream: str) -> tuple[StoredEvent, ...]:
        """Return a stream in order, each link proved."""
        return event_log.read(self._con, stream)

    async def identity(self, name: str) -> Identity | None:
        """Return a registered, unrevoked identity, or None."""
        return self.identity_now(name)

    def identity_now(self, name: str) -> Identity | None:
        """Return an identity as `identity` does, without awaiting: latches are read in places that cannot wait."""
        row = self._con.execute(
            "select name, kind, public_pem from identities where name=? and revoked=0", (name,)
        ).fetchone()
        return Identity(row[0], cast(ActorKind, row[1]), row[2]) if row else None

    async def held(self, author: str) -> str:
        """Return why an author is held, or an empty text."""
        row = self._con.execute("select reason from holds where author=?", (author,)).fetchone()
        return (str(row[0]) or "held") if row else ""


class SqliteLanes:
    """Turns and succession, answered from the projection."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    async def turn(self, repo: str, component: str) -> str:
        """Return the change that may roll out now, or an empty text."""
        row = self._con.execute(
            "select id from changes where outcome='' and repo=? and component=?"
            " and status in ('published','rolling out','reverting','signed','queued')"
            " order by status not in ('published','rolling out','reverting'), created_at, id limit 1",
            (repo, component),
        ).fetchone()
        return str(row[0]) if row else ""

    async def owner(self, flag: str, repo: str, component: str) -> str:
        """Return a change of another repository or component that released behind this flag, else an empty text."""
        row = self._con.execute(
            "select id from changes where flag=? and flag<>'' and (repo<>? or component<>?)"
            " and (status in ('published','rolling out','reverting') or outcome in ('known-good','reverted','killed'))"
            " limit 1",
            (flag, repo, component),
        ).fetchone()
        return str(row[0]) if row else ""

    async def submitted(self, author: str, repo: str, since_ms: int) -> int:
        """Return how many changes an author submitted to a repository since then."""
        sql = "select count(*) from changes where author=? and repo=? and created_at>=?"
        return int(self._con.execute(sql, (author, repo, since_ms)).fetchone()[0])

    async def earlier(self, change: str, component: str) -> tuple[str, ...]:
        """Return the open, unreleased changes that `change` supersedes."""
        rows = self._con.execute(
            "select old.id from changes old, changes new where new.id=? and old.id<>new.id and old.outcome=''"
            " and old.repo=new.repo and old.author=new.author and old.base=new.base and old.component=?"
            " and old.created_at<=new.created_at and old.status not in ('published','rolling out','reverting')",
            (change, component),
        )
        return tuple(str(row[0]) for row in rows)


class SqliteWaker:
    """The due-table: which changes have something to do now."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    async def at(self, change: str, when_ms: int) -> None:
        """Wake a change at a time (unix ms); a later call replaces an earlier one."""
        self._con.execute(
            "insert into due values(?,?) on conflict(change) do update set at=excluded.at", (change, when_ms)
        )

    async def ready(self, now_ms: int) -> tuple[str, ...]:
        """Return every change with a pending message or whose time has come."""
        rows = self._con.execute(
            "select i.change from inbox i left join changes c on c.id=i.change"
            " where i.consumed=0 and coalesce(c.outcome,'')='' and (c.id is not null or i.kind='submit')"
            " union select change from due where at<=?",
            (now_ms,),
        )
        return tuple(str(row[0]) for row in rows)
