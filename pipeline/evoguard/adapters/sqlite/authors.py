"""What an author did here, from the log and its projection."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping

NEVER_RELEASED = ("refused", "rejected", "withdrawn", "superseded")
"""How a change ends that nobody ever met; every other one counts, a reverted one too."""


class SqliteAuthors:
    """Authors by the identity that signed each submission."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self._seen = self._weighed = 0
        self._clean: dict[str, int] = {}
        self._released: dict[str, dict[str, str]] = defaultdict(dict)

    async def recent(self, author: str, repo: str, since_ms: int) -> tuple[tuple[str, str], ...]:
        """Return (change, digest of its impact) of the author's changes since then that may be, or were, released."""
        rows = self._con.execute(
            "select c.id, e.body from changes c join events e on e.stream='change/'||c.id and e.type='change.mapped'"
            " where c.author=? and c.repo=? and c.created_at>=? and c.outcome not in (?,?,?,?) order by e.seq",
            (author, repo, since_ms, *NEVER_RELEASED),
        )
        return tuple({str(change): (str(change), _text(body, "impact")) for change, body in rows}.values())

    async def merges(self, author: str, repo: str) -> int:
        """Return how many changes of the author became known-good in the repository."""
        sql = "select count(*) from changes where author=? and repo=? and outcome='known-good'"
        return int(self._con.execute(sql, (author, repo)).fetchone()[0])

    async def clean_since_hold(self, author: str) -> int | None:
        """Return how many changes of the author became known-good since their last hold; None: never held.

        A release that a kill caught up with at its last moment is no clean one. Only events that were not looked at
        yet are read.
        """
        rows = self._con.execute(
            "select e.seq, e.type, e.body, c.author from events e left join changes c on e.stream='change/'||c.id"
            " where e.seq>? and e.type in ('author.held','change.known_good') order by e.seq",
            (self._weighed,),
        ).fetchall()
        for seq, kind, body, author_of in rows:
            self._weighed = int(seq)
            if kind == "author.held":
                self._clean[_text(body, "author")] = 0
            elif author_of in self._clean and not _text(body, "kill"):
                self._clean[author_of] += 1
        return self._clean.get(author)

    async def releases(self, repo: str) -> Mapping[str, str]:
        """Return release commit → author; only events that were not looked at yet are read."""
        rows = self._con.execute(
            "select e.seq, e.body, c.author, c.repo from events e join changes c on e.stream='change/'||c.id"
            " where e.seq>? and e.type='release.published' order by e.seq",
            (self._seen,),
        ).fetchall()
        for seq, body, author, where in rows:
            self._released[str(where)][_text(body, "commit")] = str(author)
            self._seen = int(seq)
        return self._released.get(repo, {})


def _text(body: str, name: str) -> str:
    return str(json.loads(body).get(name, ""))
