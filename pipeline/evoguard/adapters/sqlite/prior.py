"""What other changes of a repository came to, from the log and its projection."""

from __future__ import annotations

import json
import sqlite3

from evoguard.ports.prior import OpenChange


class SqlitePrior:
    """Answers from one database, newest first."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    async def reverted(self, repo: str, component: str, since_ms: int, limit: int) -> tuple[tuple[str, int], ...]:
        """Return (change, when in unix ms) of the component's changes that were reverted or killed since then."""
        rows = self._con.execute(
            "select c.id, max(e.at) as ended from changes c join events e on e.stream='change/'||c.id"
            " and e.type in ('change.reverted','change.killed')"
            " where c.repo=? and c.component=? and c.component<>'' and c.outcome in ('reverted','killed')"
            " and c.updated_at>=? group by c.id having ended>=? order by ended desc, c.id limit ?",
            (repo, component, since_ms, since_ms, limit),
        )
        return tuple((str(change), int(at)) for change, at in rows)

    async def open(self, repo: str, but: str) -> tuple[OpenChange, ...]:
        """Return every measured change of the repository that has not ended, without the change `but`."""
        rows = self._con.execute(
            "select c.id, c.author, e.body from changes c join events e on e.stream='change/'||c.id"
            " and e.type='change.mapped' where c.repo=? and c.outcome='' and c.id<>?"
            " order by c.created_at desc, c.id, e.seq",
            (repo, but),
        )
        newest = {str(change): (str(author), str(json.loads(body)["impact"])) for change, author, body in rows}
        return tuple(OpenChange(change, author, impact) for change, (author, impact) in newest.items())
